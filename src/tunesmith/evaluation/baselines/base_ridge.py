"""Ridge regression on the features of the base model: what it knows before any training."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tunesmith.evaluation.baselines.rows import Rows

ALPHAS = tuple(10.0**power for power in range(-4, 5))
"""Penalties tried, relative to the features' mean variance, so that their scale does not matter."""
WITHOUT_VALIDATION = 1.0


class BaseRidge:
    """Predicts the target by ridge regression; the penalty with the least squared error on validation wins."""

    tasks: ClassVar[frozenset[str]] = frozenset({"regress"})
    needs_features: ClassVar[bool] = True

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}

    def fit(self, train: Rows, validation: Rows) -> None:
        """Solve for every penalty from one eigendecomposition of the features' scatter."""
        features_ND = np.asarray(train.features_ND, np.float64)
        self.center_D, self.mean = features_ND.mean(0), train.targets.mean(0)
        # Several targets count alike in the choice of the penalty, whatever their units.
        unit = np.maximum(train.targets.std(0), 1e-12) if train.targets.ndim == 2 else 1.0
        centred_ND = features_ND - self.center_D
        values_D, vectors_DD = np.linalg.eigh(centred_ND.T @ centred_ND)
        projected_D = vectors_DD.T @ (centred_ND.T @ (train.targets - self.mean))
        scale = max(float(values_D.mean()), np.finfo(float).tiny)

        def solve(alpha: float) -> NDArray[np.float64]:
            shrunk_D = np.maximum(values_D, 0) + alpha * scale
            return np.asarray(vectors_DD @ (projected_D.T / shrunk_D).T)

        def error(alpha: float) -> float:
            self.weights_D = solve(alpha)
            return float((((self.predict(validation) - validation.targets) / unit) ** 2).mean())

        alpha = min(ALPHAS, key=error) if validation.texts else WITHOUT_VALIDATION
        self.weights_D = solve(alpha)
        self.settings = {"alpha": alpha * scale, "chosen_on": "validation" if validation.texts else "default"}

    def predict(self, rows: Rows) -> NDArray[Any]:
        """The predicted number, for each row."""
        features_ND = np.asarray(rows.features_ND, np.float64)
        return np.asarray((features_ND - self.center_D) @ self.weights_D + self.mean)
