"""Encoders with the layer that guesses masked tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import nn

from tunesmith.core.errors import ModelError
from tunesmith.models.pretrained import load_pretrained, read_config

GUESSING = ("cls.", "lm_head.", "vocab_", "generator_", "mlm.", "predictions.")
"""How the names of that layer start, in the families of encoders."""


LAYER = "guessing.safetensors"
"""That layer of an encoder that was pre-trained on here, beside its files: the next phase goes on with it."""


def load_masked(folder: Path, warn: Callable[[str], None], layer: Path | None = None) -> nn.Module:
    """The encoder of a Hugging Face folder with the layer that guesses masked tokens, in float32 and evaluation mode.

    Many encoders are published without that layer: it is taken from the file ``layer`` where that is there, else it
    starts new, from torch's global random state, and ``warn`` is told. Raises: ModelError where transformers has no
    such form of this architecture, or weights are missing.
    """
    from transformers import AutoModelForMaskedLM

    config = read_config(folder)
    if type(config) not in AutoModelForMaskedLM._model_mapping:
        raise ModelError(
            "this architecture has no form that guesses masked tokens, so it cannot be pre-trained on",
            seen=config.model_type,
            allowed="BERT, RoBERTa, DistilBERT, MPNet, ELECTRA, DeBERTa and the like",
            next="leave the phase `continued_pretraining` out, or choose another encoder",
        )
    model = load_pretrained(AutoModelForMaskedLM, folder, config, unused=GUESSING, next="copy the model again")
    if layer is not None and layer.is_file():
        model.load_state_dict(load_file(layer), strict=False)
    elif not has_layer(folder):
        warn("the base was published without the layer that guesses masked tokens: it starts new")
    return model


def encoder_of(masked: nn.Module) -> Any:
    """The encoder without that layer."""
    found: Any = masked.base_model
    return found


def layer_of(masked: nn.Module) -> dict[str, nn.Parameter]:
    """The weights of that layer that are no embedding as well, by their names."""
    body = {id(one) for one in encoder_of(masked).parameters()}
    return {name: one for name, one in masked.named_parameters() if id(one) not in body}


def save_layer(masked: nn.Module, file: Path) -> None:
    """Write that layer."""
    save_file({name: one.detach().cpu().contiguous() for name, one in layer_of(masked).items()}, file)


def has_layer(folder: Path) -> bool:
    """Whether an encoder was published with the layer that guesses masked tokens."""
    from safetensors import safe_open

    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            if any(name.startswith(GUESSING) for name in file.keys()):  # noqa: SIM118
                return True
    return False
