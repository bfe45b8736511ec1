"""The rows that baselines learn from and predict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Rows:
    """Rows as columns of equal length."""

    texts: list[str]
    targets: NDArray[Any]
    """Labels (strings), or numbers (float64): (N,), or (N, K) with several targets; or which labels rows have (bool,
    (N, C), in the order of the splits' labels)."""
    features_ND: NDArray[np.float32] | None = None
    """Pooled outputs of the frozen base, where a baseline needs them."""

    @property
    def is_numeric(self) -> bool:
        """Whether the targets are numbers, not labels."""
        return self.targets.dtype.kind == "f"


class Baseline(Protocol):
    """A cheap predictor that a fine-tuned model must beat."""

    tasks: ClassVar[frozenset[str]]
    """What it can do: ``classify``, ``tag``, ``regress``."""
    needs_features: ClassVar[bool]
    """Whether it reads the frozen base's features."""
    settings: dict[str, Any]
    """What ``fit`` chose, as JSON values."""

    def fit(self, train: Rows, validation: Rows) -> None:
        """Learn from the train rows; settings are chosen by the validation rows."""

    def predict(self, rows: Rows) -> NDArray[Any]:
        """A label or a number for each row, a number for each target, or a margin for each label."""
