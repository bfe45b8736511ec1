"""Always the most frequent label: what accuracy means on these classes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tunesmith.evaluation.baselines.rows import Rows


class Majority:
    """Predicts the most frequent label of the train rows; among equals the first in the alphabet."""

    tasks: ClassVar[frozenset[str]] = frozenset({"classify"})
    needs_features: ClassVar[bool] = False

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}

    def fit(self, train: Rows, validation: Rows) -> None:
        """Count the labels."""
        labels, counts = np.unique(train.targets, return_counts=True)
        self.settings = {"label": str(labels[counts.argmax()])}

    def predict(self, rows: Rows) -> NDArray[Any]:
        """The label, for each row."""
        return np.full(len(rows.texts), self.settings["label"])
