"""ROC and precision-recall of every label against the rest: areas by label, and curves small enough to draw.

Shapes: N rows, C labels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.metrics import ranking

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Facts = dict[str, Any]
Line = tuple[Floats, Floats]

DRAWN_LABELS = 6
"""Up to so many labels each have a curve of their own; more are drawn as their averages."""
POINTS = 80
"""Points of a drawn curve."""


def label_curves(probabilities_NC: Floats, belongs_NC: Bools, labels: tuple[str, ...]) -> Facts | str:
    """The areas of every label and of their averages, and curves to draw; or why there are none.

    Labels without a test row, or that every test row has, have no curve and count in no average.
    """
    every = dict(zip(labels, ranking.one_against_rest(probabilities_NC, belongs_NC), strict=True))
    known = {label: counts for label, counts in every.items() if counts.has_both}
    if not known:
        return "no label has both test rows with it and test rows without it"
    pooled = ranking.pooled(probabilities_NC, belongs_NC)
    by_label = {
        label: {
            "auroc": ranking.auroc(counts),
            "average_precision": ranking.average_precision(counts),
            "support": int(counts.hits_P[-1]),
        }
        for label, counts in known.items()
    }
    lines = {"all labels pooled": pooled} if len(known) > DRAWN_LABELS else known
    # Of two labels that exclude each other one curve is the other's mirror image: the rarer one is drawn.
    if len(known) == 2 and belongs_NC.sum(1).max() == 1:
        rarer = min(known, key=lambda label: (by_label[label]["support"], label))
        lines = {rarer: known[rarer]}
    drawn = [
        {"name": name, "roc": _points(ranking.roc(counts)), "pr": _points(ranking.precision_recall(counts))}
        for name, counts in lines.items()
    ]
    if len(known) > DRAWN_LABELS:
        drawn.append(_mean_curve(list(known.values())))
    return {
        "num_rows": len(belongs_NC),
        "auroc_macro": float(np.mean([one["auroc"] for one in by_label.values()])),
        "auroc_micro": ranking.auroc(pooled),
        "average_precision_macro": float(np.mean([one["average_precision"] for one in by_label.values()])),
        "average_precision_micro": ranking.average_precision(pooled),
        "by_chance": float(np.mean([one["support"] for one in by_label.values()]) / len(belongs_NC)),
        "labels": by_label,
        "without": [label for label in labels if label not in known],
        "drawn": drawn,
    }


def _mean_curve(counts: list[ranking.Steps]) -> Facts:
    """The mean of the labels' curves, hit rate over false alarm rate and precision over recall."""
    grid = np.linspace(0, 1, POINTS)
    hits = np.mean([_at(grid, ranking.roc(one), np.max) for one in counts], axis=0)
    precision = np.mean([_at(grid, ranking.precision_recall(one), np.min) for one in counts], axis=0)
    roc = (np.concatenate([[0.0], grid]), np.concatenate([[0.0], hits]))
    return {"name": "mean of the labels", "roc": _points(roc), "pr": _points((grid, precision))}


def _at(grid: Floats, line: Line, at_jumps: Callable[[Floats], Any]) -> Floats:
    """The curve's height at places of the grid; where it jumps there, the highest or the lowest."""
    across, up = line
    unique, first = np.unique(across, return_index=True)
    groups = np.split(up, first[1:])
    return np.asarray(np.interp(grid, unique, [at_jumps(group) for group in groups]))


def _points(line: Line) -> list[list[float]]:
    """At most ``POINTS`` points of a curve, equally spaced along it, both ends kept."""
    across, up = line
    if len(across) > POINTS:
        way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(across)) + np.abs(np.diff(up)))])
        kept = np.unique(np.searchsorted(way, np.linspace(0, way[-1], POINTS)).clip(0, len(across) - 1))
        kept = np.union1d(kept, [0, len(across) - 1])
        across, up = across[kept], up[kept]
    return [[round(float(x), 4), round(float(y), 4)] for x, y in zip(across, up, strict=True)]
