"""Calibration by hand in float64 and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.metrics import calibration as cal


def made_up(num_rows: int = 400, num_classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and targets drawn by exactly these probabilities: calibrated by construction."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (num_rows, num_classes))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return probabilities, np.array([rng.choice(num_classes, p=row) for row in probabilities])


def test_expected_calibration_error_by_hand() -> None:
    # Two bins of width 0.5: three rows (mean 0.3, right 1/3), two rows (mean 0.8, right 1/2).
    confidence, right = np.array([0.2, 0.3, 0.4, 0.7, 0.9]), np.array([True, False, False, True, False])
    parts = cal.bins(confidence, right, 2, "equal_width")
    assert [(one.low, one.high, one.num_rows) for one in parts] == [(0, 0.5, 3), (0.5, 1, 2)]
    assert cal.expected_calibration_error(parts) == pytest.approx(3 / 5 * (1 / 3 - 0.3) + 2 / 5 * 0.3)
    assert cal.largest_calibration_error(parts) == pytest.approx(0.3)


def test_a_bin_is_open_at_its_low_end_as_in_the_paper() -> None:
    parts = cal.bins(np.array([0.5, 0.5, 1.0]), np.array([True, True, True]), 2, "equal_width")
    assert [one.num_rows for one in parts] == [2, 1]


def test_equal_mass_puts_equally_many_rows_into_each_bin_and_never_splits_ties() -> None:
    parts = cal.bins(np.linspace(0.3, 0.9, 90), np.ones(90, bool), 9)
    assert [one.num_rows for one in parts] == [10] * 9
    parts = cal.bins(np.array([0.6] * 50 + [0.9] * 10), np.ones(60, bool), 6)
    assert [one.num_rows for one in parts] == [50, 10]


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60), st.integers(1, 20))
def test_no_row_is_lost_in_bins(rows: list[tuple[float, bool]], num_bins: int) -> None:
    confidence, right = np.array([one for one, _ in rows]), np.array([one for _, one in rows])
    for by in ("equal_mass", "equal_width"):
        parts = cal.bins(confidence, right, num_bins, by)  # type: ignore[arg-type]
        assert sum(one.num_rows for one in parts) == len(rows)
        assert sum(one.num_rows * one.accuracy for one in parts) == pytest.approx(right.sum())
        assert 0 <= cal.expected_calibration_error(parts) <= cal.largest_calibration_error(parts) + 1e-12 <= 1 + 1e-9


def test_parity_with_scikit_learn() -> None:
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import brier_score_loss, log_loss

    probabilities, targets = made_up()
    assert cal.log_loss(probabilities, targets) == pytest.approx(log_loss(targets, probabilities), abs=1e-12)
    ours = cal.brier(probabilities, targets)
    assert ours == pytest.approx(brier_score_loss(targets, probabilities, scale_by_half=False), abs=1e-12)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == targets
    accuracy, mean = calibration_curve(right, confidence, n_bins=10, strategy="uniform")
    parts = cal.bins(confidence, right, 10, "equal_width")
    assert [one.accuracy for one in parts] == pytest.approx(accuracy)
    assert [one.confidence for one in parts] == pytest.approx(mean)


def test_a_label_that_the_model_does_not_know_costs_the_most() -> None:
    probabilities, targets = np.array([[0.8, 0.2], [1.0, 0.0]]), np.array([0, -1])
    assert cal.brier(probabilities, targets) == pytest.approx((0.04 + 0.04 + 1 + 1) / 2)
    assert cal.log_loss(probabilities, targets) == pytest.approx((-np.log(0.8) - np.log(cal.SMALLEST)) / 2)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_the_temperature_that_was_put_on_is_found_again(temperature: float) -> None:
    calibrated, targets = made_up(20_000)
    overdone = cal.at_temperature(calibrated, 1 / temperature)
    assert cal.fit_temperature(overdone, targets) == pytest.approx(temperature, rel=0.03)
    assert cal.at_temperature(overdone, temperature) == pytest.approx(calibrated, abs=1e-9)
    parts = cal.bins(calibrated.max(1), calibrated.argmax(1) == targets)
    assert cal.expected_calibration_error(parts) < 0.015


def test_no_row_the_model_knows_leaves_the_temperature_alone() -> None:
    assert cal.fit_temperature(np.array([[0.5, 0.5]]), np.array([-1])) == 1.0
