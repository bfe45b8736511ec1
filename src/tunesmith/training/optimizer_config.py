"""What a recipe may say about the optimizer. A learning rate left open takes the vetted one of what is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tunesmith.core.config import Config

LearningRate = Annotated[float, Field(gt=0, le=10, strict=True)]
PeakRate = LearningRate | Literal["auto"] | None
"""A rate, ``auto``: found by a range test before training, or ``None``: the vetted one."""
Share = Annotated[float, Field(ge=0, lt=1, strict=True)]
Decay = Annotated[float, Field(ge=0, le=10, strict=True)]


class AdamWConfig(Config):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2)."""

    kind: Literal["adamw"] = "adamw"
    """Adam with decoupled weight decay."""
    lr: PeakRate = None
    """Peak learning rate of the pre-trained weights, 0 < lr ≤ 10; null: the vetted rate of what is trained; `auto`:
    found by a range test before training (training/range_test.py)."""
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
    lr: PeakRate = None
    """Peak learning rate of the pre-trained weights, 0 < lr ≤ 10; null: the vetted rate of what is trained; `auto`:
    found by a range test before training (training/range_test.py)."""
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
    lr: PeakRate = None
    """Peak learning rate of the pre-trained weights, 0 < lr ≤ 10; null: the vetted rate of what is trained; `auto`:
    found by a range test before training (training/range_test.py)."""
    weight_decay: Decay = 0.0
    """L2 penalty added to the gradient, 0 to 10; biases and norms are left out. Default: none, as in PyTorch."""
    momentum: Share = 0.9
    """Share of the last step's velocity that is kept, from 0 up to 1. Default: Sutskever et al. 2013."""
    nesterov: bool = False
    """Looks ahead along the velocity before it takes the gradient; needs momentum. Default: off, as in PyTorch."""


class RmsPropConfig(Config):
    """RMSProp (Tieleman and Hinton 2012): the gradient over the running root of its mean square."""

    kind: Literal["rmsprop"] = "rmsprop"
    """RMSProp."""
    lr: PeakRate = None
    """Peak learning rate of the pre-trained weights, 0 < lr ≤ 10; null: the vetted rate of what is trained; `auto`:
    found by a range test before training (training/range_test.py)."""
    weight_decay: Decay = 0.0
    """L2 penalty added to the gradient, 0 to 10; biases and norms are left out. Default: none, as in PyTorch."""
    alpha: Share = 0.99
    """Decay of the running square of the gradient, from 0 up to 1. Default: PyTorch's (the lecture has 0.9)."""
    momentum: Share = 0.0
    """Share of the last step's velocity that is kept, from 0 up to 1. Default: none, as in the lecture."""
    eps: Annotated[float, Field(gt=0, le=1, strict=True)] = 1e-8
    """Added to the root of the running square, 0 < eps ≤ 1. Default: PyTorch's."""


class AdafactorConfig(Config):
    """Adafactor (Shazeer and Stern 2018): Adam's running squares kept as one row and one column of each matrix."""

    kind: Literal["adafactor"] = "adafactor"
    """Adafactor."""
    lr: PeakRate = None
    """Largest relative step, 0 < lr ≤ 10: a step moves a matrix by this share of its root mean square, and by less once
    1/√steps is smaller; null: the vetted rate of what is trained; `auto`: found by a range test before training
    (training/range_test.py)."""
    weight_decay: Decay = 0.0
    """Share of a weight taken away per step, times the learning rate, 0 to 10; biases and norms are left out.
    Default: the paper has none."""
    decay_power: Annotated[float, Field(gt=0, le=2, strict=True)] = 0.8
    """The running square forgets with 1 - steps^-power, above 0 to 2. Default: the paper's 0.8."""
    clip_update: Annotated[float, Field(ge=1, le=1000, strict=True)] = 1.0
    """Largest root mean square of an update, 1 to 1000. Default: the paper's 1.0."""
    smallest_scale: Annotated[float, Field(gt=0, le=1, strict=True)] = 1e-3
    """Least root mean square that a matrix is taken to have, so that zeros can be left, 0 to 1. Default: the
    paper's."""


class LionConfig(Config):
    """Lion (Chen et al. 2023, algorithm 2): every weight moves by the learning rate, in the direction of a momentum."""

    kind: Literal["lion"] = "lion"
    """Lion."""
    lr: PeakRate = None
    """Peak learning rate of the pre-trained weights, 0 < lr ≤ 10; null: the vetted rate of what is trained; `auto`:
    found by a range test before training (training/range_test.py)."""
    weight_decay: Decay = 0.1
    """Share of a weight taken away per step, times the learning rate, 0 to 10; biases and norms are left out. Default:
    ten times AdamW's, for a tenth of its rate (Chen et al. 2023, section 5)."""
    betas: tuple[Share, Share] = (0.9, 0.99)
    """Share of the momentum in the step's direction, and decay of the momentum, each from 0 up to 1. Default: the
    paper's."""


class MuonConfig(Config):
    """Muon (Jordan et al. 2024): the momentum of every matrix within the layers is made orthogonal; embeddings, output
    layer, norms and biases learn by AdamW, at the same rate."""

    kind: Literal["muon"] = "muon"
    """Muon for matrices within the layers, AdamW for the rest."""
    lr: PeakRate = None
    """Peak learning rate, 0 < lr ≤ 10, on AdamW's scale: a step of a matrix has the root mean square of AdamW's (Liu et
    al. 2025, equation 4); null: the vetted rate of what is trained; `auto`: found by a range test before training
    (training/range_test.py)."""
    weight_decay: Decay = 0.01
    """Share of a weight taken away per step, times the learning rate, 0 to 10; biases and norms are left out. Default:
    AdamW's, as a pre-trained weight is to stay near where it was."""
    momentum: Share = 0.95
    """Share of the last step's momentum that is kept, from 0 up to 1. Default: the authors'."""
    nesterov: bool = True
    """Looks ahead along the momentum. Default: on, as the authors do."""
    betas: tuple[Share, Share] = (0.9, 0.95)
    """AdamW's decays, for what is no matrix within a layer, each from 0 up to 1. Default: Liu et al. 2025."""
    eps: Annotated[float, Field(gt=0, le=1, strict=True)] = 1e-8
    """AdamW's eps, for what is no matrix within a layer, 0 < eps ≤ 1. Default: Kingma and Ba 2015."""


class AdamW8bitConfig(Config):
    """AdamW whose moments are kept in 8 bits, by blocks (Dettmers et al. 2022): a quarter of its memory, on a GPU."""

    kind: Literal["adamw_8bit"] = "adamw_8bit"
    """AdamW with moments of 8 bits: on a GPU only, with the package bitsandbytes."""
    lr: PeakRate = None
    """Peak learning rate of the pre-trained weights, 0 < lr ≤ 10; null: the vetted rate of what is trained; `auto`:
    found by a range test before training (training/range_test.py)."""
    weight_decay: Decay = 0.01
    """Share of a weight taken away per step, times the learning rate, 0 to 10; biases and norms are left out.
    Default: AdamW's."""
    betas: tuple[Share, Share] = (0.9, 0.999)
    """Decay of the running mean and of the running square of the gradient, each from 0 up to 1. Default: AdamW's."""
    eps: Annotated[float, Field(gt=0, le=1, strict=True)] = 1e-8
    """Added to the root of the running square, 0 < eps ≤ 1. Default: AdamW's."""
