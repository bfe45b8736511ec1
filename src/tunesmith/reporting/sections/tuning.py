"""How the settings were searched: the curve, the trials, what mattered, and the gain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tunesmith.reporting import wording
from tunesmith.reporting.charts.curves import Curve, curve_chart
from tunesmith.reporting.view import RunView

SHOWN = 30
"""Trials shown at once, the best first; the others are folded away."""
STATES = {"complete": "to its end", "paused": "paused", "failed": "failed"}


@dataclass(frozen=True)
class TrialRow:
    """One trial as a row of the table."""

    number: int
    settings: tuple[str, ...]
    epochs: str
    value: str
    state: str
    is_chosen: bool


@dataclass(frozen=True)
class Tuning:
    """The search of a run that tuned its settings."""

    facts: Mapping[str, Any]
    words: str
    curve: Markup | None
    keys: tuple[str, ...]
    chosen: tuple[tuple[str, str, str], ...]
    """Key, the recipe's own value, the chosen one."""
    importance: tuple[tuple[str, float], ...]
    trials: tuple[TrialRow, ...]
    more: tuple[TrialRow, ...]
    counts: tuple[tuple[str, str], ...]


def tuning_of(view: RunView) -> Tuning | None:
    """The search, or None where the recipe did not tune."""
    facts = next((made["settings"] for made in view.made.values() if "settings" in made), None)
    if facts is None:
        return None
    rows = _rows(facts)
    metric = wording.metric(facts["metric"])
    return Tuning(
        facts=facts,
        words=_words(facts, metric),
        curve=curve_chart(
            [Curve("best so far", "valid", _steps(facts["curve"]))], label=f"Best {metric} so far over epochs spent"
        ),
        keys=tuple(key.removeprefix("train.") for key in facts["space"]),
        chosen=tuple((key, _value(facts["own"].get(key)), _value(facts["settings"][key])) for key in facts["space"]),
        importance=tuple(sorted(facts["importance"].items(), key=lambda one: -one[1])),
        trials=rows[:SHOWN],
        more=rows[SHOWN:],
        counts=tuple(_counts(facts)),
    )


def _words(facts: Mapping[str, Any], metric: str) -> str:
    gain = facts["gain"]
    if gain["verdict"] == "own":
        return f"No settings did better than the recipe's own: {metric} {wording.number(facts['value'])} on validation."
    known = f"{metric} {wording.number(facts['value'])} on the validation rows"
    if "difference" not in gain:
        return f"The chosen settings reach {known}; {gain['words']}."
    side = "better" if gain["difference"] >= 0 else "worse"
    more = f"{wording.number(abs(gain['difference']))} {side} than the recipe's own"
    if gain["verdict"] == "not measured":
        return f"The chosen settings reach {known}, {more}; {gain['words']}."
    span = f"95 % interval {wording.span(gain, signed=True)}"
    if gain["verdict"] == "better":
        return f"The chosen settings reach {known}, {more} ({span}): beyond noise."
    return f"The chosen settings reach {known}, {more} ({span}): within noise, the recipe's own may be as good."


def _rows(facts: Mapping[str, Any]) -> tuple[TrialRow, ...]:
    sign = -1.0 if facts["higher_is_better"] else 1.0

    def order(one: Mapping[str, Any]) -> tuple[bool, bool, float, float, int]:
        # The chosen one first, then those trained furthest, the best of them first.
        value = one["value"]
        return (one["number"] != facts["best"], value is None, -one["share"], sign * (value or 0.0), one["number"])

    return tuple(
        TrialRow(
            number=one["number"],
            settings=tuple(_value(one["settings"].get(key)) for key in facts["space"]),
            epochs=f"{one['epochs']:g}",
            value=wording.number(one["value"]) if one["value"] is not None else "—",
            state=STATES[one["state"]] + (f": {one['why']}" if one["why"] else ""),
            is_chosen=one["number"] == facts["best"],
        )
        for one in sorted(facts["trials"], key=order)
    )


def _counts(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    states = [one["state"] for one in facts["trials"]]
    saved = facts["epochs_saved"]
    return [
        ("Searcher", str(facts["searcher"])),
        ("Trials", wording.count(len(states))),
        ("Trained to their end", wording.count(states.count("complete"))),
        ("Paused early", wording.count(states.count("paused"))),
        ("Failed", wording.count(states.count("failed"))),
        ("Epochs spent", f"{facts['epochs_spent']:,.1f}"),
        ("Epochs saved by pausing", f"{saved:,.1f}"),
        ("Validation rows", wording.count(facts["num_validation_rows"])),
        ("Ended", str(facts["ended"])),
    ]


def _steps(points: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """The best value stays until a better one is found."""
    drawn: list[tuple[float, float]] = []
    for epochs, value in points:
        if drawn and value != drawn[-1][1]:
            drawn.append((epochs, drawn[-1][1]))
        drawn.append((epochs, value))
    return drawn


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return "none" if value is None else str(value)
