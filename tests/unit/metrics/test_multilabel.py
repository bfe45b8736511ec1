"""Metrics of several labels a row: by hand, at parity with scikit-learn, the same on resamples as on copied rows."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.metrics import multilabel, table, thresholds


def _rows(seed: int = 0, num_rows: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    has_NC = rng.random((num_rows, 4)) < [0.5, 0.3, 0.2, 0.1]
    has_NC[:4] = np.eye(4, dtype=bool)
    margins_NC = np.round(has_NC * 0.4 + rng.random((num_rows, 4)) - 0.7, 1)
    return has_NC, margins_NC


def test_by_hand() -> None:
    has_NC = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 0]], bool)
    margins_NC = np.array([[0.2, 0.0, -0.1], [-0.5, -0.2, -0.3], [0.4, -0.1, -0.2]])
    rows = multilabel.tags(has_NC, margins_NC)  # given: {0, 1}, {}, {0}
    assert float(multilabel.f1_micro(rows)) == pytest.approx(2 * 2 / (4 + 3))
    assert float(multilabel.f1_macro(rows)) == pytest.approx((1 + 0 + 0) / 3)
    assert float(multilabel.f1_samples(rows)) == pytest.approx((2 / 4 + 1 + 2 / 3) / 3)
    assert float(multilabel.subset_accuracy(rows)) == pytest.approx(1 / 3)
    assert float(multilabel.hamming_loss(rows)) == pytest.approx(3 / 9)
    # Label 1 ranks its one row second of three, label 2 its one row first.
    assert float(multilabel.average_precision(rows)) == pytest.approx((1 + 1 / 2 + 1) / 3)


def test_parity_with_scikit_learn() -> None:
    sk = pytest.importorskip("sklearn.metrics")
    has_NC, margins_NC = _rows()
    given_NC = margins_NC >= 0
    ours = table.scores("tag", has_NC, margins_NC)
    for average in ("macro", "micro"):
        for name in ("precision", "recall", "f1"):
            reference = getattr(sk, f"{name}_score")(has_NC, given_NC, average=average, zero_division=0)
            assert ours[f"{name}_{average}"] == pytest.approx(reference, abs=1e-12)
    assert ours["f1_samples"] == pytest.approx(sk.f1_score(has_NC, given_NC, average="samples", zero_division=1))
    assert ours["subset_accuracy"] == pytest.approx(sk.accuracy_score(has_NC, given_NC))
    assert ours["hamming_loss"] == pytest.approx(sk.hamming_loss(has_NC, given_NC))
    reference = sk.average_precision_score(has_NC, margins_NC, average="macro")
    assert ours["average_precision"] == pytest.approx(reference, abs=1e-12)


def test_weights_count_rows_as_often_as_they_are_drawn() -> None:
    has_NC, margins_NC = _rows(1, 20)
    drawn_SN = np.random.default_rng(2).integers(20, size=(5, 20))
    weights_SN = np.stack([np.bincount(rows, minlength=20) for rows in drawn_SN]).astype(float)
    summary = table.summarize("tag", has_NC, margins_NC, weights_SN)
    for metric in table.of_task("tag").values():
        one_by_one = [metric(has_NC[rows], margins_NC[rows]) for rows in drawn_SN]
        np.testing.assert_allclose(metric.compute(summary), one_by_one, atol=1e-12)


def test_a_label_without_rows_has_no_average_precision_and_rows_without_any_label_none_at_all() -> None:
    has_NC = np.array([[1, 0], [0, 0]], bool)
    rows = multilabel.tags(has_NC, np.array([[0.1, 0.3], [-0.1, 0.2]]))
    assert np.isnan(multilabel.average_precision_per_label(rows)[1])
    assert float(multilabel.average_precision(rows)) == 1.0
    assert np.isnan(multilabel.average_precision(multilabel.tags(has_NC[1:], np.zeros((1, 2)))))


def test_a_threshold_has_the_best_f1_there_is() -> None:
    has_NC, margins_NC = _rows(3, 200)
    probability_NC = (margins_NC - margins_NC.min()) / np.ptp(margins_NC)
    for label, chosen in enumerate(thresholds.best_f1(has_NC, probability_NC)):
        tried = [_f1(has_NC[:, label], probability_NC[:, label] >= value) for value in np.linspace(0, 1, 201)]
        assert _f1(has_NC[:, label], probability_NC[:, label] >= chosen.value) >= max(tried) - 1e-12
        assert chosen.chosen_by == "own rows" and 0 < chosen.value < 1


def test_labels_of_few_rows_share_a_threshold() -> None:
    probability_NC = np.array([[0.9, 0.3, 0.2]] * 6 + [[0.1, 0.8, 0.1], [0.2, 0.1, 0.6], [0.1, 0.2, 0.1]])
    has_NC = np.array([[1, 0, 0]] * 6 + [[0, 1, 0], [0, 0, 1], [0, 0, 0]], bool)
    chosen = thresholds.best_f1(has_NC, probability_NC)
    assert [one.chosen_by for one in chosen] == ["own rows", "shared", "shared"]
    assert chosen[1].value == chosen[2].value == pytest.approx((0.6 + 0.3) / 2)
    assert chosen[0].value == pytest.approx((0.9 + 0.2) / 2)


def test_at_least_precision_finds_most_rows_or_says_what_can_be_reached() -> None:
    has_NC = np.array([[1, 0], [1, 0], [0, 1], [1, 0], [0, 0]], bool)
    probability_NC = np.array([[0.9, 0.9], [0.8, 0.8], [0.7, 0.7], [0.6, 0.6], [0.5, 0.5]])
    first, second = thresholds.at_least_precision(has_NC, probability_NC, 0.75)
    assert first.value == pytest.approx(0.55) and first.precision == 0.75 and first.recall == 1.0
    assert second.value == thresholds.NEVER and second.chosen_by == "cannot be met"
    assert second.precision == pytest.approx(1 / 3)


def test_several_targets_are_the_mean_over_targets() -> None:
    rng = np.random.default_rng(0)
    targets_NK, predicted_NK = rng.normal(size=(30, 3)), rng.normal(size=(30, 3))
    weights_SN = rng.integers(0, 3, size=(4, 30)).astype(float)
    summary = table.summarize("regress", targets_NK, predicted_NK, weights_SN)
    for metric in table.of_task("regress").values():
        alone = [
            metric.compute(table.summarize("regress", targets_NK[:, k], predicted_NK[:, k], weights_SN))
            for k in range(3)
        ]
        np.testing.assert_allclose(metric.compute(summary), np.mean(alone, axis=0), atol=1e-12)


def _f1(has_N: np.ndarray, given_N: np.ndarray) -> float:
    below = has_N.sum() + given_N.sum()
    return float(2 * (has_N & given_N).sum() / below) if below else 0.0
