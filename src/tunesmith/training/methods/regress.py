"""One number per text, or several: squared error of the standardised targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tunesmith.core.method import Columns, Forward, Loss, Objective, Row
from tunesmith.metrics import table
from tunesmith.numerics.losses import squared_error
from tunesmith.training.methods.config import RegressConfig
from tunesmith.training.targets import Scale, Scales


class Regress:
    """Squared error between the network's outputs and ``(target - mean) / std``; over several targets their mean."""

    def __init__(self, config: RegressConfig, target: Scale | Scales) -> None:
        self.target = target

    def rows(self, example: Mapping[str, Any], render: Callable[[str], Row]) -> Row:
        """The text's input columns and the standardised target, or the vector of them."""
        target = self.target
        if isinstance(target, Scales):
            return {**render(example["text"]), "target": target.standardized(example["label"])}
        return {**render(example["text"]), "target": (float(example["label"]) - target.mean) / target.std}

    def objectives(self) -> Sequence[Objective]:
        """Squared error on the model."""
        return (Objective("squared_error", self._loss),)

    def scores(self, outputs: Any, rows: Sequence[Row]) -> Mapping[str, float]:
        """Every regression metric; nan where one has no value.

        One target is in its own units; several are in deviations of the training rows, so that their mean means
        something.
        """
        outputs_NK, target = np.asarray(outputs), self.target
        if isinstance(target, Scales):
            return table.scores("regress", np.stack([row["target"] for row in rows]), outputs_NK)
        predicted = outputs_NK[:, 0] * target.std + target.mean
        actual = np.array([row["target"] for row in rows]) * target.std + target.mean
        return table.scores("regress", actual, predicted)

    def _loss(self, forward: Forward, batch: Columns) -> Loss:
        if isinstance(self.target, Scale):
            return Loss(*squared_error(forward("model", batch)[:, 0], batch["target"]))
        # Divided by rows times targets, so that a rate good for one target is good for several.
        return Loss(*squared_error(forward("model", batch), batch["target"]))
