"""Always the most frequent label: what accuracy means on these classes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tunesmith.evaluation.baselines.rows import Rows


class Majority:
    """Predicts the most frequent label of the train rows; among equals the first in the alphabet.

    Where rows have several labels: those of more than half of the train rows, or the most frequent one if there is none
    such, since a baseline that says nothing would score 0 and be beaten by anything.
    """

    tasks: ClassVar[frozenset[str]] = frozenset({"classify", "tag"})
    needs_features: ClassVar[bool] = False

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}

    def fit(self, train: Rows, validation: Rows) -> None:
        """Count the labels."""
        if train.targets.ndim == 2:
            share_C = train.targets.mean(0)
            self.given_C = (share_C > 0.5) | (share_C == share_C.max())
            self.settings = {"labels_given": int(self.given_C.sum())}
            return
        labels, counts = np.unique(train.targets, return_counts=True)
        self.settings = {"label": str(labels[counts.argmax()])}

    def predict(self, rows: Rows) -> NDArray[Any]:
        """The label, for each row."""
        if rows.targets.ndim == 2:
            return np.where(np.broadcast_to(self.given_C, rows.targets.shape), 1.0, -1.0)
        return np.full(len(rows.texts), self.settings["label"])
