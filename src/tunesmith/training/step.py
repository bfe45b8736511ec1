"""One optimizer step: the loss of all its rows, divided by the weight of all its rows, however they were cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tunesmith.core.errors import StepError
from tunesmith.core.method import Columns, Network, Objective, Row
from tunesmith.training.aim import Penalty
from tunesmith.training.batch import Batching, Padded
from tunesmith.training.precision import Precision, autocast


@dataclass(frozen=True)
class Taken:
    """What one optimizer step of one objective did."""

    loss: float
    """Mean over the weight of the step."""
    grad_norm: float
    """Before clipping."""
    num_tokens: int


class NotFinite(StepError):
    """A loss or gradient that is no finite number; no weight has moved."""

    gradient: str | None = None
    """The first weight whose gradient is not finite."""


class NoMemory(StepError):
    """Not even a single row fits into memory."""


class MemoryShort(Exception):
    """A microbatch did not fit into memory; no weight has moved."""

    def __init__(self, cause: BaseException, *, is_smallest: bool) -> None:
        super().__init__(str(cause))
        self.is_smallest = is_smallest
        """Whether every microbatch was a single row already."""


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

    def place(self, columns: Columns) -> Columns:
        """The columns where the networks are."""
        if self.device == "cpu":
            return columns
        return {name: column.to(self.device, non_blocking=True) for name, column in columns.items()}

    def train(self, is_training: bool) -> None:
        """Switch dropout and the like on or off; frozen networks always evaluate."""
        for network in self.by_role.values():
            network.module.train(is_training and network.is_trained)

    def drop_gradients(self) -> None:
        """Let go of every network's gradient: an objective may have sent some through networks it does not train."""
        for network in self.by_role.values():
            network.module.zero_grad(set_to_none=True)

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
    batching: Batching | None = None,
) -> Taken:
    """Run the rows through the objective in microbatches and move the network it trains.

    Gradients are summed over microbatches and divided once by the summed weight, so that any cut of the rows is the
    same step up to rounding. Raises: NotFinite where the loss or gradient is not finite, and MemoryShort where a
    microbatch does not fit into memory; nothing has moved then.
    """
    batching = batching or Padded()
    lengths = batching.lengths(rows)
    parts = batching.parts(lengths, budget_tokens)
    total, weight = 0.0, 0.0
    try:
        for part in parts:
            with autocast(networks.precision, networks.device):
                loss = objective.loss(networks, networks.place(batching.collate([rows[place] for place in part])))
            loss.total.backward()  # type: ignore[no-untyped-call]
            total += float(loss.total.detach())
            weight += float(loss.weight)
    except (MemoryError, RuntimeError) as error:
        networks.drop_gradients()
        if is_out_of_memory(error):
            raise MemoryShort(error, is_smallest=len(parts) == len(rows)) from None
        raise
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
        failure = NotFinite(
            f"the {objective.name} loss or its gradient is not a finite number",
            seen=f"loss {mean}, gradient norm {norm}",
            next="lower `train.optimizer.lr`, or set `train.precision: float32`",
        )
        failure.gradient = next((name for name, one in named.items() if not _is_finite(one.grad)), None)
        networks.drop_gradients()
        raise failure
    optimizer.step()
    networks.drop_gradients()
    return Taken(mean, norm, sum(lengths))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: Python's own, a GPU's, or that of PyTorch's own allocator."""
    is_named = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return is_named or "not enough memory" in str(error) or "can't allocate memory" in str(error)


def _is_finite(gradient: Tensor | None) -> bool:
    return gradient is None or bool(torch.isfinite(gradient).all())


def _moving(module: nn.Module) -> dict[str, Tensor]:
    frozen = {name for name, one in module.named_parameters(remove_duplicate=False) if not one.requires_grad}
    # Tied weights have several names and are one tensor: only the first is kept, as safetensors wants it.
    own = {name for name, _ in (*module.named_parameters(), *module.named_buffers())}
    return {name: tensor for name, tensor in module.state_dict().items() if name in own and name not in frozen}
