"""Logistic regression for each label on the features of the base model: what it knows before any training."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tunesmith.evaluation.baselines.one_vs_rest import OneVsRest
from tunesmith.evaluation.baselines.rows import Rows

CS = (0.1, 1.0, 10.0)
"""Inverse penalties tried, on features of mean 0 and deviation 1."""


class BaseLogistic:
    """Gives every label by a logistic regression of its own; penalty and thresholds are chosen on validation."""

    tasks: ClassVar[frozenset[str]] = frozenset({"tag"})
    needs_features: ClassVar[bool] = True

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}

    def fit(self, train: Rows, validation: Rows) -> None:
        """Standardise the features and fit."""
        features_ND = np.asarray(train.features_ND, np.float64)
        self.mean_D, self.std_D = features_ND.mean(0), np.maximum(features_ND.std(0), 1e-12)
        self.model = OneVsRest(CS)
        self.settings = self.model.fit(self._scaled(train), train.targets, self._scaled(validation), validation.targets)

    def predict(self, rows: Rows) -> NDArray[Any]:
        """Margins by label."""
        return self.model.margins(self._scaled(rows))

    def _scaled(self, rows: Rows) -> NDArray[np.float64]:
        features_ND = np.asarray(rows.features_ND, np.float64).reshape(len(rows.texts), -1)
        # Divided by the root of the width, so that one penalty suits bases of any width.
        return np.asarray((features_ND - self.mean_D) / self.std_D / np.sqrt(len(self.mean_D)) * 10)
