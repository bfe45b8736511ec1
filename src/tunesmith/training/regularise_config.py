"""What a recipe may say about terms and noise that are added to the objective."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tunesmith.core.config import Config

Strength = Annotated[float, Field(ge=0, le=1000, strict=True)]


class PenaltyConfig(Config):
    """A price on weights in the loss; biases and norms are left out. Adaptive optimizers scale it like the rest of the
    gradient, unlike weight decay."""

    l1: Strength = 0.0
    """Price of a weight's size: l1 · Σ|w|, 0 to 1000. Default: none."""
    l2: Strength = 0.0
    """Price of a weight's square: l2 / 2 · Σw², 0 to 1000. Default: none."""
    on: Literal["head", "all"] = "head"
    """The weights it is put on: the new head's, or all that learn. Default: the head's."""
    towards: Literal["zero", "base"] = "zero"
    """Where weights are drawn to: 0, or, for pre-trained ones, where they started (L2-SP, Li et al. 2018); the head's
    go to 0 either way. Default: zero."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.l1 and not self.l2:
            raise ValueError("a penalty needs `l1` or `l2` above 0")
        if self.towards == "base" and self.on == "head":
            raise ValueError("the head is new and has no base to be drawn to: write `on: all`, or `towards: zero`")
        return self


class RDropConfig(Config):
    """Every row goes through the network twice, and the two answers that dropout makes of it are drawn together
    (R-Drop, Liang et al. 2021). A step takes twice the time."""

    alpha: Annotated[float, Field(gt=0, le=100, strict=True)] = 1.0
    """Weight of the mean of both Kullback-Leibler divergences against the mean of both losses, above 0 to 100.
    Default: 1, the middle of the paper's 0.1 to 5 for classification."""


class MixupConfig(Config):
    """Each row's vector, in front of the head, becomes a mean of its own and another row's, and so does its target
    (mixup, Zhang et al. 2018; of hidden vectors: Verma et al. 2019). Partners are rows of the same microbatch."""

    alpha: Annotated[float, Field(gt=0, le=100, strict=True)] = 0.2
    """Both shapes of the Beta distribution that the share is drawn from, above 0 to 100: small ones mix little.
    Default: 0.2 (Zhang et al. 2018 use 0.1 to 0.4)."""
