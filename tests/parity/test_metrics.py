"""Every metric equals scikit-learn's or SciPy's to 1e-9, on random and on degenerate columns."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as theirs

from tunesmith.evaluation.significance import Resamples, mcnemar
from tunesmith.metrics import classification, regression, table

TOLERANCE = 1e-9
AVERAGES = ("micro", "macro", "weighted")

columns_of_labels = st.integers(1, 5).flatmap(
    lambda num: st.lists(
        st.tuples(st.sampled_from("abcdef"[:num]), st.sampled_from("abcdef"[:num])), min_size=1, max_size=60
    )
)
numbers = st.floats(-1e3, 1e3, allow_nan=False, width=32)
tied = st.integers(-3, 3).map(float)
columns_of_numbers = st.one_of(
    st.lists(st.tuples(numbers, numbers), min_size=2, max_size=50),
    st.lists(st.tuples(tied, tied), min_size=2, max_size=50),
    st.lists(st.tuples(tied, st.just(0.1)), min_size=2, max_size=20),
)


def expected_classification(targets: list[str], guesses: list[str], weights: Any = None) -> dict[str, float]:
    """scikit-learn's values under our names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {"accuracy": theirs.accuracy_score(targets, guesses, sample_weight=weights)}
        for average in AVERAGES:
            scores = theirs.precision_recall_fscore_support(
                targets, guesses, average=average, zero_division=0, sample_weight=weights
            )
            found |= dict(zip((f"precision_{average}", f"recall_{average}", f"f1_{average}"), scores, strict=False))
    return found


@settings(max_examples=150, deadline=None)
@given(columns_of_labels)
def test_classification_equals_scikit_learn(rows: list[tuple[str, str]]) -> None:
    targets, guesses = [list(column) for column in zip(*rows, strict=True)]
    expected = expected_classification(targets, guesses)
    assert expected.keys() == table.of_task("classify").keys()
    assert table.scores("classify", targets, guesses) == pytest.approx(expected, abs=TOLERANCE)


@settings(max_examples=80, deadline=None)
@given(columns_of_labels)
def test_scores_by_class_and_the_confusion_matrix_equal_scikit_learn(rows: list[tuple[str, str]]) -> None:
    targets, guesses = [list(column) for column in zip(*rows, strict=True)]
    counts = classification.tally(targets, guesses)
    labels = list(counts.labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        precision, recall, f1, support = theirs.precision_recall_fscore_support(
            targets, guesses, labels=labels, zero_division=0
        )
        confusion = theirs.confusion_matrix(targets, guesses, labels=labels)
    np.testing.assert_allclose(classification.precision_per_class(counts), precision, atol=TOLERANCE)
    np.testing.assert_allclose(classification.recall_per_class(counts), recall, atol=TOLERANCE)
    np.testing.assert_allclose(classification.f1_per_class(counts), f1, atol=TOLERANCE)
    np.testing.assert_array_equal(counts.support_XC, support)
    np.testing.assert_array_equal(classification.confusion(targets, guesses, labels), confusion)


def correlation(function: Callable[..., Any], x: np.ndarray, y: np.ndarray) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(function(x, y).statistic)


@settings(max_examples=200, deadline=None)
@given(columns_of_numbers)
def test_regression_equals_scikit_learn_and_scipy(rows: list[tuple[float, float]]) -> None:
    targets, guesses = (np.array(column) for column in zip(*rows, strict=True))
    found = table.scores("regress", targets, guesses)
    assert found["mse"] == pytest.approx(theirs.mean_squared_error(targets, guesses), rel=TOLERANCE)
    assert found["rmse"] == pytest.approx(theirs.root_mean_squared_error(targets, guesses), rel=TOLERANCE)
    assert found["mae"] == pytest.approx(theirs.mean_absolute_error(targets, guesses), rel=TOLERANCE)
    if np.ptp(targets) == 0:
        assert math.isnan(found["r2"])
    else:
        expected = theirs.r2_score(targets, guesses, force_finite=False)
        assert found["r2"] == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE)
    nan_ok = {"abs": TOLERANCE, "nan_ok": True}
    assert found["pearson"] == pytest.approx(correlation(stats.pearsonr, targets, guesses), **nan_ok)
    assert found["spearman"] == pytest.approx(correlation(stats.spearmanr, targets, guesses), **nan_ok)


def test_large_levels_and_small_spreads_keep_their_digits() -> None:
    rng = np.random.default_rng(3)
    targets = 1e6 + rng.normal(size=400)
    guesses = targets + rng.normal(size=400)
    found = table.scores("regress", targets, guesses)
    assert found["pearson"] == pytest.approx(stats.pearsonr(targets, guesses).statistic, abs=TOLERANCE)
    assert found["r2"] == pytest.approx(theirs.r2_score(targets, guesses), abs=TOLERANCE)


@pytest.mark.parametrize("seed", range(5))
def test_counted_rows_equal_repeated_rows(seed: int) -> None:
    """What resampling rests on: a row that counts three times is three rows, one that counts 0 is none."""
    rng = np.random.default_rng(seed)
    weights_XN = rng.integers(0, 4, size=(3, 40))
    columns: dict[table.Task, tuple[np.ndarray, np.ndarray]] = {
        "classify": (rng.choice(list("abcd"), 40), rng.choice(list("abcd"), 40)),
        "regress": (rng.integers(0, 9, 40).astype(float), rng.normal(size=40).round(1)),
    }
    for task, (targets, guesses) in columns.items():
        summary = table.summarize(task, targets, guesses, weights_XN)
        for name, metric in table.of_task(task).items():
            found_X = metric.compute(summary)
            for at, counts_N in enumerate(weights_XN):
                repeated = metric(np.repeat(targets, counts_N), np.repeat(guesses, counts_N))
                assert found_X[at] == pytest.approx(repeated, abs=TOLERANCE), name


def test_weights_equal_scikit_learns_sample_weight() -> None:
    rng = np.random.default_rng(0)
    targets, guesses = rng.choice(list("abc"), 50), rng.choice(list("abc"), 50)
    weights = rng.integers(1, 5, 50)
    summary = table.summarize("classify", targets, guesses, weights)
    found = {name: float(metric.compute(summary)) for name, metric in table.of_task("classify").items()}
    assert found == pytest.approx(expected_classification(targets, guesses, weights), abs=TOLERANCE)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_equals_scipys_binomial_test(only_first: int, only_second: int) -> None:
    num = only_first + only_second
    expected = stats.binomtest(only_first, num).pvalue if num else 1.0
    assert mcnemar(only_first, only_second) == pytest.approx(expected, abs=TOLERANCE)


def test_the_interval_of_a_mean_equals_scipys_bootstrap() -> None:
    """The mean absolute error is the mean of the errors: two bootstraps of it agree but for their draws."""
    errors = np.random.default_rng(1).exponential(size=300)
    ours = Resamples("regress", errors, {"model": np.zeros(300)}, num_samples=20_000).interval("model", "mae", 0.95)
    scipys = stats.bootstrap(
        (errors,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert ours.value == pytest.approx(errors.mean(), abs=TOLERANCE)
    # The draws leave a standard deviation of about 0.0015 between the two.
    assert ours.low == pytest.approx(scipys.low, abs=0.005)
    assert ours.high == pytest.approx(scipys.high, abs=0.005)


def test_midranks_equal_scipys_rankdata() -> None:
    values = np.array([3.0, 1.0, 3.0, 2.0, 1.0, 3.0])
    np.testing.assert_allclose(regression.midranks(values, np.ones(6)), stats.rankdata(values))
