"""The training-method protocol: what a method says of itself so that the one loop can run it without knowing it.

A method is data in, pure functions out. The loop asks for *abilities* (the protocols below), never for kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor, nn

Row = Mapping[str, Any]
"""Named columns of one example: 1-D integer sequences are ragged and get padded, everything else is stacked."""

Columns = Mapping[str, "Tensor"]
"""A collated batch: ``tokens`` (B, T) with ``mask`` (B, T), scalars (B,), vectors (B, D)."""

Forward = Callable[[str, Columns], "Tensor"]
"""``forward(role, columns)`` runs the network of that role; frozen networks run without gradient."""


@dataclass(frozen=True)
class Loss:
    """A loss as a sum with its weight, so that the loop can divide by the weight of a whole optimizer step."""

    total: Tensor
    """Scalar: the weighted sum over the batch, not the mean."""
    weight: Tensor
    """Scalar: what the sum is divided by (examples, tokens or pairs)."""


@dataclass(frozen=True)
class Objective:
    """One thing a method minimises: which network it moves, how often, and its pure loss."""

    name: str
    loss: Callable[[Forward, Columns], Loss]
    trains: str = "model"
    every: int = 1
    """Optimizer steps between its updates."""


@dataclass(frozen=True)
class Network:
    """A module in a role of a method; a frozen one is never changed and runs without gradient."""

    module: nn.Module
    is_trained: bool = True
    reads: tuple[str, ...] = ("tokens", "mask")
    """The columns its ``forward`` takes, in order."""
    may_read: tuple[str, ...] = ()
    """Columns that are handed on by their name where a batch has them."""


@runtime_checkable
class Method(Protocol):
    """What every training method has."""

    def rows(self, example: Mapping[str, Any], render: Callable[[str], Row]) -> Row:
        """The columns trained on for one example; ``render`` turns its text into the network's input columns."""

    def objectives(self) -> Sequence[Objective]:
        """One or more objectives, run in this order in every optimizer step they are due."""


@runtime_checkable
class HasNetworks(Protocol):
    """A method with more networks than the model: a discriminator, a reference, a teacher."""

    def networks(self, model: nn.Module) -> Mapping[str, Network]:
        """Networks by role, besides ``model``."""


@runtime_checkable
class HasCollect(Protocol):
    """A method that makes its training rows as it goes: roll-outs."""

    def collect(self, rows: Sequence[Row], step: int) -> Iterable[Row]:
        """The rows to train on in this optimizer step, made from the step's drawn rows."""


@runtime_checkable
class HasPenalty(Protocol):
    """A method that adds a term on the parameters themselves: L1, EWC."""

    def penalty(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """A scalar added once per optimizer step, after the loss is divided by its weight."""


@runtime_checkable
class HasScores(Protocol):
    """A method that can say how good the model's outputs on held-out rows are, besides their loss."""

    def scores(self, outputs: Any, rows: Sequence[Row]) -> Mapping[str, float]:
        """Metric values from the model's outputs (rows, ...) as a float64 array, in the order of ``rows``."""
