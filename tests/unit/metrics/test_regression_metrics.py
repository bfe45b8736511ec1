"""Regression metrics by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tunesmith.metrics import regression, table


def test_values_by_hand() -> None:
    found = table.scores("regress", [1.0, 2.0, 3.0, 6.0], [1.0, 3.0, 3.0, 4.0])
    assert found["mse"] == pytest.approx((0 + 1 + 0 + 4) / 4)
    assert found["rmse"] == pytest.approx(math.sqrt(5 / 4))
    assert found["mae"] == pytest.approx(3 / 4)
    assert found["r2"] == pytest.approx(1 - 5 / 14)  # squares around the mean 3: 4 + 1 + 0 + 9
    assert found["spearman"] == pytest.approx(0.9486832980505138)  # ranks 1 2 3 4 against 1 2.5 2.5 4


@pytest.mark.parametrize("constant", [0.0, 0.1, -7e8])
def test_constant_columns_have_no_correlation(constant: float) -> None:
    found = table.scores("regress", [1.0, 2.0, 4.0], [constant] * 3)
    assert math.isnan(found["pearson"]) and math.isnan(found["spearman"])
    assert not math.isnan(found["r2"])
    assert math.isnan(table.scores("regress", [constant] * 3, [1.0, 2.0, 4.0])["r2"])


def test_a_resample_of_one_row_has_no_correlation() -> None:
    rows = regression.pairs([1.0, 2.0, 4.0], [1.0, 2.5, 3.0], np.array([[3, 0, 0], [1, 1, 1]]))
    first, second = regression.pearson(rows)
    assert math.isnan(first) and second == pytest.approx(np.corrcoef([1, 2, 4], [1, 2.5, 3])[0, 1])


def test_ties_share_their_ranks_and_absent_rows_take_none() -> None:
    ranks = regression.midranks(np.array([5.0, 1.0, 5.0, 3.0]), np.array([1.0, 1.0, 1.0, 0.0]))
    assert ranks[[0, 1, 2]].tolist() == [2.5, 1.0, 2.5]


def test_standardized_predictions_correlate_the_same() -> None:
    values = np.array([3.0, 5.0, 4.0, 9.0])
    scaled = regression.standardized(values)
    assert scaled.mean() == pytest.approx(0) and scaled.std() == pytest.approx(1)
    assert regression.standardized(np.full(3, 0.1)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        regression.pairs([1.0, bad], [1.0, 2.0])
