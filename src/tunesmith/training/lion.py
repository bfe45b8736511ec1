"""Lion, the optimizer found by symbolic search (Chen et al. 2023, algorithm 2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class Lion(Optimizer):
    """Moves each weight by the learning rate in the direction of ``sign(b1 * momentum + (1 - b1) * gradient)``.

    Weight decay is decoupled, as AdamW's. All weights of a group are moved by a few calls over lists of tensors.
    """

    def __init__(self, params: Any, *, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": 1.0, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move the weights that have a gradient."""
        for group in self.param_groups:
            weights = [one for one in group["params"] if one.grad is not None]
            if weights:
                self._move(group, weights)

    def _move(self, group: dict[str, Any], weights: list[Tensor]) -> None:
        b1, b2 = group["betas"]
        gradients: list[Tensor] = [one.grad for one in weights if one.grad is not None]
        momenta = [self._momentum(one) for one in weights]
        directions = torch._foreach_mul(momenta, b1)
        torch._foreach_add_(directions, gradients, alpha=1 - b1)
        torch._foreach_sign_(directions)
        if group["weight_decay"]:
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(weights, directions, alpha=-group["lr"])
        torch._foreach_mul_(momenta, b2)
        torch._foreach_add_(momenta, gradients, alpha=1 - b2)

    def _momentum(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if "exp_avg" not in state:
            state["exp_avg"] = torch.zeros_like(weight)
        momentum: Tensor = state["exp_avg"]
        return momentum
