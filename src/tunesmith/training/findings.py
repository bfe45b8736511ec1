"""What a search found, in the numbers a report shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunesmith.core.search import Move
from tunesmith.training.trial import Outcome

OWN = 0
"""The first trial: the recipe's own settings."""


def findings(
    moves: Sequence[tuple[Move, Outcome]], best: int, higher_is_better: bool, gain: tuple[float, float] | None
) -> dict[str, Any]:
    """Trials, the curve of the best value over epochs spent, and what the chosen settings have over the recipe's."""
    trials = _trials(moves)
    spent = sum(outcome.epochs for _, outcome in moves)
    own = next((one["value"] for one in trials if one["number"] == OWN and one["state"] == "complete"), None)
    value = next(one["value"] for one in trials if one["number"] == best)
    return {
        "best": best,
        "value": value,
        "own_value": own,
        "gain": _gain(best, value, own, higher_is_better, gain),
        "trials": trials,
        "curve": _curve(moves, higher_is_better),
        "epochs_spent": round(spent, 2),
        "epochs_saved": round(sum(one["epochs"] / one["share"] for one in trials if one["share"]) - spent, 2),
    }


def _trials(moves: Sequence[tuple[Move, Outcome]]) -> list[dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for move, outcome in moves:
        one = found.setdefault(
            move.trial,
            {"number": move.trial, "settings": dict(move.settings), "looks": [], "epochs": 0.0, "share": 0.0},
        )
        if outcome.value is None:
            one |= {"state": "failed", "why": outcome.why, "value": None}
            continue
        one["epochs"] = round(one["epochs"] + outcome.epochs, 4)
        one["share"] = move.share
        one["looks"].append({"share": round(move.share, 4), "epochs": one["epochs"], "value": outcome.value})
        one |= {"value": outcome.value, "state": "complete" if move.share >= 1.0 else "paused", "why": None}
    return list(found.values())


def _curve(moves: Sequence[tuple[Move, Outcome]], higher_is_better: bool) -> list[list[float]]:
    points: list[list[float]] = []
    spent, best = 0.0, None
    for _, outcome in moves:
        spent += outcome.epochs
        if outcome.value is None:
            continue
        is_better = best is None or (outcome.value > best if higher_is_better else outcome.value < best)
        best = outcome.value if is_better else best
        assert best is not None
        points.append([round(spent, 4), best])
    return points


def _gain(
    best: int, value: float, own: float | None, higher_is_better: bool, interval: tuple[float, float] | None
) -> dict[str, Any]:
    """What the chosen settings have over the recipe's own on the validation rows; above 0 is better."""
    if best == OWN:
        return {"verdict": "own", "words": "no settings did better than the recipe's own"}
    if own is None:
        return {"verdict": "not measured", "words": "the recipe's own settings were not trained to their end"}
    difference = value - own if higher_is_better else own - value
    if interval is None:
        return {
            "verdict": "not measured",
            "difference": difference,
            "words": "no interval: it is not measured row by row",
        }
    low, high = interval if higher_is_better else (-interval[1], -interval[0])
    is_shown = low > 0
    return {
        "verdict": "better" if is_shown else "within noise",
        "difference": difference,
        "low": low,
        "high": high,
        "words": "better than the recipe's own settings, beyond noise"
        if is_shown
        else "within noise of the recipe's own settings",
    }
