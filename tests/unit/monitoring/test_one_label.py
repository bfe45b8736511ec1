"""The one label that moved: its p-value by enumeration and by Fisher's test, its level where nothing changed."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from scipy.stats import fisher_exact

from tunesmith.monitoring import one_label
from tunesmith.monitoring.config import DriftConfig
from tunesmith.monitoring.drift import ONE_LABEL, Columns, Outcome, compared, judge


def own_p(window: Counter[str], everything: Counter[str], label: str) -> float:
    """Fisher's p-value of one label: twice the smaller tail."""
    inside, outside = window[label], everything[label] - window[label]
    rest = window.total() - inside, everything.total() - window.total() - outside
    table = [[inside, rest[0]], [outside, rest[1]]]
    return float(min(1.0, 2 * min(fisher_exact(table, alternative=side).pvalue for side in ("less", "greater"))))


def test_the_smallest_p_value_is_judged_by_the_smallest_of_all_windows_that_could_be() -> None:
    rows = ["a"] * 5 + ["b"] * 3 + ["c"] * 2
    everything, seen = Counter(rows), Counter(["b", "b", "b", "a"])
    own = {label: own_p(seen, everything, label) for label in "abc"}

    found = one_label.of_categories(everything - seen, seen, 20_000, np.random.default_rng(0))

    assert found.label == min(own, key=own.__getitem__) and found.statistic == pytest.approx(min(own.values()))
    windows = [Counter(rows[at] for at in places) for places in itertools.combinations(range(10), 4)]
    smallest = [min(own_p(one, everything, label) for label in "abc") for one in windows]
    exact = np.mean([one <= found.statistic * (1 + 1e-9) for one in smallest])
    assert found.p_value == pytest.approx(exact, abs=0.01)
    assert (found.before, found.now) == pytest.approx((0.0, 0.75)) and found.label == "b"
    assert found.effect == 1.0, "the reference has none of it"


def test_where_nothing_changed_one_in_twenty_is_below_a_twentieth() -> None:
    rng, labels = np.random.default_rng(1), [f"l{at}" for at in range(77)]
    weights = rng.dirichlet(np.full(77, 2.0))
    below = 0
    for _ in range(200):
        before, now = (Counter(rng.choice(labels, size, p=weights).tolist()) for size in (1400, 500))
        below += one_label.of_categories(before, now, 1000, rng).p_value <= 0.05
    assert 1 <= below <= 20, "binomial, 200 of 0.05: outside with a chance of 1 in 1,000"


def test_rows_of_one_label_are_judged_alike_in_either_form() -> None:
    rng = np.random.default_rng(2)
    before = rng.choice(["a", "b", "c", "d"], 400, p=[0.5, 0.3, 0.15, 0.05]).tolist()
    now = rng.choice(["a", "b", "c", "d"], 200, p=[0.45, 0.3, 0.15, 0.1]).tolist()
    one = one_label.of_categories(Counter(before), Counter(now), 4000, rng)
    other = one_label.of_sets([[name] for name in before], [[name] for name in now], 4000, rng)
    assert (one.label, one.statistic, one.effect) == (other.label, pytest.approx(other.statistic), other.effect)
    assert one.p_value == pytest.approx(other.p_value, abs=0.04)


def checked(reference: Columns, window: Columns, **config: float) -> dict[str, Outcome]:
    settings = DriftConfig.model_validate(config)
    outcomes = compared(reference, window, settings, np.random.default_rng(0))
    judge(outcomes, settings)
    return {one.name: one for one in outcomes}


def rows_with(share_of_new: float, num: int) -> list[str]:
    """50 labels as often as one another, but for the one that is named."""
    rest = 1 - share_of_new
    shares = [share_of_new, *[rest / 49] * 49]
    return [f"label {at}" for at, share in enumerate(shares) for _ in range(round(share * num))]


def test_a_label_that_triples_is_named_though_all_labels_together_hardly_moved() -> None:
    before, now = rows_with(0.02, 5000), rows_with(0.06, 1500)
    found = checked(Columns({}, {"labels": before}), Columns({}, {"labels": now}))
    assert not found["labels"].is_alert
    alone = found[ONE_LABEL]
    assert alone.is_alert and alone.why == '"label 0": 2 % before, 5.96 % now'


def test_how_often_is_often_enough_is_the_recipes_to_say() -> None:
    before, now = rows_with(0.02, 5000), rows_with(0.06, 1500)
    alone = checked(Columns({}, {"labels": before}), Columns({}, {"labels": now}), min_ratio=4)[ONE_LABEL]
    assert alone.verdict == "too small to matter" and not alone.is_alert
    assert alone.why.startswith('"label 0": 2 %') and alone.why.endswith("at least 0.75 is asked for")


def test_rows_that_no_label_was_given_to_are_no_change() -> None:
    nothing: list[list[str]] = [[] for _ in range(200)]
    found = checked(Columns(sets={"labels": nothing}), Columns(sets={"labels": nothing[:100]}))
    assert {one.verdict for one in found.values()} == {"not shown"} and set(found) == {"labels", ONE_LABEL}


def test_a_label_is_a_line_of_a_sentence() -> None:
    before, now = ["x"] * 300, ["x"] * 100 + ["two\nlines " + "y" * 100] * 100
    found = checked(Columns({}, {"labels": before}), Columns({}, {"labels": now}))[ONE_LABEL]
    assert found.is_alert and "\n" not in found.why and '…": 0 % before, 50 % now' in found.why
