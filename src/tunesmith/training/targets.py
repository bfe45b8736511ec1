"""What the training rows say about the target: labels and their counts, or mean and deviation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.core.errors import DataError


@dataclass(frozen=True)
class Labels:
    """The labels in the order of the network's outputs, with the number of training rows of each."""

    names: tuple[str, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, names: Sequence[str], targets: Sequence[str]) -> Labels:
        """The labels of a data set; names that no training row has count 0."""
        counts = dict.fromkeys(names, 0)
        for target in targets:
            counts[target] += 1
        return cls(tuple(names), tuple(counts.values()))

    def index(self, label: str) -> int:
        """The output that stands for a label."""
        return self.names.index(label)


@dataclass(frozen=True)
class Scale:
    """Mean and deviation of the training target; the network learns ``(target - mean) / std``."""

    mean: float
    std: float

    @classmethod
    def of(cls, targets: Sequence[float]) -> Scale:
        """The scale of the training target.

        Raises: DataError where every target is the same: there is nothing to learn.
        """
        values = np.asarray(targets, dtype=np.float64)
        if values.std() == 0.0:
            raise DataError(
                "every training row has the same target: there is nothing to learn",
                seen=f"{len(values)} rows of {values[0]:g}",
                next="check which column is mapped to `label`",
            )
        return cls(float(values.mean()), float(values.std()))
