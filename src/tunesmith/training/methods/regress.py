"""One number per text: squared error of the standardised target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tunesmith.core.method import Columns, Forward, Loss, Objective, Row
from tunesmith.metrics import table
from tunesmith.numerics.losses import squared_error
from tunesmith.training.methods.config import RegressConfig
from tunesmith.training.targets import Scale


class Regress:
    """Squared error between the network's output and ``(target - mean) / std``."""

    def __init__(self, config: RegressConfig, target: Scale) -> None:
        self.target = target

    def rows(self, example: Mapping[str, Any], render: Callable[[str], Row]) -> Row:
        """The text's input columns and the standardised target."""
        return {**render(example["text"]), "target": (float(example["label"]) - self.target.mean) / self.target.std}

    def objectives(self) -> Sequence[Objective]:
        """Squared error on the model."""
        return (Objective("squared_error", self._loss),)

    def scores(self, outputs: Any, rows: Sequence[Row]) -> Mapping[str, float]:
        """Every regression metric, in the target's own units; nan where one has no value."""
        predicted = np.asarray(outputs)[:, 0] * self.target.std + self.target.mean
        actual = np.array([row["target"] for row in rows]) * self.target.std + self.target.mean
        return table.scores("regress", actual, predicted)

    def _loss(self, forward: Forward, batch: Columns) -> Loss:
        return Loss(*squared_error(forward("model", batch)[:, 0], batch["target"]))
