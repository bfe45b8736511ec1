"""Two-sample tests: are these rows drawn as those were? Each gives a p-value and an effect from 0 to 1.

The effect is on one scale for all of them: about the share of rows that would have to be others. With many rows a test
finds any difference; the effect says whether it matters.

Vectors are compared by the maximum mean discrepancy with a Gaussian kernel, not by a classifier: docs/monitoring.md has
the power of both on real texts. A classifier must hold rows back to be judged on, which costs power in small windows.

Shapes: N reference rows, M window rows, D dimensions, K categories, P shuffles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Vectors = NDArray[np.floating]

ENOUGH_LARGER = 25
"""Shuffles as large as what was seen after which the rest is not drawn: the p-value is known well enough by then."""
BLOCK = 250
"""Shuffles of one matrix product."""
MEDIAN_ROWS = 1000
"""Rows that the kernel's width is read from."""


@dataclass(frozen=True)
class Tested:
    """What a test found."""

    statistic: float
    p_value: float
    effect: float
    """From 0, nothing, to 1, no row in common."""


def ks(reference_N: Sequence[float] | Floats, window_M: Sequence[float] | Floats) -> Tested:
    """Kolmogorov-Smirnov: the largest gap between the two shares of rows below a number, which is its effect too.

    Source: scipy.stats.ks_2samp (exact up to 10,000 rows); with ties its p-values are too large, never too small.
    """
    from scipy.stats import ks_2samp

    found = ks_2samp(np.asarray(reference_N, float), np.asarray(window_M, float))
    return Tested(float(found.statistic), float(found.pvalue), float(found.statistic))


def shares(
    reference: Mapping[str, int], window: Mapping[str, int], num_shuffles: int, rng: np.random.Generator
) -> Tested:
    """Pearson's chi-square of two counts by category, its p-value from shuffles that keep both margins.

    Small cells need no pooling, which the chi-square distribution would ask for: of 77 labels and a window of 100 rows
    pooling leaves one cell. Effect: the share of rows in another category (total variation), less what shuffles have.
    Source: Monte Carlo form of Fisher's exact test (Patefield 1981); p = (1 + as large) / (1 + shuffles).
    """
    names = sorted({*reference, *window})
    reference_K = np.array([reference.get(name, 0) for name in names], np.int64)
    window_K = np.array([window.get(name, 0) for name in names], np.int64)
    num_reference, num_window = int(reference_K.sum()), int(window_K.sum())
    all_K = reference_K + window_K
    keep = all_K > 0
    all_K, window_K = all_K[keep], window_K[keep]
    expected_K = all_K * (num_window / (num_reference + num_window))
    drawn_PK = rng.multivariate_hypergeometric(all_K, num_window, size=num_shuffles)

    def statistic(counts: NDArray[np.int64]) -> Floats:
        # The window's cells alone: with fixed margins the reference's are these times a constant.
        return np.asarray((((counts - expected_K) ** 2) / expected_K).sum(-1) * (1 + num_window / num_reference))

    def moved(counts: NDArray[np.int64]) -> Floats:
        gaps = counts / num_window - (all_K - counts) / num_reference
        return np.asarray(np.abs(gaps).sum(-1) / 2)

    seen = float(statistic(window_K))
    as_large = int((statistic(drawn_PK) >= seen * (1 - 1e-12)).sum())
    effect = max(0.0, float(moved(window_K)) - float(moved(drawn_PK).mean()))
    return Tested(seen, (1 + as_large) / (1 + num_shuffles), effect)


def rates(
    reference_NK: NDArray[np.bool_], window_MK: NDArray[np.bool_], num_shuffles: int, rng: np.random.Generator
) -> Tested:
    """How often each of several labels is given, where a row may have any number of them.

    Statistic: the squared differences of rates over their variances, summed over labels; rows are shuffled whole, so
    labels that go together count as they do. Effect: the largest difference of a rate, less what shuffles have.
    """
    if not reference_NK.shape[1]:  # no row of either side has a label
        return Tested(0.0, 1.0, 0.0)
    rows = np.concatenate([reference_NK, window_MK])
    num, num_window = len(rows), len(window_MK)
    num_reference = num - num_window
    rate_K = rows.mean(0, dtype=np.float64)
    variance_K = np.maximum(rate_K * (1 - rate_K), 1e-12) * (1 / num_window + 1 / num_reference)
    total_K = rows.sum(0, dtype=np.float64)

    def gaps(window_PK: NDArray[np.integer]) -> Floats:
        return np.asarray(window_PK / num_window - (total_K - window_PK) / num_reference, np.float64)

    seen_K = gaps(window_MK.sum(0))
    seen = float((seen_K**2 / variance_K).sum())
    as_large, largest = 0, []
    for counts_PK in shuffled_counts(rows, num_window, num_shuffles, rng):
        drawn_PK = gaps(counts_PK)
        as_large += int(((drawn_PK**2 / variance_K).sum(1) >= seen * (1 - 1e-5)).sum())
        largest.append(np.abs(drawn_PK).max(1))
    effect = max(0.0, float(np.abs(seen_K).max() - np.concatenate(largest).mean()))
    return Tested(seen, (1 + as_large) / (1 + num_shuffles), effect)


def mmd(reference_ND: Vectors, window_MD: Vectors, num_shuffles: int, rng: np.random.Generator) -> Tested:
    """Maximum mean discrepancy of vectors: the unbiased square, its p-value from shuffles of the rows.

    The kernel is Gaussian, as wide as the median distance. Shuffling ends early once it has shown that there is nothing
    (Besag and Clifford 1991): p is then as large / drawn. Effect: 2 AUC - 1 of the witness, the mean kernel to the
    reference less that to the window, each row left out of its own mean: 0.1 where a tenth of the window is from
    elsewhere.
    Source: Gretton et al. 2012, "A kernel two-sample test", equation 3.
    """
    kernel = _kernel(np.concatenate([reference_ND, window_MD]), rng)
    num_window, num_reference = len(window_MD), len(reference_ND)
    num = num_window + num_reference
    row_sums, total = kernel.sum(1, dtype=np.float64), float(kernel.sum(dtype=np.float64))

    def square(is_window: NDArray[np.float32]) -> Floats:
        """Of each column: which rows are taken as the window."""
        within = np.einsum("np,np->p", is_window, kernel @ is_window, dtype=np.float64)
        across = row_sums @ is_window - within
        rest = total - 2 * across - within
        pairs = num_window * (num_window - 1), num_reference * (num_reference - 1), num_window * num_reference
        return np.asarray(within / pairs[0] + rest / pairs[1] - 2 * across / pairs[2])

    seen_rows = np.zeros((num, 1), np.float32)
    seen_rows[num_reference:] = 1
    seen = float(square(seen_rows)[0])
    as_large = drawn = 0
    while drawn < num_shuffles and as_large < ENOUGH_LARGER:
        size = min(BLOCK, num_shuffles - drawn)
        larger = square(_shuffles(num, num_window, size, rng)) >= seen - 1e-9
        for is_larger in larger:
            drawn, as_large = drawn + 1, as_large + int(is_larger)
            if as_large == ENOUGH_LARGER:
                break
    p_value = as_large / drawn if as_large == ENOUGH_LARGER else (1 + as_large) / (1 + num_shuffles)
    return Tested(seen, p_value, _witness(kernel, num_reference))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted so that one below α anywhere has a chance of at most α where nothing changed.

    Source: Holm 1979; holds whatever the tests have to do with one another.
    """
    order = np.argsort(p_values, kind="stable")
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for place, at in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[at]))
        adjusted[at] = largest
    return adjusted


def membership(rows: Sequence[Sequence[str]], labels: Sequence[str]) -> NDArray[np.bool_]:
    """Which of the labels each row has (N, K)."""
    place = {label: at for at, label in enumerate(labels)}
    has_NK = np.zeros((len(rows), len(labels)), bool)
    for at, row in enumerate(rows):
        has_NK[at, [place[label] for label in row]] = True
    return has_NK


def shuffled_counts(
    rows_NK: NDArray[np.bool_], num_window: int, num_shuffles: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """How many rows of windows drawn at random have each label, some windows at a time (P, K)."""
    rows = rows_NK.astype(np.float32)
    for start in range(0, num_shuffles, BLOCK):
        drawn = _shuffles(len(rows), num_window, min(BLOCK, num_shuffles - start), rng)
        yield np.rint(drawn.T @ rows).astype(np.int64)


def _shuffles(num: int, num_window: int, size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Which rows are taken as the window, a column each."""
    drawn = np.zeros((num, size), np.float32)
    places = rng.random((size, num)).argpartition(num_window - 1, axis=1)[:, :num_window]
    drawn[places.T, np.arange(size)] = 1
    return drawn


def _kernel(rows_ND: Vectors, rng: np.random.Generator) -> NDArray[np.float32]:
    """Gaussian similarities of all pairs, a row's with itself being 0."""
    rows = np.asarray(rows_ND, np.float32)
    rows = rows - rows.mean(0)
    norms = np.einsum("nd,nd->n", rows, rows)
    squares = np.maximum(norms[:, None] + norms[None, :] - 2 * (rows @ rows.T), 0)
    some = rng.permutation(len(rows))[:MEDIAN_ROWS]
    width = float(np.median(squares[np.ix_(some, some)][~np.eye(len(some), dtype=bool)])) or 1.0
    kernel = np.exp(-squares / width)
    np.fill_diagonal(kernel, 0)
    return np.asarray(kernel, np.float32)


def _witness(kernel: NDArray[np.float32], num_reference: int) -> float:
    num = len(kernel)
    is_window = np.arange(num) >= num_reference
    to_reference = kernel[:, ~is_window].sum(1, dtype=np.float64) / (num_reference - ~is_window)
    to_window = kernel[:, is_window].sum(1, dtype=np.float64) / (num - num_reference - is_window)
    from scipy.stats import rankdata

    ranks = rankdata(to_window - to_reference)
    num_window = num - num_reference
    auc = (ranks[is_window].sum() - num_window * (num_window + 1) / 2) / (num_window * num_reference)
    return float(max(0.0, 2 * auc - 1))
