"""What went wrong in a run and was mended on the way: steps left out, and microbatches made smaller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.core.method import Method, Row
from tunesmith.training.batch import Batching
from tunesmith.training.precision import autocast
from tunesmith.training.step import Networks

MOST_IN_A_ROW = 3
"""Steps left out one after the other before training stops: more than bad luck with a batch."""
MOST_NAMED = 5


@dataclass
class Mishaps:
    """Part of a checkpoint, so that a resumed run leaves out the same steps and cuts rows alike."""

    skipped: list[dict[str, Any]] = field(default_factory=list)
    """Steps that were left out: ``{step, rows, where}``."""
    budget_tokens: int | None = None
    """Tokens of a microbatch since memory last ran out; null: it never did."""
    lowered: list[dict[str, int]] = field(default_factory=list)
    """When it ran out: ``{step, from, to}``."""

    def is_left_out(self, step: int) -> bool:
        """Whether a step was given up."""
        return any(one["step"] == step for one in self.skipped)

    def is_too_much(self, step: int) -> bool:
        """Whether this step and those right before it were all given up."""
        return all(self.is_left_out(step - back) for back in range(MOST_IN_A_ROW))

    def facts(self) -> dict[str, Any]:
        """What the model says of it; nothing where nothing went wrong."""
        found: dict[str, Any] = {}
        if self.skipped:
            found["skipped_steps"] = self.skipped
        if self.lowered:
            found["microbatch_tokens"] = {"used": self.budget_tokens, "lowered": self.lowered}
        return found


@dataclass(frozen=True)
class Diagnosis:
    """Where numbers stop being finite: places of rows in the step, and the first layer."""

    rows: Sequence[int]
    where: str

    def words(self, names: Sequence[str]) -> str:
        """One line for people; ``names`` are those of the rows."""
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        return f"{self.where}; rows {', '.join(names[:MOST_NAMED])}{more}"


def diagnose(
    method: Method, networks: Networks, rows: Sequence[Row], batching: Batching, gradient: str | None
) -> Diagnosis:
    """The rows whose loss is not finite each on its own, and the first layer whose output is not.

    Where every row's loss is finite it is the gradient: all rows, and the first weight with such a gradient.
    """
    networks.train(False)
    objective = method.objectives()[0]
    bad: list[int] = []
    where = ""
    for place, row in enumerate(rows):
        batch = networks.place(batching.collate([row]))
        watched, cast = _watched(networks.by_role["model"].module), autocast(networks.precision, networks.device)
        with watched as found, torch.no_grad(), cast:
            loss = objective.loss(networks, batch)
        if not torch.isfinite(loss.total):
            bad.append(place)
            where = where or (f"first in the output of `{found[0]}`" if found else f"in the loss `{objective.name}`")
    if bad:
        return Diagnosis(bad, where)
    what = f"in the gradient of `{gradient}`" if gradient else "in the sum of the rows"
    return Diagnosis(range(len(rows)), what)


def is_finite(weights: Mapping[str, Tensor]) -> bool:
    """Whether every number of some tensors is finite."""
    return all(bool(torch.isfinite(one).all()) for one in weights.values() if one.is_floating_point())


class _watched:
    """Collects the names of the layers whose output is not finite, in the order they run; only leaves are layers."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.found, self.handles = module, list[str](), list[Any]()

    def __enter__(self) -> list[str]:
        for name, layer in self.module.named_modules():
            if not list(layer.children()):
                self.handles.append(layer.register_forward_hook(self._hook(name)))
        return self.found

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _hook(self, name: str) -> Any:
        def look(_: nn.Module, __: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple) else output
            if isinstance(first, Tensor) and first.is_floating_point() and not torch.isfinite(first).all():
                self.found.append(name)

        return look
