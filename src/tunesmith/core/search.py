"""Searching for good settings: what a space is made of, and who decides which trial goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, Self

from pydantic import Field, model_validator

from tunesmith.core import digests
from tunesmith.core.config import Config
from tunesmith.core.errors import RecipeError

Number = Annotated[int, Field(strict=True)] | Annotated[float, Field(strict=True)]
Values = Mapping[str, Any]
"""A value for each key of a space."""


class Range(Config):
    """Every number between two ends. Short: `[1e-5, 1e-3, log]`."""

    low: Number
    """The lowest value, itself included."""
    high: Number
    """The highest value, itself included; above `low`."""
    log: bool = False
    """Draws the value's order of magnitude: right for learning rates. Needs `low` above 0. Default: off."""
    whole: bool | None = None
    """Only whole numbers. Null: where the setting takes no others."""

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.low >= self.high:
            raise RecipeError(
                "the lower end of a range must be below its upper end",
                seen=f"[{self.low:g}, {self.high:g}]",
                next="swap them" if self.low > self.high else "give one value under `train:` instead",
            )
        if self.log and self.low <= 0:
            raise RecipeError(
                "a range by order of magnitude cannot begin at 0 or below",
                seen=f"[{self.low:g}, {self.high:g}, log]",
                next="begin above 0, for example at 1e-6, or leave `log` out",
            )
        return self


class Choice(Config):
    """One of some values. Numbers among themselves keep their order, which a searcher makes use of."""

    choice: Annotated[tuple[Any, ...], Field(min_length=1)]
    """The values to choose from, each once."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len({digests.canonical(value) for value in self.choice}) < len(self.choice):
            raise RecipeError("a choice names a value twice", seen=list(self.choice), next="name each once")
        return self

    @property
    def is_ordered(self) -> bool:
        """Whether all are numbers."""
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.choice)


Dimension = Range | Choice
Space = Mapping[str, Dimension]
"""The settings that are searched, by dotted key."""


@dataclass(frozen=True)
class Move:
    """The next piece of work: train a trial, new or paused, until this share of its whole length."""

    trial: int
    settings: Values
    share: float


class Searcher(Protocol):
    """Decides which trial goes on. Its moves follow from what it was told, so telling again brings it back."""

    def ask(self, *, is_closing: bool = False) -> Move | None:
        """The next move, or None when there is nothing left to try; closing, only what must still be finished."""

    def tell(self, move: Move, value: float | None) -> None:
        """The best value a trial has reached by the end of a move; None where it failed."""

    def best(self) -> int | None:
        """The trial to take: the best of those trained furthest."""

    def importance(self) -> Mapping[str, float]:
        """How much of what the trials' values differ by goes back to each key, in shares; empty where unknown."""

    def can_go_on(self, number: int) -> bool:
        """Whether a paused trial may still be asked for; the checkpoint of one that may not can go."""
