"""PyTorch's Muon for matrices and its AdamW for the rest, as one optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

from tunesmith.training.optimizer_config import MuonConfig

Groups = list[dict[str, Any]]


class MuonAndAdamW(Optimizer):
    """Two optimizers that step together; their state is numbered through, Muon's parameters first."""

    def __init__(self, hidden: Groups, rest: Groups, config: MuonConfig) -> None:
        self.parts: list[Optimizer] = []
        if hidden:
            self.parts.append(
                torch.optim.Muon(
                    hidden, momentum=config.momentum, nesterov=config.nesterov, adjust_lr_fn="match_rms_adamw"
                )
            )
        if rest:
            self.parts.append(torch.optim.AdamW(rest, betas=config.betas, eps=config.eps, fused=True))
        super().__init__([group for part in self.parts for group in part.param_groups], {})
        # The schedule writes rates into these groups: they must be the parts' own.
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step of both."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The state of both: parameters of the second are numbered behind those of the first."""
        state: dict[int, Any] = {}
        start = 0
        for part in self.parts:
            state |= {start + number: moments for number, moments in part.state_dict()["state"].items()}
            start += _num_parameters(part)
        return {"state": state, "param_groups": []}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what ``state_dict`` gave; rates stay as they are."""
        start = 0
        for part in self.parts:
            num = _num_parameters(part)
            whole = part.state_dict()
            whole["state"] = {n - start: one for n, one in state_dict["state"].items() if start <= n < start + num}
            part.load_state_dict(whole)
            start += num
        # PyTorch replaces the groups when it loads.
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def _num_parameters(optimizer: Optimizer) -> int:
    return sum(len(group["params"]) for group in optimizer.param_groups)
