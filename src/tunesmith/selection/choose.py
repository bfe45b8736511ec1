"""Which candidate to take: the best, or a cheaper one that the rows cannot tell from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.metrics import table

SAMPLES = 1000
BLOCK = 50
"""Resamples weighed at a time: memory only."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Candidate:
    """A model as it is ranked."""

    name: str
    predicted: NDArray[Any]
    """For every row, by a probe that had not seen it."""
    operations: int
    """Multiplications and additions a text takes."""
    size_bytes: int


@dataclass(frozen=True)
class Choice:
    """The ranking and the reason."""

    chosen: int
    reason: str
    ranking: list[dict[str, Any]]
    """The best first: ``candidate`` (its place among those given), ``name``, ``value``, ``low``, ``high``, and
    ``behind``: what the best has over it with its interval, None for the best."""


def choose(candidates: Sequence[Candidate], targets: NDArray[Any], task: Any, metric_name: str, seed: int) -> Choice:
    """The candidate to take; differences are judged by a paired bootstrap over the same rows."""
    metric = table.METRICS[metric_name]
    sign = 1.0 if metric.higher_is_better else -1.0
    values = [metric(targets, one.predicted) for one in candidates]
    draws = _resampled(candidates, targets, task, metric, seed)
    order = sorted(
        range(len(candidates)), key=lambda place: (-sign * values[place], candidates[place].operations, place)
    )
    best = order[0]
    tail = (1 - CONFIDENCE) / 2
    ranking: list[dict[str, Any]] = []
    tied = [best]
    for place in order:
        low, high = np.quantile(draws[place], [tail, 1 - tail])
        behind: dict[str, Any] | None = None
        if place != best:
            gap_low, gap_high = np.quantile(sign * (draws[best] - draws[place]), [tail, 1 - tail])
            value = sign * (values[best] - values[place])
            behind = {"value": value, "low": float(gap_low), "high": float(gap_high), "is_shown": bool(gap_low > 0)}
            if not behind["is_shown"]:
                tied.append(place)
        row = {"candidate": place, "name": candidates[place].name, "value": values[place], "behind": behind}
        row |= {"low": float(low), "high": float(high)}
        ranking.append(row)
    chosen = min(
        tied, key=lambda place: (candidates[place].operations, candidates[place].size_bytes, order.index(place))
    )
    return Choice(chosen, _reason(candidates, ranking, chosen, best), ranking)


def _resampled(
    candidates: Sequence[Candidate], targets: NDArray[Any], task: Any, metric: table.Metric, seed: int
) -> list[NDArray[np.float64]]:
    """The metric of each candidate on the same resamples of the rows."""
    rng = np.random.default_rng(seed)
    num_rows = len(targets)
    parts: list[list[NDArray[np.float64]]] = [[] for _ in candidates]
    for _ in range(SAMPLES // BLOCK):
        weights_XN = rng.multinomial(num_rows, np.full(num_rows, 1 / num_rows), size=BLOCK)
        for place, one in enumerate(candidates):
            parts[place].append(metric.compute(table.summarize(task, targets, one.predicted, weights_XN)))
    return [np.nan_to_num(np.concatenate(part)) for part in parts]


def _reason(candidates: Sequence[Candidate], ranking: Sequence[dict[str, Any]], chosen: int, best: int) -> str:
    name = candidates[chosen].name
    if len(candidates) == 1:
        return f"`{name}` is the only candidate"
    if chosen != best:
        behind = next(row["behind"] for row in ranking if row["candidate"] == chosen)
        times = candidates[best].operations / max(1, candidates[chosen].operations)
        return (
            f"`{candidates[best].name}` scores best, `{name}` is within noise of it (difference {behind['value']:.3f}, "
            f"95 % interval {behind['low']:.3f} to {behind['high']:.3f}) and takes {times:.1f} times less work a text"
        )
    second = ranking[1]
    if second["behind"]["is_shown"]:
        return f"`{name}` scores best, and the rows show it against every other candidate"
    return f"`{name}` scores best, and none that is within noise of it takes less work"
