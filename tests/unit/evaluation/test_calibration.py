"""What a report says of probabilities and of how far numbers are off."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.evaluation.calibration import label_calibration, number_intervals, places
from tunesmith.metrics.calibration import at_temperature


def rows(num: int, seed: int, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that hold at temperature 1, and the targets drawn by them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (num, 3))
    truth = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    targets = np.array([rng.choice(3, p=row) for row in truth])
    return at_temperature(truth, temperature), targets


def test_a_model_that_is_too_sure_is_shown_to_be() -> None:
    probabilities, targets = rows(1500, 0, temperature=0.4)
    found = label_calibration(probabilities, targets, 1.0)
    assert isinstance(found, dict)
    assert found["verdict"] == "shown" and found["confidence"] > found["accuracy"] + 0.1
    assert found["error"]["low"] < found["error"]["value"] < found["error"]["high"]
    assert found["error"]["value"] > 3 * found["by_chance"]
    assert sum(one["num_rows"] for one in found["bins"]) == 1500 and found["before"] is None


def test_calibrated_probabilities_are_rarely_called_wrong() -> None:
    found = [label_calibration(*rows(300, seed), 1.0, seed=seed) for seed in range(8)]
    assert sum(one["verdict"] == "shown" for one in found if isinstance(one, dict)) <= 2


def test_the_figures_before_the_temperature_are_those_of_the_raw_model() -> None:
    raw, targets = rows(800, 1, temperature=0.5)
    without = label_calibration(raw, targets, 1.0)
    after = label_calibration(at_temperature(raw, 2.0), targets, 2.0)
    assert isinstance(without, dict) and isinstance(after, dict)
    assert after["before"]["log_loss"] == pytest.approx(without["log_loss"], rel=1e-6)
    assert after["before"]["error"] == pytest.approx(without["error"]["value"], rel=1e-6)
    assert after["log_loss"] < after["before"]["log_loss"]


def test_too_few_rows_say_so() -> None:
    assert "29 test rows are too few" in str(label_calibration(*rows(29, 0), 1.0))
    assert "too few" in str(number_intervals(np.zeros(29), np.zeros(29)))


def test_half_widths_hold_on_rows_that_did_not_set_them() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=4000)
    found = number_intervals(truth, truth + rng.normal(0.5, 2, 4000))
    assert isinstance(found, dict)
    assert found["bias"] == pytest.approx(0.5, abs=0.1) and found["deviation"] == pytest.approx(2, abs=0.1)
    for one in found["levels"]:
        assert one["coverage"]["value"] == pytest.approx(one["level"], abs=0.02)
        assert one["coverage"]["low"] < one["coverage"]["value"] < one["coverage"]["high"]
    # Of |N(0.5, 2)| 90 % lie below 3.385.
    assert found["levels"][2]["half_width"] == pytest.approx(3.385, abs=0.15)


def test_a_level_that_so_few_rows_cannot_promise_is_left_out() -> None:
    truth = np.linspace(0, 1, 30)
    found = number_intervals(truth, truth + 0.1)
    assert isinstance(found, dict) and [one["level"] for one in found["levels"]] == [0.5, 0.8, 0.9]


def test_a_label_the_model_does_not_know_has_no_place() -> None:
    assert places(np.array(["b", "new", "a"]), ("a", "b")).tolist() == [1, -1, 0]
