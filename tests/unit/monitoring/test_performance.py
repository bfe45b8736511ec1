"""Scores of labelled rows against the release's."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.monitoring import performance
from tunesmith.monitoring.performance import Rows


def rows(num: int, accuracy: float, seed: int) -> Rows:
    rng = np.random.default_rng(seed)
    truth = rng.choice(["a", "b", "c"], num)
    said = np.where(rng.random(num) < accuracy, truth, np.where(truth == "a", "b", "a"))
    return performance.rows_of("classify", truth.tolist(), said.tolist())


def test_a_score_that_fell_is_worse_and_one_that_rose_better() -> None:
    rng = np.random.default_rng(0)
    fell = performance.against("classify", "accuracy", rows(200, 0.7, 1), rows(400, 0.9, 2), 0.95, rng)
    rose = performance.against("classify", "accuracy", rows(200, 0.95, 1), rows(400, 0.7, 2), 0.95, rng)
    same = performance.against("classify", "accuracy", rows(200, 0.8, 1), rows(400, 0.8, 2), 0.95, rng)
    assert fell is not None and rose is not None and same is not None
    assert (fell.verdict, rose.verdict, same.verdict) == ("worse", "better", "not shown")
    assert fell.p_value < 0.001 and same.p_value > 0.05
    assert fell.low < fell.value < fell.high and fell.difference_high < 0
    # By hand: the standard error of two independent shares.
    error = (fell.value * (1 - fell.value) / 200 + fell.test_value * (1 - fell.test_value) / 400) ** 0.5
    assert fell.difference_high - fell.difference_low == pytest.approx(2 * 1.96 * error, rel=0.12)


def test_errors_of_numbers_are_better_when_smaller() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=300)
    near, far = (performance.rows_of("regress", truth, truth + rng.normal(0, s, 300)) for s in (0.5, 1.5))
    found = performance.against("regress", "mse", far, near, 0.95, rng)
    assert found is not None and found.verdict == "worse" and found.effect == 1.0
    assert found.value == pytest.approx(float(((far.targets_N - far.predictions_N) ** 2).mean()))


def test_labels_given_by_a_tagger() -> None:
    rng = np.random.default_rng(0)
    truth = [["a"], ["a", "b"], [], ["c"]] * 30
    right = performance.rows_of("tag", truth, truth, ["a", "b", "c"])
    wrong = performance.rows_of("tag", truth, [["c"]] * 120, ["a", "b", "c"])
    found = performance.against("tag", "f1_micro", wrong, right, 0.95, rng)
    assert found is not None and found.test_value == 1.0 and found.verdict == "worse"
    assert "average_precision" not in performance.metrics_of("tag")


def test_p_values_are_uniform_where_nothing_changed() -> None:
    rng = np.random.default_rng(1)
    found = [
        performance.against("classify", "accuracy", rows(60, 0.8, seed), rows(120, 0.8, 900 + seed), 0.95, rng)
        for seed in range(60)
    ]
    assert sum(one is not None and one.verdict != "not shown" for one in found) <= 8
