"""Nearest class mean in the space of the base model: what it knows before any training."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tunesmith.evaluation.baselines.rows import Rows


class BaseCentroid:
    """Predicts the label whose mean feature vector has the largest cosine with the row's."""

    tasks: ClassVar[frozenset[str]] = frozenset({"classify"})
    needs_features: ClassVar[bool] = True

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}

    def fit(self, train: Rows, validation: Rows) -> None:
        """Take the mean direction of each label's rows."""
        unit_ND = _unit(train.features_ND)
        self.labels = np.unique(train.targets)
        self.means_CD = _unit(np.stack([unit_ND[train.targets == label].mean(0) for label in self.labels]))
        self.settings = {"similarity": "cosine", "num_classes": len(self.labels)}

    def predict(self, rows: Rows) -> NDArray[Any]:
        """The nearest label; among equals the first in the alphabet."""
        similarity_NC = _unit(rows.features_ND) @ self.means_CD.T
        return np.asarray(self.labels[similarity_NC.argmax(1)])


def _unit(vectors_ND: NDArray[Any] | None) -> NDArray[np.float64]:
    """The vectors at length 1; a vector of zeros stays."""
    vectors_ND = np.asarray(vectors_ND, np.float64)
    length_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return np.asarray(vectors_ND / np.where(length_N1 > 0, length_N1, 1))
