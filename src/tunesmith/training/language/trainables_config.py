"""What a recipe may say about which weights of a language model learn. Loads no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tunesmith.core.config import Config

Rank = Annotated[int, Field(ge=1, le=4096, strict=True)]


class LanguageLoraConfig(Config):
    """Low-rank adapters beside frozen weights learn (Hu et al. 2022), in PEFT's format."""

    kind: Literal["lora"] = "lora"
    """Low-rank adapters learn."""
    rank: Rank = 16
    """Width of each adapter, 1 to 4096. Default: 16 (docs/log.md)."""
    ranks: dict[str, Rank] = Field(default_factory=dict)
    """Layers with another rank, by their name or its end: `{q_proj: 8, down_proj: 32}`. Default: none."""
    alpha: Annotated[float, Field(gt=0, le=65_536, strict=True)] = 32.0
    """An adapter's output is scaled by alpha / rank (by alpha / √rank under `rslora`), above 0. Default: twice the
    default rank, as is customary."""
    dropout: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.05
    """Share of an adapter's inputs set to 0 while training, from 0 up to 1. Default: 0.05 (Dettmers et al. 2023)."""
    targets: Literal["auto"] | Annotated[tuple[str, ...], Field(min_length=1)] = "auto"
    """The linear layers that get an adapter, by their name or its end: `[q_proj, v_proj]`. `auto`: all linear layers
    within the model's layers (Dettmers et al. 2023, section 4)."""
    rslora: bool = False
    """Scales by alpha / √rank, which keeps large ranks learning (Kalajdzievski 2023). Default: off, as in the paper of
    LoRA."""
    dora: bool = False
    """Learns the length of each weight's columns apart from their direction (DoRA, Liu et al. 2024): slower, often a
    little better at small ranks. Default: off."""
    merge: bool = False
    """Saves the model with the adapters added into its weights instead of an adapter that needs its base. A phase that
    starts from another phase's model always does. Default: off."""


class LanguageFullConfig(Config):
    """Every weight learns: the most memory, every layer is trained in every step."""

    kind: Literal["full"] = "full"
    """Every weight learns."""


class LanguageTopLayersConfig(Config):
    """The top layers learn, with the norm behind them and the output layer where it is not the embedding as well."""

    kind: Literal["top_layers"] = "top_layers"
    """The top layers learn; below them nothing moves."""
    layers: Annotated[int, Field(ge=1, strict=True)] = 2
    """Layers that learn, counted from the last one, 1 to those of the model. Default: 2, as for heads."""


class LanguageHeadConfig(Config):
    """Only the output layer learns, from the last hidden state to the vocabulary."""

    kind: Literal["head"] = "head"
    """Only the output layer learns; refused where it is the embedding too (tied weights)."""
