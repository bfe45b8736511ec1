"""What a model answered to rows, in the form that metrics are computed from.

Shapes: N rows, C labels or targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.tasks import Task
from tunesmith.models.manifest import Decision

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """What the model answered to rows, in their order."""

    labels: tuple[str, ...]
    """The model's labels, or the names of several targets, in the order of ``values_NC``; empty for one number."""
    predicted_N: NDArray[Any]
    """classify: labels (N,); regress: numbers (N,), or (N, K) with several targets; tag: margins (N, C), a label being
    given where its margin is at least 0."""
    probability_N: Floats | None
    """classify: of the predicted label; else None."""
    truncated_rows: int
    num_truncated_tokens: int
    values_NC: Floats
    """As the engine answered: probabilities by label, or values by target (one column for one number)."""
    score_N: Floats | None = None
    """classify, of a model that rejects: how surely each text is one that it knows."""


def decided(
    task: Task,
    labels: Sequence[str],
    decision: Decision,
    values_NC: Floats,
    num_cut_N: Sequence[int] | NDArray[np.int64],
    score_N: Floats | None = None,
) -> Predictions:
    """The predictions that an engine's values mean; ``num_cut_N`` are the tokens that each text lost."""
    cut_N = np.asarray(num_cut_N, int)
    predicted: NDArray[Any]
    probability_N = None
    if task == "classify":
        predicted, probability_N = np.array(labels)[values_NC.argmax(1)], values_NC.max(1)
    elif task == "tag":
        predicted = values_NC - thresholds(decision, len(labels))
    else:
        predicted = values_NC if len(labels) > 1 else values_NC[:, 0]
    return Predictions(
        tuple(labels),
        predicted,
        probability_N,
        truncated_rows=int((cut_N > 0).sum()),
        num_truncated_tokens=int(cut_N.sum()),
        values_NC=values_NC,
        score_N=score_N,
    )


def thresholds(decision: Decision, num_labels: int) -> Floats:
    """The probability from which each label is given: 0.5 where none was calibrated."""
    return np.array(decision.thresholds, float) if decision.thresholds else np.full(num_labels, 0.5)
