"""Two-sample tests: by hand, against scipy, and right under no change."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import chi2_contingency, fisher_exact, ks_2samp

from tunesmith.monitoring import statistics


def test_ks_is_the_largest_gap_and_scipys() -> None:
    found = statistics.ks([1, 2, 3, 4], [3, 4, 5, 6])
    assert found.effect == found.statistic == 0.5  # below 3: half of the first, none of the second
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=200), rng.normal(0.4, size=80)
    assert statistics.ks(one, two).p_value == pytest.approx(float(ks_2samp(one, two).pvalue))


def test_shares_has_pearsons_statistic_and_its_p_value() -> None:
    reference, window = {"a": 300, "b": 200, "c": 100}, {"a": 60, "b": 60, "c": 30}
    found = statistics.shares(reference, window, 20_000, np.random.default_rng(0))
    wanted = chi2_contingency([[300, 200, 100], [60, 60, 30]], correction=False)
    assert found.statistic == pytest.approx(wanted.statistic)
    assert found.p_value == pytest.approx(float(wanted.pvalue), abs=0.01)


def test_shares_of_two_cells_are_fishers() -> None:
    found = statistics.shares({"a": 8, "b": 2}, {"a": 1, "b": 5}, 50_000, np.random.default_rng(1))
    assert found.p_value == pytest.approx(float(fisher_exact([[8, 2], [1, 5]]).pvalue), abs=0.004)


def test_shares_knows_categories_of_one_side_and_none_that_moved() -> None:
    rng = np.random.default_rng(2)
    new = statistics.shares({"a": 500}, {"a": 50, "new": 50}, 2000, rng)
    assert new.p_value == pytest.approx(1 / 2001)
    assert new.effect == pytest.approx(0.5, abs=0.1)
    assert statistics.shares({"a": 500}, {"a": 50}, 2000, rng).p_value == 1.0


def test_mmd_by_hand() -> None:
    reference, window = np.array([[0.0], [1.0], [3.0]]), np.array([[5.0], [7.0]])
    rows = np.concatenate([reference, window])
    squares = [(rows[a, 0] - rows[b, 0]) ** 2 for a in range(5) for b in range(5) if a != b]
    width = float(np.median(squares))

    def square(first: list[int], second: list[int]) -> float:
        def k(a: int, b: int) -> float:
            return math.exp(-((rows[a, 0] - rows[b, 0]) ** 2) / width)

        within = [
            sum(k(a, b) for a in side for b in side if a != b) / (len(side) * (len(side) - 1))
            for side in (first, second)
        ]
        return sum(within) - 2 * sum(k(a, b) for a in first for b in second) / (len(first) * len(second))

    found = statistics.mmd(reference, window, 5000, np.random.default_rng(0))
    assert found.statistic == pytest.approx(square([0, 1, 2], [3, 4]), abs=1e-5)
    # All ten ways to choose the window: the p-value of the shuffles is the share that is as large.
    every = [square([a for a in range(5) if a not in pair], list(pair)) for pair in itertools.combinations(range(5), 2)]
    exact = sum(one >= found.statistic - 1e-6 for one in every) / len(every)
    assert found.p_value == pytest.approx(exact, abs=0.07)


def test_mmds_effect_is_about_the_share_from_elsewhere() -> None:
    rng = np.random.default_rng(3)
    for share in (0.0, 0.2, 0.5, 1.0):
        window = rng.normal(size=(400, 8))
        window[: round(400 * share)] += 8
        found = statistics.mmd(rng.normal(size=(800, 8)), window, 1000, rng)
        assert found.effect == pytest.approx(share, abs=0.09)


def test_rates_counts_rows_whole() -> None:
    rng = np.random.default_rng(4)
    reference = rng.random((600, 3)) < 0.3
    same = statistics.rates(reference, rng.random((200, 3)) < 0.3, 2000, rng)
    other = statistics.rates(reference, rng.random((200, 3)) < [0.3, 0.3, 0.6], 2000, rng)
    assert same.p_value > 0.01 and same.effect < 0.05
    assert other.p_value == pytest.approx(1 / 2001) and other.effect == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize("kind", ["mmd", "shares", "rates"])
def test_p_values_are_uniform_where_nothing_changed(kind: str) -> None:
    rng = np.random.default_rng(5)
    p_values = []
    for _ in range(200):
        if kind == "mmd":
            p = statistics.mmd(rng.normal(size=(60, 3)), rng.normal(size=(30, 3)), 200, rng).p_value
        elif kind == "shares":
            counts = [dict(enumerate(rng.multinomial(num, [0.1] * 10).tolist())) for num in (300, 100)]
            one, two = ({str(name): value for name, value in side.items()} for side in counts)
            p = statistics.shares(one, two, 200, rng).p_value
        else:
            p = statistics.rates(rng.random((100, 4)) < 0.4, rng.random((50, 4)) < 0.4, 200, rng).p_value
        p_values.append(p)
    assert ks_2samp(p_values, np.linspace(0, 1, 1000)).pvalue > 0.001
    assert np.mean(np.array(p_values) <= 0.05) <= 0.11


def test_holm_by_hand() -> None:
    # 0.01 x 4, 0.02 x 3, 0.03 x 2 raised to the one before, 0.5 x 1 raised too.
    assert statistics.holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert statistics.holm([]) == []
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]
