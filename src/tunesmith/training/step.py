"""One optimizer step: the loss of all its rows, divided by the weight of all its rows, however they were cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tunesmith.core.errors import StepError
from tunesmith.core.method import Columns, Network, Objective, Row
from tunesmith.numerics.batching import microbatches
from tunesmith.training.aim import Penalty
from tunesmith.training.batch import collate, length
from tunesmith.training.precision import Precision, autocast


@dataclass(frozen=True)
class Taken:
    """What one optimizer step of one objective did."""

    loss: float
    """Mean over the weight of the step."""
    grad_norm: float
    """Before clipping."""
    num_tokens: int


class Networks:
    """The networks of a run by role; calling it is the ``forward`` that objectives are given."""

    def __init__(self, networks: Mapping[str, Network], precision: Precision, device: str = "cpu") -> None:
        self.by_role = dict(networks)
        self.precision, self.device = precision, device
        for network in self.by_role.values():
            if not network.is_trained:
                network.module.requires_grad_(False)

    def __call__(self, role: str, columns: Columns) -> Tensor:
        """The output of a role's network; a frozen one keeps no graph of itself but lets gradients through."""
        network = self.by_role[role]
        more = {name: columns[name] for name in network.may_read if name in columns}
        output: Tensor = network.module(*(columns[name] for name in network.reads), **more)
        return output

    def train(self, is_training: bool) -> None:
        """Switch dropout and the like on or off; frozen networks always evaluate."""
        for network in self.by_role.values():
            network.module.train(is_training and network.is_trained)

    def trained(self) -> dict[str, dict[str, Tensor]]:
        """The trained tensors, buffers included, by role; weights that are frozen within a network are left out."""
        return {role: _moving(network.module) for role, network in self.by_role.items() if network.is_trained}


def take(
    objective: Objective,
    penalties: Sequence[Penalty],
    networks: Networks,
    optimizer: Optimizer,
    rows: Sequence[Row],
    *,
    budget_tokens: int,
    clip: float | None,
) -> Taken:
    """Run the rows through the objective in microbatches and move the network it trains.

    Gradients are summed over microbatches and divided once by the summed weight, so that any cut of the rows is the
    same step up to rounding. Raises: StepError where the loss or gradient is not finite; nothing has moved then.
    """
    lengths = [length(row) for row in rows]
    total, weight = 0.0, 0.0
    for part in microbatches(range(len(rows)), lengths, budget_tokens):
        with autocast(networks.precision, networks.device):
            loss = objective.loss(networks, collate([rows[place] for place in part]))
        loss.total.backward()  # type: ignore[no-untyped-call]
        total += float(loss.total.detach())
        weight += float(loss.weight)
    module = networks.by_role[objective.trains].module
    named = {name: one for name, one in module.named_parameters() if one.requires_grad}
    gradients = [parameter.grad for parameter in named.values() if parameter.grad is not None]
    if weight > 0:
        torch._foreach_div_(gradients, weight)
    for penalty in penalties:
        price = penalty(named)
        if price.requires_grad:
            price.backward()  # type: ignore[no-untyped-call]
    norm = float(torch.nn.utils.clip_grad_norm_(named.values(), clip if clip is not None else float("inf")))
    mean = total / weight if weight > 0 else 0.0
    if not (torch.isfinite(torch.tensor([mean, norm])).all()):
        optimizer.zero_grad(set_to_none=True)
        raise StepError(
            f"the {objective.name} loss or its gradient is not a finite number",
            seen=f"loss {mean}, gradient norm {norm}",
            next="lower `train.optimizer.lr`, or set `train.precision: float32`",
        )
    optimizer.step()
    # Every network's gradient goes: an objective may have sent some through networks it does not train.
    for network in networks.by_role.values():
        network.module.zero_grad(set_to_none=True)
    return Taken(mean, norm, sum(lengths))


def _moving(module: nn.Module) -> dict[str, Tensor]:
    frozen = {name for name, one in module.named_parameters() if not one.requires_grad}
    return {name: tensor for name, tensor in module.state_dict().items() if name not in frozen}
