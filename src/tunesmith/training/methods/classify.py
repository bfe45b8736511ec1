"""One label per text: cross-entropy over the labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from tunesmith.core.errors import RecipeError
from tunesmith.core.method import Columns, Forward, Loss, Objective, Row
from tunesmith.metrics import table
from tunesmith.numerics.losses import cross_entropy
from tunesmith.training.methods.config import ClassifyConfig
from tunesmith.training.targets import Labels


class Classify:
    """Cross-entropy, with label smoothing and class weights where asked."""

    def __init__(self, config: ClassifyConfig, target: Labels) -> None:
        self.smoothing = config.label_smoothing
        self.target = target
        self._index = {name: place for place, name in enumerate(target.names)}
        weights = _class_weights(config, target)
        self.class_weight_C = None if weights is None else torch.tensor(weights)

    def rows(self, example: Mapping[str, Any], render: Callable[[str], Row]) -> Row:
        """The text's input columns and the label's index."""
        return {**render(example["text"]), "target": self._index[example["label"]]}

    def objectives(self) -> Sequence[Objective]:
        """Cross-entropy on the model."""
        return (Objective("cross_entropy", self._loss),)

    def scores(self, outputs: Any, rows: Sequence[Row]) -> Mapping[str, float]:
        """Every classification metric of the most probable labels."""
        names = self.target.names
        predicted = [names[place] for place in np.argmax(outputs, axis=-1)]
        actual = [names[row["target"]] for row in rows]
        return table.scores("classify", actual, predicted)

    def _loss(self, forward: Forward, batch: Columns) -> Loss:
        logits_BC, target_B = forward("model", batch), batch["target"]
        total, weight = cross_entropy(
            logits_BC, target_B, label_smoothing=self.smoothing, class_weight_C=self.class_weight_C
        )
        return Loss(total, weight)


def _class_weights(config: ClassifyConfig, target: Labels) -> list[float] | None:
    """A weight for each label, or none; ``balanced`` is rows / (labels x rows of the label), as scikit-learn's."""
    if config.class_weights == "none":
        return None
    if config.class_weights == "balanced":
        seen = sum(1 for count in target.counts if count)
        return [sum(target.counts) / (seen * count) if count else 0.0 for count in target.counts]
    unknown = sorted(set(config.class_weights) - set(target.names))
    if unknown:
        raise RecipeError(
            "train.method.class_weights names labels that no training row has",
            seen=", ".join(unknown),
            allowed=", ".join(target.names),
        )
    return [config.class_weights.get(name, 1.0) for name in target.names]
