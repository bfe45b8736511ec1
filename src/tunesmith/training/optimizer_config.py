"""What a recipe may say about the optimizer. A learning rate left open takes the vetted one of what is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tunesmith.core.config import Config

LearningRate = Annotated[float, Field(gt=0, le=10, strict=True)]
Share = Annotated[float, Field(ge=0, lt=1, strict=True)]
Decay = Annotated[float, Field(ge=0, le=10, strict=True)]


class AdamWConfig(Config):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2)."""

    kind: Literal["adamw"] = "adamw"
    """Adam with decoupled weight decay."""
    lr: LearningRate | None = None
    """Peak learning rate of the pre-trained weights, 0 < lr ≤ 10; null: the vetted rate of what is trained."""
    weight_decay: Decay = 0.01
    """Share of a weight taken away per step, times the learning rate, 0 to 10; biases and norms are left out.
    Default: the paper's."""
    betas: tuple[Share, Share] = (0.9, 0.999)
    """Decay of the running mean and of the running square of the gradient, each from 0 up to 1. Default: Kingma and
    Ba 2015."""
    eps: Annotated[float, Field(gt=0, le=1, strict=True)] = 1e-8
    """Added to the root of the running square, 0 < eps ≤ 1. Default: Kingma and Ba 2015."""


class AdamConfig(Config):
    """Adam (Kingma and Ba 2015); its weight decay is an L2 penalty in the gradient."""

    kind: Literal["adam"] = "adam"
    """Adam, weight decay in the gradient."""
    lr: LearningRate | None = None
    """Peak learning rate of the pre-trained weights, 0 < lr ≤ 10; null: the vetted rate of what is trained."""
    weight_decay: Decay = 0.0
    """L2 penalty added to the gradient, 0 to 10; biases and norms are left out. Default: the paper has none."""
    betas: tuple[Share, Share] = (0.9, 0.999)
    """Decay of the running mean and of the running square of the gradient, each from 0 up to 1. Default: Kingma and
    Ba 2015."""
    eps: Annotated[float, Field(gt=0, le=1, strict=True)] = 1e-8
    """Added to the root of the running square, 0 < eps ≤ 1. Default: Kingma and Ba 2015."""


class SgdConfig(Config):
    """Stochastic gradient descent with momentum (Sutskever et al. 2013)."""

    kind: Literal["sgd"] = "sgd"
    """Stochastic gradient descent with momentum."""
    lr: LearningRate | None = None
    """Peak learning rate of the pre-trained weights, 0 < lr ≤ 10; null: the vetted rate of what is trained."""
    weight_decay: Decay = 0.0
    """L2 penalty added to the gradient, 0 to 10; biases and norms are left out. Default: none, as in PyTorch."""
    momentum: Share = 0.9
    """Share of the last step's velocity that is kept, from 0 up to 1. Default: Sutskever et al. 2013."""
    nesterov: bool = False
    """Looks ahead along the velocity before it takes the gradient; needs momentum. Default: off, as in PyTorch."""
