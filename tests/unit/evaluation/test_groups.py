"""Groups side by side: values by hand, intervals that hold, a gap that is not made of chance."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.evaluation.groups import Spread, spread
from tunesmith.metrics import table


def measured(sizes: dict[str | None, int], right: dict[str | None, float], seed: int = 0, **more: object) -> Spread:
    """Groups of rows that are right with the given chance."""
    rng = np.random.default_rng(seed)
    values = [name for name, size in sizes.items() for _ in range(size)]
    truth = np.array(["a", "b"])[np.arange(len(values)) % 2]
    is_right = np.array([rng.random() < right[name] for name in values])
    predicted = np.where(is_right, truth, np.where(truth == "a", "b", "a"))
    settings = {"min_rows": 30, "confidence": 0.95, "num_samples": 400, "seed": seed, **more}
    return spread(table.METRICS["accuracy"], "classify", truth, predicted, values, **settings)  # type: ignore[arg-type]


def test_values_are_those_of_the_groups_rows_alone() -> None:
    truth = np.array(list("aabbaabb"))
    predicted = np.array(list("aabbabba"))
    found = spread(
        table.METRICS["accuracy"],
        "classify",
        truth,
        predicted,
        ["x"] * 4 + ["y"] * 4,
        min_rows=4,
        confidence=0.9,
        num_samples=200,
    )
    assert [(one.group, one.num_rows, one.value) for one in found.groups] == [("y", 4, 0.5), ("x", 4, 1.0)]
    assert found.gap is not None and found.gap.value == 0.5 and found.gap.verdict == "not shown"
    assert (found.gap.lowest, found.gap.highest) == ("y", "x")
    best = found.groups[1]
    assert best.low < 0.7 and best.high == 1, "four rows all right are not certainty"


def test_a_large_difference_is_shown_and_lies_in_its_interval() -> None:
    found = measured({"x": 300, "y": 300, None: 100}, {"x": 0.95, "y": 0.6, None: 0.95})
    assert found.gap is not None and found.gap.verdict == "shown"
    assert found.gap.low < found.gap.value < found.gap.high and found.gap.p_value < 0.01
    assert found.gap.lowest == "y" and None in {one.group for one in found.groups}


def test_small_groups_are_named_not_compared() -> None:
    found = measured({"x": 60, "y": 29}, {"x": 0.9, "y": 0.1})
    assert [one.group for one in found.groups] == ["x"] and found.gap is None
    assert found.not_compared == ({"group": "y", "num_rows": 29, "why": "fewer than 30 test rows"},)


def test_only_the_largest_groups_are_compared_pair_by_pair() -> None:
    sizes: dict[str | None, int] = {f"g{place:02}": 30 + place for place in range(53)}
    found = measured(sizes, dict.fromkeys(sizes, 0.9), num_samples=200)
    assert len(found.groups) == 50 and {one["group"] for one in found.not_compared} == {"g00", "g01", "g02"}


def test_the_gap_of_equal_groups_is_rarely_shown_and_its_interval_holds_the_truth() -> None:
    """Twelve groups of 40 rows, all right with 0.85: the raw range is about 0.2, and none of it is real."""
    names: list[str | None] = [f"g{place}" for place in range(12)]
    found = [
        measured(dict.fromkeys(names, 40), dict.fromkeys(names, 0.85), seed, num_samples=200) for seed in range(60)
    ]
    gaps = [one.gap for one in found if one.gap]
    assert np.mean([one.value for one in gaps]) > 0.12
    assert sum(one.verdict == "shown" for one in gaps) <= 6
    assert sum(one.low == 0 for one in gaps) >= 51


def test_the_interval_holds_a_true_range() -> None:
    right: dict[str | None, float] = {"x": 0.9, "y": 0.8, "z": 0.7}
    found = [measured(dict.fromkeys(right, 120), right, seed, num_samples=200) for seed in range(60)]
    assert sum(one.gap is not None and one.gap.low <= 0.2 <= one.gap.high for one in found) >= 54


def test_numbers_are_compared_by_their_error() -> None:
    rng = np.random.default_rng(0)
    truth, values = rng.normal(size=200), ["x", "y"] * 100
    predicted = truth + rng.normal(size=200) * np.where(np.arange(200) % 2, 1.0, 0.1)
    settings = {"min_rows": 30, "confidence": 0.95, "num_samples": 300}
    found = spread(table.METRICS["mae"], "regress", truth, predicted, values, **settings)  # type: ignore[arg-type]
    assert found.groups[0].group == "x"
    assert found.groups[0].value == pytest.approx(np.abs(truth - predicted)[::2].mean())
    assert found.gap is not None and found.gap.verdict == "shown"


def test_a_group_in_which_the_metric_has_no_value_is_named() -> None:
    truth = np.concatenate([np.full(40, 2.0), np.arange(40.0)])
    found = spread(
        table.METRICS["pearson"],
        "regress",
        truth,
        truth + np.tile([0.1, -0.1], 40),
        ["same"] * 40 + ["varied"] * 40,
        min_rows=30,
        confidence=0.95,
        num_samples=200,
    )
    assert [one.group for one in found.groups] == ["varied"] and found.gap is None
    assert found.not_compared[0]["group"] == "same" and "nothing to correlate" in found.not_compared[0]["why"]


def test_equal_arguments_give_equal_facts() -> None:
    first, second = (measured({"x": 50, "y": 50}, {"x": 0.9, "y": 0.7}).to_facts() for _ in range(2))
    assert first == second


def test_groups_that_are_all_right_are_not_certainly_alike() -> None:
    found = measured({"x": 60, "y": 40}, {"x": 1.0, "y": 1.0})
    assert found.gap is not None and found.gap.value == 0 and found.gap.verdict == "not shown"
    assert (found.gap.lowest, found.gap.highest) == ("x", "y")
    # Of 40 rows all right, a true share of 0.93 is seen one time in twenty.
    assert 0.03 < found.gap.high < 0.12
