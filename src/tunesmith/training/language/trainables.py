"""Which weights of a language model learn: full, lora, top_layers, head."""

from __future__ import annotations

from typing import Any, Protocol

from torch import nn

from tunesmith.core.errors import ModelError
from tunesmith.models.adapters import add_lora, merged
from tunesmith.training.language.trainables_config import (
    LanguageFullConfig,
    LanguageHeadConfig,
    LanguageLoraConfig,
    LanguageTopLayersConfig,
)


class LanguageTrainable(Protocol):
    """One kind of trainable, made from its config."""

    is_adapter: bool
    """Whether what learned can be kept apart from the base's weights."""

    def prepare(self, model: nn.Module) -> nn.Module:
        """The model to train; what in it must not move has no gradient. Takes torch's global random state."""

    def whole(self, model: nn.Module) -> nn.Module:
        """The trained model as a plain one of transformers, to be saved with all its weights."""


class Full:
    """Every weight."""

    is_adapter = False

    def __init__(self, config: LanguageFullConfig) -> None:
        self.config = config

    def prepare(self, model: nn.Module) -> nn.Module:
        """The model, all of it with a gradient."""
        return model.requires_grad_(True)

    def whole(self, model: nn.Module) -> nn.Module:
        """The model itself."""
        return model


class Lora:
    """PEFT's adapters beside frozen weights."""

    def __init__(self, config: LanguageLoraConfig) -> None:
        self.config = config
        self.is_adapter = not config.merge

    def prepare(self, model: nn.Module) -> nn.Module:
        """PEFT's model; only the adapters have a gradient."""
        config = self.config
        adapted: nn.Module = add_lora(
            model,
            rank=config.rank,
            alpha=config.alpha,
            dropout=config.dropout,
            rslora=config.rslora,
            targets=None if config.targets == "auto" else config.targets,
            dora=config.dora,
            ranks=config.ranks,
            task_type=_task_type(model),
        )
        return adapted

    def whole(self, model: nn.Module) -> nn.Module:
        """The model with the adapters added into its weights."""
        return merged(model)


class TopLayers:
    """The layers above a cut, the norm behind them, and the output layer where it is not the embedding as well."""

    is_adapter = False

    def __init__(self, config: LanguageTopLayersConfig) -> None:
        self.config = config

    def prepare(self, model: nn.Module) -> nn.Module:
        """The model with a gradient above the cut alone.

        Raises: ModelError where it has fewer layers, or keeps them where they are not found.
        """
        name, layers = _layers(model)
        if self.config.layers > len(layers):
            raise ModelError(
                "train.trainable.layers is more than the model has",
                seen=self.config.layers,
                allowed=f"1 to {len(layers)}",
                next="write fewer layers, or `trainable: full`",
            )
        model.requires_grad_(False)
        embeddings = {
            id(one) for part in model.modules() if isinstance(part, nn.Embedding) for one in part.parameters()
        }
        for parameter_name, parameter in model.named_parameters():
            is_above = not parameter_name.startswith(f"{name}.") and id(parameter) not in embeddings
            parameter.requires_grad_(is_above)
        for layer in layers[len(layers) - self.config.layers :]:
            layer.requires_grad_(True)
        return model

    def whole(self, model: nn.Module) -> nn.Module:
        """The model itself."""
        return model


class Head:
    """The output layer alone."""

    is_adapter = False

    def __init__(self, config: LanguageHeadConfig) -> None:
        self.config = config

    def prepare(self, model: nn.Module) -> nn.Module:
        """The model with a gradient in its output layer alone.

        Raises: ModelError where the output layer is the embedding too.
        """
        found: Any = model
        output, embedding = found.get_output_embeddings(), found.get_input_embeddings()
        if output is None or output.weight is embedding.weight:
            raise ModelError(
                "this model's output layer is its embedding as well (tied weights): it cannot learn alone",
                seen=f"{type(model).__name__}, tie_word_embeddings: true",
                allowed="lora, top_layers, full",
                next="write `train: {trainable: {kind: top_layers, layers: 1}}`",
            )
        model.requires_grad_(False)
        output.requires_grad_(True)
        return model

    def whole(self, model: nn.Module) -> nn.Module:
        """The model itself."""
        return model


def _layers(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """The list of the decoder's layers and its name."""
    config: Any = model.config
    wanted = getattr(config, "num_hidden_layers", None)
    found = [
        (name, part) for name, part in model.named_modules() if isinstance(part, nn.ModuleList) and len(part) == wanted
    ]
    if not found:
        raise ModelError(
            "tunesmith does not find this architecture's layers, so it cannot train the top ones alone",
            seen=type(model).__name__,
            next="write `train: {trainable: lora}`, which knows every architecture",
        )
    return found[-1]  # of an encoder-decoder the decoder's, which stands behind the encoder's


def _task_type(model: nn.Module) -> Any:
    config: Any = model.config
    if getattr(config, "is_encoder_decoder", False):
        return "SEQ_2_SEQ_LM"
    # PEFT's wrapper of causal models needs what generates; masked encoders have no kind of their own.
    return "CAUSAL_LM" if hasattr(model, "prepare_inputs_for_generation") else None
