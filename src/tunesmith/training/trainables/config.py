"""What a recipe may say about which weights learn."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tunesmith.core.config import Config

Needs = tuple[Literal["activations", "layers"], ...]
"""What is computed once before training: the base's pooled vectors, or the states that enter its top layers."""


class FullConfig(Config):
    """Every weight learns: best quality, the whole network is run forward and backward in every step."""

    needs: ClassVar[Needs] = ()
    kind: Literal["full"] = "full"
    """Every weight learns."""


class HeadConfig(Config):
    """Only a new head learns: the frozen base runs once over every row, epochs after the first cost next to nothing."""

    needs: ClassVar[Needs] = ("activations",)
    kind: Literal["head"] = "head"
    """Only a new head learns."""


class TopLayersConfig(Config):
    """The top layers and a new head learn; the layers below run once over every row, and what they give is kept on
    disk."""

    needs: ClassVar[Needs] = ("layers",)
    kind: Literal["top_layers"] = "top_layers"
    """The top layers learn; below them nothing moves, and no unit is dropped out."""
    layers: Annotated[int, Field(ge=1, strict=True)] = 2
    """Layers that learn, counted from the last one, 1 to those of the base (all of them: only the embeddings stay).
    Default: 2 (docs/log.md)."""


class LoraConfig(Config):
    """Low-rank adapters beside frozen weights learn (Hu et al. 2022), in PEFT's format."""

    needs: ClassVar[Needs] = ()
    kind: Literal["lora"] = "lora"
    """Low-rank adapters and a new head learn."""
    rank: Annotated[int, Field(ge=1, le=4096, strict=True)] = 16
    """Width of each adapter, 1 to 4096. Default: 16 (docs/log.md)."""
    alpha: Annotated[float, Field(gt=0, le=65_536, strict=True)] = 32.0
    """An adapter's output is scaled by alpha / rank (by alpha / √rank under `rslora`), above 0. Default: twice the
    default rank, as is customary."""
    dropout: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.05
    """Share of an adapter's inputs set to 0 while training, from 0 up to 1. Default: 0.05 (Dettmers et al. 2023)."""
    targets: Literal["auto"] | Annotated[tuple[str, ...], Field(min_length=1)] = "auto"
    """The linear layers that get an adapter, by their name or its end: `[query, value]`. `auto`: all linear layers of
    the encoder's layers (Dettmers et al. 2023, section 4)."""
    rslora: bool = False
    """Scales by alpha / √rank, which keeps large ranks learning (Kalajdzievski 2023). Default: off, as in the paper of
    LoRA."""
    merge: bool = False
    """Saves the encoder with the adapters added into its weights instead of an adapter that needs its base. Default:
    off."""
