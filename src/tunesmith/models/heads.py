"""Heads: what stands between a text's vector and the answer."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tunesmith.models.head_shape import HeadShape

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU}


class Head(nn.Module):
    """Dropout, the layers of its shape, and a linear layer; ``forward`` gives logits (B, C), or values (B, 1)."""

    def __init__(
        self, hidden: int, num_outputs: int, dropout: float, is_normalized: bool, shape: HeadShape | None = None
    ) -> None:
        super().__init__()
        self.is_normalized = is_normalized
        self.scale = hidden**0.5 if is_normalized else 1.0
        self.dropout = nn.Dropout(dropout)
        shape = shape or HeadShape()
        self.layers = nn.Sequential(*_layers(hidden, shape))
        self.linear = nn.Linear((hidden, *shape.layers)[-1], num_outputs)
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features_BD: Tensor, mix: Tensor | None = None) -> Tensor:
        """Logits (B, C) in float32; ``mix`` (B, B) makes each row's vector a weighted mean of the batch's."""
        logits_BC: Tensor = self.linear(self.before_last(features_BD, mix))
        return logits_BC

    def before_last(self, features_BD: Tensor, mix: Tensor | None = None) -> Tensor:
        """What enters the last linear layer (B, D)."""
        features_BD = features_BD.float()
        if self.is_normalized:
            # A unit vector has entries of size 1/sqrt(D); scaled back, the linear layer learns at the usual rates.
            features_BD = nn.functional.normalize(features_BD, dim=-1) * self.scale
        if mix is not None:
            with torch.autocast(features_BD.device.type, enabled=False):
                features_BD = mix @ features_BD
        inputs_BD: Tensor = self.layers(self.dropout(features_BD))
        return inputs_BD


class FeatureNetwork(nn.Module):
    """A head over vectors that were made before."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, features_BD: Tensor, mix: Tensor | None = None) -> Tensor:
        """Logits (B, C), or values (B, 1), in float32."""
        logits_BC: Tensor = self.head(features_BD, mix)
        return logits_BC


def _layers(hidden: int, shape: HeadShape) -> list[nn.Module]:
    """Each added layer: linear, layer norm where asked, activation, dropout."""
    layers: list[nn.Module] = []
    for width in shape.layers:
        layers.append(nn.Linear(hidden, width))
        if shape.norm:
            layers.append(nn.LayerNorm(width))
        layers += [ACTIVATIONS[shape.activation](), nn.Dropout(shape.dropout)]
        hidden = width
    return layers
