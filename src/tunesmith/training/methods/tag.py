"""Any number of labels per text: a binary cross-entropy for each label."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from tunesmith.core.errors import RecipeError
from tunesmith.core.method import Columns, Forward, Loss, Objective, Row
from tunesmith.metrics import table
from tunesmith.numerics.losses import binary_cross_entropy
from tunesmith.training.methods.config import TagConfig
from tunesmith.training.targets import LabelSets

MOST_WEIGHT = 100.0
"""A label of one row in a thousand would else drown the others: its few rows are mostly noise."""


class Tag:
    """Binary cross-entropy summed over the labels, with label smoothing and weights where asked."""

    def __init__(self, config: TagConfig, target: LabelSets) -> None:
        self.smoothing, self.target = config.label_smoothing, target
        weights = _weights(config, target)
        self.weight_C = None if weights is None else torch.tensor(weights)

    def rows(self, example: Mapping[str, Any], render: Callable[[str], Row]) -> Row:
        """The text's input columns and a yes or no for each label."""
        return {**render(example["text"]), "target": self.target.encoded(example["label"])}

    def objectives(self) -> Sequence[Objective]:
        """Binary cross-entropy on the model."""
        return (Objective("binary_cross_entropy", self._loss),)

    def scores(self, outputs: Any, rows: Sequence[Row]) -> Mapping[str, float]:
        """Every metric of several labels, a label being given from probability 0.5 on."""
        has_NC = np.stack([row["target"] for row in rows])
        # A logit is at least 0 where its probability is at least 0.5, and ranks rows alike.
        return table.scores("tag", has_NC, np.asarray(outputs))

    def _loss(self, forward: Forward, batch: Columns) -> Loss:
        logits_BC, target_BC = forward("model", batch), batch["target"]
        return Loss(
            *binary_cross_entropy(logits_BC, target_BC, label_smoothing=self.smoothing, positive_weight_C=self.weight_C)
        )


def _weights(config: TagConfig, target: LabelSets) -> list[float] | None:
    """The weight of a yes for each label, or none."""
    if config.class_weights == "none":
        return None
    if config.class_weights == "balanced":
        return [min(MOST_WEIGHT, (target.num_rows - count) / count) if count else 1.0 for count in target.counts]
    unknown = sorted(set(config.class_weights) - set(target.names))
    if unknown:
        raise RecipeError(
            "train.method.class_weights names labels that no training row has",
            seen=", ".join(unknown),
            allowed=", ".join(target.names),
        )
    return [config.class_weights.get(name, 1.0) for name in target.names]
