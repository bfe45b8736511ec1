"""Intervals, p-values and verdicts, by hand and by simulation."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from tunesmith.evaluation.significance import Resamples, Undefined, mcnemar, randomization, wilson
from tunesmith.metrics import table

TARGETS = np.array(["a", "b"] * 50)


def wrong_at(*places: int) -> np.ndarray:
    """Predictions of TARGETS, wrong in some places."""
    guesses = TARGETS.copy()
    for place in places:
        guesses[place] = "b" if guesses[place] == "a" else "a"
    return guesses


def test_mcnemar_by_hand() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 0) == 2 / 2**5
    assert mcnemar(3, 1) == 2 * (1 + 4) / 2**4
    assert mcnemar(2, 2) == 1.0


def test_wilson_by_hand() -> None:
    # Newcombe 1998, table I: 81 of 263 and 0 of 20.
    assert wilson(81, 263, 0.95) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20, 0.95) == pytest.approx((0, 0.1611), abs=5e-5)


def test_equal_predictors_are_not_shown_to_differ() -> None:
    guesses = wrong_at(1, 5, 9)
    scores = Resamples("classify", TARGETS, {"model": guesses, "twin": guesses})
    for metric in table.of_task("classify"):
        found = scores.compare(metric, "model", "twin", 0.95)
        assert (found.difference, found.low, found.high, found.p_value) == (0, 0, 0, 1)
        assert found.verdict == "not shown"
        # Six rows won by one side only are the fewest an exact test can notice: 2 / 2**6 < 0.05 < 2 / 2**5.
        assert found.smallest_detectable == 6 / 100


def test_a_comparison_by_hand() -> None:
    """The model is right on 12 rows where the other is wrong, and never the other way round: 0.99 against 0.87."""
    scores = Resamples("classify", TARGETS, {"model": wrong_at(0), "other": wrong_at(*range(13))}, num_samples=4000)
    found = scores.compare("accuracy", "model", "other", 0.95)
    error = math.sqrt(0.12 * 0.88 / 100)  # of the mean of 100 differences, 12 of them 1 and the others 0
    z = NormalDist().inv_cdf
    assert found.difference == pytest.approx(0.12)
    assert found.p_value == 2 / 2**12
    assert found.smallest_detectable == pytest.approx((z(0.975) + z(0.8)) * error, rel=0.05)
    assert (found.low, found.high) == pytest.approx((0.12 - 1.96 * error, 0.12 + 1.96 * error), abs=0.011)
    assert found.verdict == "better"
    assert scores.compare("f1_macro", "model", "other", 0.95).verdict == "better"
    assert scores.compare("f1_macro", "other", "model", 0.95).verdict == "worse"


def test_where_less_is_better_the_verdict_turns() -> None:
    rng = np.random.default_rng(0)
    targets = rng.normal(size=200)
    columns = {"model": targets + 0.1 * rng.normal(size=200), "mean": np.zeros(200)}
    scores = Resamples("regress", targets, columns)
    found = scores.compare("mse", "model", "mean", 0.95)
    assert found.difference < 0 and found.high < 0 and found.verdict == "better"
    assert scores.compare("r2", "model", "mean", 0.95).verdict == "better"


def test_three_lucky_rows_show_nothing() -> None:
    """The interval of 3 rows excludes 0; chance alone does as well in one case of four."""
    scores = Resamples("classify", ["a", "b", "a"], {"model": ["a", "b", "a"], "other": ["b", "a", "b"]})
    for metric in ("accuracy", "f1_macro"):
        found = scores.compare(metric, "model", "other", 0.95)
        assert found.low > 0 and found.p_value == pytest.approx(0.25, abs=0.03) and found.verdict == "not shown"


def test_a_perfect_score_is_not_certain() -> None:
    scores = Resamples("classify", TARGETS[:30], {"model": TARGETS[:30]})
    for metric in ("accuracy", "f1_macro"):
        found = scores.interval("model", metric, 0.95)
        assert (found.low, found.high) == (wilson(30, 30, 0.95)[0], 1.0)
        assert found.low == pytest.approx(0.8865, abs=5e-5)


def test_what_has_no_value_says_why() -> None:
    scores = Resamples("regress", [1.0, 2.0, 3.0, 5.0], {"model": [1.0, 2.0, 2.0, 5.0], "mean": [2.75] * 4})
    with pytest.raises(Undefined, match="predictions are equal"):
        scores.interval("mean", "pearson", 0.95)
    with pytest.raises(Undefined, match="pearson of mean"):
        scores.compare("pearson", "model", "mean", 0.95)
    with pytest.raises(Undefined, match="single row"):
        Resamples("regress", [1.0], {"model": [2.0]}).interval("model", "mse", 0.95)


def test_the_randomisation_test_does_not_mind_the_scale_of_a_correlation() -> None:
    """Predictions in other units have the same correlation, so the comparison must come out the same."""
    rng = np.random.default_rng(1)
    targets = rng.normal(size=80)
    one, other = targets + rng.normal(size=80), targets + 3 * rng.normal(size=80)
    plain = Resamples("regress", targets, {"model": one, "other": other})
    scaled = Resamples("regress", targets, {"model": 1000 * one + 5, "other": other})
    for metric in ("pearson", "spearman"):
        first = plain.compare(metric, "model", "other", 0.95)
        second = scaled.compare(metric, "model", "other", 0.95)
        assert second.difference == pytest.approx(first.difference) and second.p_value == first.p_value


def test_randomisation_agrees_with_counting_every_swap() -> None:
    """Four rows have 16 ways to swap: two of them reach the difference seen, so p is near 2/16."""
    targets, ones, others = np.zeros(4), np.array([0.1, 0.1, 0.2, 0.1]), np.array([1.0, 2.0, 1.5, 1.0])
    p = randomization(table.METRICS["mse"], targets, ones, others, 20_000, np.random.default_rng(0))
    assert p == pytest.approx(2 / 16, abs=0.01)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """200 samples of 150 rows of a predictor that is right 80 % of the time, and two equals compared."""
    rng = np.random.default_rng(7)
    covered = told_apart = 0
    for seed in range(200):
        targets = rng.choice(["a", "b", "c"], 150)
        columns = {
            name: np.where(rng.random(150) < 0.8, targets, np.where(targets == "a", "b", "a"))
            for name in ("model", "other")
        }
        scores = Resamples("classify", targets, columns, num_samples=400, seed=seed)
        interval = scores.interval("model", "accuracy", 0.95)
        covered += interval.low <= 0.8 <= interval.high
        told_apart += scores.compare("f1_macro", "model", "other", 0.95).verdict != "not shown"
    # 190 ± 3 and at most 10 ± 3 would be exact; the bounds lie three deviations out.
    assert 180 <= covered <= 199
    assert told_apart <= 19


def test_the_same_seed_gives_the_same_numbers() -> None:
    columns = {"model": wrong_at(0, 1), "other": wrong_at(3, 4, 5, 6, 7)}
    first, second = (Resamples("classify", TARGETS, columns, seed=5) for _ in range(2))
    assert first.compare("f1_macro", "model", "other", 0.9) == second.compare("f1_macro", "model", "other", 0.9)
    other = Resamples("classify", TARGETS, columns, seed=6).interval("other", "f1_macro", 0.9)
    assert other != first.interval("other", "f1_macro", 0.9)


def test_blocks_of_resamples_change_nothing_but_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {"model": wrong_at(0, 1)}
    whole = Resamples("classify", TARGETS, columns, num_samples=500)
    monkeypatch.setattr("tunesmith.evaluation.significance.CHUNK_ELEMENTS", 100 * 7)
    parts = Resamples("classify", TARGETS, columns, num_samples=500)
    np.testing.assert_array_equal(whole.draws["model"]["f1_macro"], parts.draws["model"]["f1_macro"])
