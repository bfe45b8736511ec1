"""Always the mean: what an error means on this target."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tunesmith.evaluation.baselines.rows import Rows


class Mean:
    """Predicts the mean target of the train rows, the constant with the least squared error there."""

    tasks: ClassVar[frozenset[str]] = frozenset({"regress"})
    needs_features: ClassVar[bool] = False

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}

    def fit(self, train: Rows, validation: Rows) -> None:
        """Take the mean."""
        self.settings = {"mean": train.targets.mean(0).tolist()}

    def predict(self, rows: Rows) -> NDArray[Any]:
        """The mean, for each row."""
        return np.full(rows.targets.shape, self.settings["mean"])
