"""Classification metrics by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.metrics import classification as c
from tunesmith.metrics import table

TARGETS = ["a", "a", "a", "b", "b", "c"]
GUESSES = ["a", "a", "b", "b", "c", "a"]


def test_scores_by_class_by_hand() -> None:
    counts = c.tally(TARGETS, GUESSES)
    assert counts.labels == ("a", "b", "c")
    assert counts.hits_XC.tolist() == [2, 1, 0]
    assert counts.support_XC.tolist() == [3, 2, 1]
    assert counts.predicted_XC.tolist() == [3, 2, 1]
    assert c.f1_per_class(counts).tolist() == pytest.approx([2 / 3, 1 / 2, 0])


def test_averages_by_hand() -> None:
    found = table.scores("classify", TARGETS, GUESSES)
    assert found["accuracy"] == found["f1_micro"] == 0.5
    assert found["f1_macro"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert found["f1_weighted"] == pytest.approx((3 * 2 / 3 + 2 * 1 / 2 + 0) / 6)


def test_a_class_never_predicted_scores_zero() -> None:
    counts = c.tally(["a", "b"], ["a", "a"])
    assert c.precision_per_class(counts).tolist() == [0.5, 0.0]
    assert c.recall_per_class(counts).tolist() == [1.0, 0.0]


def test_a_class_absent_from_a_resample_is_left_out_of_its_average() -> None:
    weights = np.array([[1, 1, 1, 0, 0, 0]])
    counts = c.tally(["a", "a", "a", "b", "b", "c"], ["a", "a", "a", "b", "b", "c"], weights)
    assert c.f1_macro(counts).tolist() == [1.0]


def test_confusion_has_true_labels_first() -> None:
    assert c.confusion(["a", "a", "b"], ["b", "b", "b"], ["a", "b", "z"]).tolist() == [[0, 2, 0], [0, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("guesses", [[], ["a"]])
def test_columns_that_do_not_match_are_refused(guesses: list[str]) -> None:
    with pytest.raises(ValueError, match="as many predictions as targets"):
        c.tally(["a", "b"] if guesses else [], guesses)
