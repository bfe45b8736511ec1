"""Optimizers by their configs: PyTorch's own and Lion, with weight decay kept off biases and norms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from tunesmith.training.lion import Lion
from tunesmith.training.optimizer_config import (
    AdafactorConfig,
    AdamConfig,
    AdamWConfig,
    LionConfig,
    RmsPropConfig,
    SgdConfig,
)

Groups = list[dict[str, Any]]
HEAD = "head."
"""How the names of the new head's parameters start, in every network."""


def groups(parameters: Iterable[tuple[str, nn.Parameter]], *, lr: float, head_lr: float, weight_decay: float) -> Groups:
    """Parameter groups of what learns: the head at its own rate; vectors (biases, norms) are never decayed."""
    parts: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in parameters:
        if not parameter.requires_grad:
            continue
        is_head = name.startswith(HEAD)
        parts.setdefault((is_head, parameter.ndim >= 2), []).append(parameter)
    return [
        {
            "params": members,
            "lr": head_lr if is_head else lr,
            "peak_lr": head_lr if is_head else lr,
            "weight_decay": weight_decay if is_decayed else 0.0,
        }
        for (is_head, is_decayed), members in sorted(parts.items(), key=lambda item: item[0])
    ]


def adamw(parameters: Groups, config: AdamWConfig) -> Optimizer:
    """AdamW. Source: Loshchilov and Hutter 2019, algorithm 2."""
    return torch.optim.AdamW(parameters, betas=config.betas, eps=config.eps, fused=True)


def adam(parameters: Groups, config: AdamConfig) -> Optimizer:
    """Adam with weight decay added to the gradient. Source: Kingma and Ba 2015, algorithm 1."""
    return torch.optim.Adam(parameters, betas=config.betas, eps=config.eps, fused=True)


def sgd(parameters: Groups, config: SgdConfig) -> Optimizer:
    """SGD with momentum, Nesterov's where asked."""
    return torch.optim.SGD(parameters, lr=1.0, momentum=config.momentum, nesterov=config.nesterov)


def rmsprop(parameters: Groups, config: RmsPropConfig) -> Optimizer:
    """RMSProp. Source: Tieleman and Hinton 2012, lecture 6.5; eps is added to the root, as PyTorch does."""
    return torch.optim.RMSprop(parameters, alpha=config.alpha, eps=config.eps, momentum=config.momentum, foreach=True)


def adafactor(parameters: Groups, config: AdafactorConfig) -> Optimizer:
    """Adafactor. Source: Shazeer and Stern 2018, algorithms 4 and 5, without momentum; PyTorch puts ε₁ into the
    divisor."""
    return torch.optim.Adafactor(
        parameters,
        beta2_decay=-config.decay_power,
        eps=(None, config.smallest_scale),
        d=config.clip_update,
        foreach=True,
    )


def lion(parameters: Groups, config: LionConfig) -> Optimizer:
    """Lion. Source: Chen et al. 2023, algorithm 2."""
    return Lion(parameters, betas=config.betas)
