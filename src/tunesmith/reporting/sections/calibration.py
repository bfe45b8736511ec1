"""Whether the stated probabilities can be believed, or how far off the numbers are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

from markupsafe import Markup

from tunesmith.reporting import wording
from tunesmith.reporting.charts.unit_square import Mark, reliability_chart
from tunesmith.reporting.view import RunView

Z95 = 1.96
"""Whiskers of the diagram are 95 % intervals of a share (Wilson 1927)."""


@dataclass(frozen=True)
class Calibration:
    """What the part shows of probabilities."""

    chart: Markup
    words: str
    facts: tuple[tuple[str, str], ...]
    is_compared: bool
    """Whether the figures before the temperature are drawn too."""


@dataclass(frozen=True)
class NumberIntervals:
    """What the part shows of numbers."""

    words: str
    rows: tuple[tuple[str, str, str, str], ...]
    """Asked share, half-width, measured share, its interval."""
    facts: tuple[tuple[str, str], ...]
    chart: None = None


def calibration_of(view: RunView) -> Calibration | NumberIntervals | None:
    """The calibration of a run; None where it was not measured."""
    seen = view.report.get("calibration")
    if not seen:
        return None
    return _labels(seen) if "bins" in seen else _numbers(seen)


def _labels(seen: Mapping[str, Any]) -> Calibration:
    before = seen.get("before")
    marks = [
        Mark(one["confidence"], one["accuracy"], *_wilson(one["accuracy"], one["num_rows"]), one["num_rows"])
        for one in seen["bins"]
    ]
    faint = [(one["confidence"], one["accuracy"]) for one in before["bins"]] if before else []
    error = seen["error"]
    facts = [
        ("Expected calibration error", f"{wording.share(error['value'])} ({_span(error)})"),
        ("The same by chance alone, were it calibrated", wording.share(seen["by_chance"])),
        ("Brier score, 0 is best", wording.number(seen["brier"])),
        ("Log loss, 0 is best", wording.number(seen["log_loss"])),
    ]
    if before:
        scale = f"logits divided by {wording.number(seen['temperature'])}, fitted on validation rows"
        changed = f"error {wording.share(before['error'])}, log loss {wording.number(before['log_loss'])}"
        facts += [("Temperature", scale), ("Before it", changed)]
    return Calibration(reliability_chart(marks, faint), _label_words(seen), tuple(facts), bool(before))


def _label_words(seen: Mapping[str, Any]) -> str:
    sure, right = wording.share(seen["confidence"]), wording.share(seen["accuracy"])
    off = seen["confidence"] - seen["accuracy"]
    words = f"On average it is {sure} sure and {right} right. "
    if seen["verdict"] == "not shown":
        return words + (
            "No miscalibration is shown: its probabilities may be read as how often it is right, "
            f"to within what {wording.counted(seen['num_rows'], 'test row')} can tell."
        )
    if abs(off) < 0.005:
        return words + "Yet its probabilities are shown to be off in places: look where dots leave the line."
    how = "more sure than it is right" if off > 0 else "more often right than it says"
    return words + f"That is shown to be off: it is {how}. Choose a threshold by the table below, not by its number."


def _numbers(seen: Mapping[str, Any]) -> NumberIntervals:
    rows = tuple(
        (
            wording.share(one["level"]),
            f"± {wording.number(one['half_width'])}",
            wording.share(one["coverage"]["value"]),
            _span(one["coverage"]),
        )
        for one in seen["levels"]
    )
    words = (
        "How far from the truth an answer may be. Each width was taken from one half of the test rows and checked on "
        "the other, so the measured share is no promise of a row about itself."
    )
    facts = (
        ("Mean error, its bias", wording.number(seen["bias"], signed=True)),
        ("Deviation of the errors", wording.number(seen["deviation"])),
    )
    return NumberIntervals(words, rows, facts)


def _span(interval: Mapping[str, Any]) -> str:
    return f"{wording.share(interval['low'])} to {wording.share(interval['high'])}"


def _wilson(share: float, num_rows: int) -> tuple[float, float]:
    spread = Z95 * Z95 / num_rows
    half = sqrt(spread * (share * (1 - share) + spread / 4))
    centre = share + spread / 2
    return (centre - half) / (1 + spread), (centre + half) / (1 + spread)
