"""Axes: a range of numbers with round ticks, and places on it in per cent."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Tick:
    """A marked place."""

    at: float
    """Per cent of the axis."""
    text: str


@dataclass(frozen=True)
class Axis:
    """A range of numbers."""

    low: float
    high: float
    step: float

    @classmethod
    def around(cls, values: Iterable[float], *, include: Iterable[float] = (), num_ticks: int = 5) -> Axis:
        """An axis that holds all finite values and ends at round numbers."""
        low, high, step = _range(values, include, num_ticks)
        return cls(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, step)

    @classmethod
    def along(cls, values: Iterable[float], *, num_ticks: int = 6) -> Axis:
        """An axis from 0 to the last value, with ticks at whole numbers where it is longer than a few."""
        low, high, step = _range(values, (0.0,), num_ticks)
        return cls(low, high, math.ceil(step) if high >= num_ticks else step)

    def at(self, value: float) -> float:
        """The place of a value in per cent, 0 at the low end."""
        return round(100 * (value - self.low) / (self.high - self.low), 3)

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """The round numbers from end to end."""
        digits = max(0, -math.floor(math.log10(self.step) + 1e-9))
        if abs(round(self.step, digits) - self.step) > 1e-9 * self.step:
            digits += 1
        first, last = math.ceil(self.low / self.step - 1e-9), math.floor(self.high / self.step + 1e-9)
        values = [place * self.step for place in range(first, last + 1)]
        # Rounded first, so that what was -0.0000001 is not written as -0.
        texts = [f"{round(value, digits) + 0.0:,.{digits}f}".replace("-", "−") for value in values]
        return tuple(Tick(self.at(value), text) for value, text in zip(values, texts, strict=True))


def _range(values: Iterable[float], include: Iterable[float], num_ticks: int) -> tuple[float, float, float]:
    """The lowest and highest finite value, and a round distance between about so many ticks."""
    known = [value for value in (*values, *include) if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        pad = abs(high) * 0.1 or 0.5
        low, high = low - pad, high + pad
    raw = (high - low) / num_ticks
    power = 10.0 ** math.floor(math.log10(raw))
    return low, high, power * min(STEPS, key=lambda one: abs(one - raw / power))
