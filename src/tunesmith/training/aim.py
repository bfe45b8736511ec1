"""What a fit minimises: the method's objectives and penalty, and what a recipe adds to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from tunesmith.core.method import HasPenalty, Method, Objective

Penalty = Callable[[Mapping[str, Tensor]], Tensor]
"""A scalar of the named parameters that learn, added once per optimizer step."""


@dataclass(frozen=True)
class Aim:
    """Objectives in their order, and penalties on the parameters of the network that each moves."""

    objectives: Sequence[Objective]
    penalties: Sequence[Penalty] = ()

    @classmethod
    def of(cls, method: Method) -> Aim:
        """What the method says alone."""
        penalties = (method.penalty,) if isinstance(method, HasPenalty) else ()
        return cls(tuple(method.objectives()), penalties)
