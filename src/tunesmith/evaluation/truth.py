"""What the test rows say, in the form that metrics compare with what was predicted.

Shapes: N rows, C labels, K targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.tasks import Task
from tunesmith.evaluation.predictions import Predictions

NOT_GIVEN = -1.0
"""The margin of a label that a predictor does not know."""


@dataclass(frozen=True)
class Truth:
    """The test rows' targets, and how predictions are brought to the same form."""

    task: Task
    targets_N: NDArray[Any]
    """classify: labels (N,); tag: which labels rows have (N, C); regress: numbers (N,), or with several targets (N, K)
    in deviations of the training rows, so that no target counts more for its unit."""
    labels: tuple[str, ...] = ()
    """tag: the model's labels, then those that only test rows have."""
    scale: Mapping[str, Mapping[str, float]] | None = None
    """Several targets: mean and deviation of the training rows of each."""

    def comparable(self, predicted_N: NDArray[Any]) -> NDArray[Any]:
        """Predictions in the form of the targets."""
        if self.task == "tag":
            num_unknown = len(self.labels) - predicted_N.shape[1]
            return np.pad(predicted_N, ((0, 0), (0, num_unknown)), constant_values=NOT_GIVEN)
        return predicted_N if self.scale is None else standardized(predicted_N, self.scale)

    def answers(self, answers: Predictions) -> Predictions:
        """The model's predictions in the form of the targets."""
        return replace(answers, predicted_N=self.comparable(answers.predicted_N))


def truth_of(task: Task, labels: Sequence[Any], known: Sequence[str], scale: Mapping[str, Any] | None) -> Truth:
    """What rows' labels say; ``known`` are the model's labels, ``scale`` that of several targets."""
    if task == "classify":
        return Truth(task, np.array(labels, dtype=str))
    if task == "tag":
        every = (*known, *sorted({name for names in labels for name in names} - set(known)))
        place = {name: at for at, name in enumerate(every)}
        has_NC = np.zeros((len(labels), len(every)), bool)
        for row, names in enumerate(labels):
            has_NC[row, [place[name] for name in names]] = True
        return Truth(task, has_NC, every)
    numbers_N = np.array(labels, dtype=float)
    return Truth(task, standardized(numbers_N, scale) if scale else numbers_N, scale=scale or None)


def standardized(values_NK: NDArray[Any], scale: Mapping[str, Mapping[str, float]]) -> NDArray[np.float64]:
    """Numbers of several targets in deviations of the training rows."""
    mean_K = np.array([one["mean"] for one in scale.values()])
    std_K = np.array([one["std"] for one in scale.values()])
    return np.asarray((values_NK - mean_K) / std_K)


def given_labels(margins_NC: NDArray[np.float64], labels: Sequence[str]) -> list[list[str]]:
    """The labels given to each row, in their order."""
    return [[labels[place] for place in np.flatnonzero(margins_C >= 0).tolist()] for margins_C in margins_NC]
