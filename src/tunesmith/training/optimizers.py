"""Optimizers by their configs: PyTorch's own and Lion, with weight decay kept off biases and norms."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from tunesmith.core.errors import RecipeError
from tunesmith.training.lion import Lion
from tunesmith.training.muon import MuonAndAdamW
from tunesmith.training.optimizer_config import (
    AdafactorConfig,
    AdamConfig,
    AdamW8bitConfig,
    AdamWConfig,
    LionConfig,
    MuonConfig,
    RmsPropConfig,
    SgdConfig,
)

Groups = list[dict[str, Any]]
HEAD = "head."
"""How the names of the new head's parameters start, in every network."""


def groups(parameters: Iterable[tuple[str, nn.Parameter]], *, lr: float, head_lr: float, weight_decay: float) -> Groups:
    """Parameter groups of what learns: the head at its own rate; vectors (biases, norms) are never decayed."""
    parts: dict[tuple[bool, bool], dict[str, nn.Parameter]] = {}
    for name, parameter in parameters:
        if not parameter.requires_grad:
            continue
        is_head = name.startswith(HEAD)
        parts.setdefault((is_head, parameter.ndim >= 2), {})[name] = parameter
    return [
        {
            "params": list(members.values()),
            "names": list(members),
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


def muon(parameters: Groups, config: MuonConfig) -> Optimizer:
    """Muon for matrices within the layers, AdamW for the rest. Source: Jordan et al. 2024, Liu et al. 2025."""
    hidden: Groups = []
    rest: Groups = []
    for group in parameters:
        named = list(zip(group["names"], group["params"], strict=True))
        for part, is_part in ((hidden, True), (rest, False)):
            chosen = {name: one for name, one in named if is_hidden_matrix(name, one) == is_part}
            if chosen:
                part.append({**group, "params": list(chosen.values()), "names": list(chosen)})
    return MuonAndAdamW(hidden, rest, config)


def is_hidden_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter is a matrix of one of the network's numbered layers: no embedding, no head, no vector."""
    is_numbered = any(part.isdigit() for part in name.split("."))
    return parameter.ndim == 2 and is_numbered and not name.startswith(HEAD) and "relative_attention_bias" not in name


def adamw_8bit(parameters: Groups, config: AdamW8bitConfig) -> Optimizer:
    """AdamW with moments of 8 bits. Source: Dettmers et al. 2022.

    Raises: RecipeError without a GPU, or without the package that has its kernels.
    """
    if not torch.cuda.is_available():
        raise RecipeError(
            "`adamw_8bit` needs a GPU: its moments are packed and unpacked by kernels that a processor does not have",
            seen="train.optimizer.kind: adamw_8bit, and no GPU on this machine",
            next="write `optimizer: adafactor`, which needs less memory than 8-bit AdamW, or `adamw`",
        )
    try:
        bitsandbytes = importlib.import_module("bitsandbytes")
    except ImportError:
        raise RecipeError(
            "`adamw_8bit` needs the package bitsandbytes, which is not installed",
            seen="train.optimizer.kind: adamw_8bit",
            next="pip install bitsandbytes, or write `optimizer: adafactor`",
        ) from None
    eight_bit: Optimizer = bitsandbytes.optim.AdamW8bit(parameters, betas=config.betas, eps=config.eps)
    return eight_bit
