"""How well scores put what belongs before what does not: ROC and precision-recall curves and their areas.

Shapes: N rows, C classes, P points of a curve. Names and conventions as in scikit-learn: equal scores are one step.
A row counts as often as its weight says, so that a resample is a vector of weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Steps:
    """What lies at or above each distinct score, from the highest down."""

    scores_P: Floats
    hits_P: Floats
    """Rows that belong."""
    alarms_P: Floats
    """Rows that do not."""

    @property
    def has_both(self) -> bool:
        """Whether there are rows of both sorts: without them no curve has a meaning."""
        return bool(len(self.scores_P) and self.hits_P[-1] > 0 and self.alarms_P[-1] > 0)


def steps(belongs_N: Bools, scores_N: Floats, weights_N: Floats | None = None) -> Steps:
    """The rows counted by falling score."""
    order_N = np.argsort(-scores_N, kind="stable")
    weights_N = np.ones(len(scores_N)) if weights_N is None else weights_N[order_N]
    sorted_N, belongs_N = scores_N[order_N], belongs_N[order_N]
    last_P = np.flatnonzero(np.append(np.diff(sorted_N) != 0, True)) if len(sorted_N) else np.zeros(0, int)
    hits_N, alarms_N = np.cumsum(weights_N * belongs_N), np.cumsum(weights_N * ~belongs_N)
    return Steps(sorted_N[last_P], hits_N[last_P], alarms_N[last_P])


def roc(counts: Steps) -> tuple[Floats, Floats]:
    """The ROC curve from (0, 0) to (1, 1): false alarm rate and hit rate."""
    return (
        np.concatenate([[0.0], counts.alarms_P / counts.alarms_P[-1]]),
        np.concatenate([[0.0], counts.hits_P / counts.hits_P[-1]]),
    )


def precision_recall(counts: Steps) -> tuple[Floats, Floats]:
    """The precision-recall curve, from the surest answers on: recall and precision."""
    precision_P = counts.hits_P / np.maximum(counts.hits_P + counts.alarms_P, np.finfo(float).tiny)
    return np.concatenate([[0.0], counts.hits_P / counts.hits_P[-1]]), np.concatenate([precision_P[:1], precision_P])


def auroc(counts: Steps) -> float:
    """The area under the ROC curve: how often a row that belongs scores above one that does not; nan without both."""
    if not counts.has_both:
        return float("nan")
    alarms_P, hits_P = roc(counts)
    return float(np.trapezoid(hits_P, alarms_P))


def average_precision(counts: Steps) -> float:
    """The mean precision over the steps of recall; nan where no row belongs."""
    if not len(counts.scores_P) or counts.hits_P[-1] == 0:
        return float("nan")
    recall_P, precision_P = precision_recall(counts)
    return float((np.diff(recall_P) * precision_P[1:]).sum())


def one_against_rest(probabilities_NC: Floats, belongs_NC: Bools) -> list[Steps]:
    """The steps of every label against all others."""
    return [steps(belongs_NC[:, at], probabilities_NC[:, at]) for at in range(probabilities_NC.shape[1])]


def pooled(probabilities_NC: Floats, belongs_NC: Bools) -> Steps:
    """The steps of all (row, label) pairs together: the micro average."""
    return steps(belongs_NC.ravel(), probabilities_NC.ravel())
