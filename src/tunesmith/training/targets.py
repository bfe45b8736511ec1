"""What the training rows say about the target: labels and their counts, or means and deviations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    def __contains__(self, label: str) -> bool:
        return label in self.names

    def index(self, label: str) -> int:
        """The output that stands for a label."""
        return self.names.index(label)


@dataclass(frozen=True)
class LabelSets:
    """The labels in the order of the network's outputs, where a row has any number of them."""

    names: tuple[str, ...]
    counts: tuple[int, ...]
    """Training rows that have each."""
    num_rows: int
    _place: dict[str, int] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, names: Sequence[str], targets: Sequence[Sequence[str]]) -> LabelSets:
        """The labels of a data set."""
        counts = Counter(label for labels in targets for label in labels)
        place = {name: at for at, name in enumerate(names)}
        return cls(tuple(names), tuple(counts[name] for name in names), len(targets), place)

    def encoded(self, labels: Sequence[str]) -> NDArray[np.uint8]:
        """A 1 for each label of a row, (C,); labels that no training row has are nowhere."""
        has_C = np.zeros(len(self.names), dtype=np.uint8)
        for label in labels:
            if label in self._place:
                has_C[self._place[label]] = 1
        return has_C


@dataclass(frozen=True)
class Scale:
    """Mean and deviation of the training target; the network learns ``(target - mean) / std``."""

    mean: float
    std: float

    @classmethod
    def of(cls, targets: Sequence[float] | NDArray[np.float64]) -> Scale:
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


@dataclass(frozen=True)
class Scales:
    """Mean and deviation of each of several training targets, in the order of the network's outputs."""

    names: tuple[str, ...]
    parts: tuple[Scale, ...]

    @classmethod
    def of(cls, names: Sequence[str], targets: Sequence[Sequence[float]]) -> Scales:
        """The scales of the training targets.

        Raises: DataError where one of them is always the same.
        """
        values_NK = np.asarray(targets, dtype=np.float64)
        parts = []
        for name, column_N in zip(names, values_NK.T, strict=True):
            try:
                parts.append(Scale.of(column_N))
            except DataError as error:
                raise DataError(
                    f"every training row has the same `{name}`: there is nothing to learn",
                    seen=error.seen,
                    next=f"take `{name}` out of `columns: {{label: [...]}}`",
                ) from None
        return cls(tuple(names), tuple(parts))

    def standardized(self, values: Sequence[float]) -> NDArray[np.float32]:
        """A row's targets in deviations from their means: (K,)."""
        pairs = zip(values, self.parts, strict=True)
        return np.array([(value - one.mean) / one.std for value, one in pairs], dtype=np.float32)


Target = Labels | LabelSets | Scale | Scales


def target_of(task: str, splits: Mapping[str, Any], train: Sequence[Any]) -> Target:
    """What the training rows say about the target, from the splits' facts and the labels of the rows."""
    if task == "classify":
        return Labels.of(splits["labels"], train)
    if task == "tag":
        return LabelSets.of(splits["labels"], train)
    names = splits.get("targets", ())
    return Scales.of(names, train) if names else Scale.of(train)
