"""Areas and drawn curves of labels against the rest."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.evaluation.curves import POINTS, label_curves


def made_up(num_labels: int, num_rows: int = 300) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    rng = np.random.default_rng(0)
    belongs = np.arange(num_rows)[:, None] % num_labels == np.arange(num_labels)
    logits = rng.normal(size=(num_rows, num_labels)) + 1.5 * belongs
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return probabilities, belongs, tuple(f"label {place}" for place in range(num_labels))


def test_areas_are_scikit_learns() -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    probabilities, belongs, labels = made_up(4)
    found = label_curves(probabilities, belongs, labels)
    assert isinstance(found, dict)
    assert found["auroc_macro"] == pytest.approx(roc_auc_score(belongs, probabilities, average="macro"))
    assert found["auroc_micro"] == pytest.approx(roc_auc_score(belongs, probabilities, average="micro"))
    theirs = average_precision_score(belongs, probabilities, average="macro")
    assert found["average_precision_macro"] == pytest.approx(theirs)
    assert [one["name"] for one in found["drawn"]] == list(labels)


def test_drawn_curves_are_small_and_keep_their_area() -> None:
    probabilities, belongs, labels = made_up(3, 3000)
    found = label_curves(probabilities, belongs, labels)
    assert isinstance(found, dict)
    for one in found["drawn"]:
        x, y = np.array(one["roc"]).T
        assert len(x) <= POINTS + 1 and (x[0], y[0]) == (0, 0) and (x[-1], y[-1]) == (1, 1)
        assert np.trapezoid(y, x) == pytest.approx(found["labels"][one["name"]]["auroc"], abs=0.005)


def test_many_labels_are_drawn_as_their_averages() -> None:
    found = label_curves(*made_up(9))
    assert isinstance(found, dict)
    assert [one["name"] for one in found["drawn"]] == ["all labels pooled", "mean of the labels"]
    x, y = np.array(found["drawn"][1]["roc"]).T
    assert np.trapezoid(y, x) == pytest.approx(found["auroc_macro"], abs=0.02)


def test_of_two_labels_one_is_drawn() -> None:
    found = label_curves(*made_up(2))
    assert isinstance(found, dict) and len(found["drawn"]) == 1


def test_labels_without_a_row_count_in_no_average() -> None:
    probabilities, belongs, labels = made_up(3)
    belongs[:, 2] = False
    found = label_curves(probabilities, belongs, labels)
    assert (
        isinstance(found, dict) and found["without"] == ["label 2"] and set(found["labels"]) == {"label 0", "label 1"}
    )
    assert "no label has both" in str(label_curves(probabilities, np.zeros_like(belongs), labels))
