"""The shape of a head: written in recipes, kept in manifests. Loads no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tunesmith.core.config import Config


class HeadShape(Config):
    """The layers between a text's vector and the last linear layer."""

    layers: tuple[Annotated[int, Field(ge=1, le=65_536, strict=True)], ...] = ()
    """Widths of added layers, each 1 or more, from the text's vector on: `[256]` adds one. Default: none, so that the
    head is one linear layer, as in Devlin et al. 2019."""
    activation: Literal["gelu", "relu", "tanh", "silu"] = "gelu"
    """Function after each added layer. Default: GELU, as inside BERT."""
    dropout: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.1
    """Share of each added layer's outputs set to 0 while training, from 0 up to 1; `train.dropout` is in front of the
    whole head. Default: BERT's 0.1."""
    norm: bool = True
    """Layer normalisation (Ba et al. 2016) between an added layer and its activation. Default: on."""
