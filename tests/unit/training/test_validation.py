"""When a validation is better than the best one so far."""

from __future__ import annotations

import math

import pytest

from tunesmith.core.errors import RecipeError
from tunesmith.training.validation import Watch


@pytest.mark.parametrize(
    ("metric", "value", "best", "is_better"),
    [
        ("loss", 0.9, 1.0, True),
        ("loss", 1.0, 1.0, False),
        ("loss", 1.1, 1.0, False),
        ("f1_macro", 0.9, 1.0, False),
        ("f1_macro", 1.0, 0.9, True),
        ("mse", 0.5, 1.0, True),
        ("pearson", 0.5, 0.4, True),
        ("loss", 5.0, None, True),
        ("loss", math.nan, None, False),
        ("loss", math.inf, None, False),
        ("pearson", math.nan, -0.5, False),
    ],
)
def test_better_is_better(metric: str, value: float, best: float | None, is_better: bool) -> None:
    assert Watch(metric).is_better({metric: value, "other": 0.0}, best) is is_better


def test_a_change_must_be_larger_than_min_delta() -> None:
    watch = Watch("accuracy", min_delta=0.01)
    assert not watch.is_better({"accuracy": 0.805}, 0.8)
    assert watch.is_better({"accuracy": 0.82}, 0.8)


def test_what_is_not_measured_is_named() -> None:
    with pytest.raises(RecipeError, match="not measured"):
        Watch("f2").is_better({"loss": 1.0}, None)
