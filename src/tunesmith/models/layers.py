"""An encoder cut in two: the layers below are run once, those above are trained over what they gave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tunesmith.models.architectures import LAYERS
from tunesmith.models.encoder import load_encoder
from tunesmith.models.heads import Head
from tunesmith.numerics.pooling import Pooling, pool


def lower_part(folder: Path, cut: int) -> nn.Module:
    """The encoder without the layers from ``cut`` on: its last hidden state is what enters layer ``cut``."""
    encoder = load_encoder(folder)
    place, layers = _place(encoder)
    place.layer = nn.ModuleList(list(layers)[:cut])
    return encoder


class TopNetwork(nn.Module):
    """The layers of an encoder from ``cut`` on, a pooling and a head, as one network over hidden states."""

    def __init__(self, encoder: nn.Module, cut: int, head: Head, pooling: Pooling) -> None:
        super().__init__()
        self.upper = _upper(encoder, cut)
        self.head, self.pooling = head, pooling

    def forward(self, states_BTD: Tensor, mask_BT: Tensor, mix: Tensor | None = None) -> Tensor:
        """Logits (B, C), or values (B, 1), in float32."""
        output = self.upper(inputs_embeds=states_BTD.float(), attention_mask=mask_BT)
        logits_BC: Tensor = self.head(pool(output.last_hidden_state, mask_BT, self.pooling), mix)
        return logits_BC

    def put_back(self, encoder: nn.Module, cut: int) -> nn.Module:
        """The whole encoder again, with the layers as they were trained."""
        place, layers = _place(encoder)
        _, trained = _place(self.upper)
        place.layer = nn.ModuleList([*list(layers)[:cut], *trained])
        return encoder


class _GivenStates(nn.Module):
    """Stands where embeddings were: hands on the hidden states it is given."""

    def forward(self, input_ids: None = None, inputs_embeds: Tensor | None = None, *_: Any, **__: Any) -> Tensor | None:
        return inputs_embeds


def _upper(encoder: nn.Module, cut: int) -> nn.Module:
    """The encoder with its embeddings and lower layers taken out; only the layers that stay are trained."""
    place, layers = _place(encoder)
    for part in encoder.parameters():
        part.requires_grad_(False)
    place.layer = nn.ModuleList(list(layers)[cut:])
    # MPNet's position bias is shared with the layers below, so it stays frozen as they do.
    place.layer.requires_grad_(True)
    encoder.embeddings = _GivenStates()
    if hasattr(encoder, "embeddings_project"):  # ELECTRA widens its embeddings: states have the full width already
        encoder.embeddings_project = nn.Identity()
    return encoder


def _place(encoder: nn.Module) -> tuple[nn.Module, nn.ModuleList]:
    """The module that holds the layers, and the layers."""
    config: Any = encoder.config
    owner = encoder.get_submodule(LAYERS[config.model_type].rpartition(".")[0])
    layers = owner.layer
    assert isinstance(layers, nn.ModuleList)
    return owner, layers
