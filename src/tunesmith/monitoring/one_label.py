"""The one label that is given more or less often than before, which a test of all labels together cannot show.

One label of 77 that triples moves one text in fifty: the sum over all labels hardly changes, its own count does.
Shapes: K labels, P shuffles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunesmith.monitoring.statistics import Tested, membership, shuffled_counts

Counts = NDArray[np.integer]


@dataclass(frozen=True)
class Moved(Tested):
    """The label that moved most, for how many there are. Statistic: its own p-value, as if no other label was there;
    effect: 1 less the smaller of its two rates over the larger, so 0.5 where it doubled or halved."""

    label: str
    before: float
    """Its rate in the reference."""
    now: float
    """Its rate in the window."""


def of_categories(
    reference: Mapping[str, int], window: Mapping[str, int], num_shuffles: int, rng: np.random.Generator
) -> Moved:
    """Of rows that have one label each, given as counts."""
    names = sorted({*reference, *window})
    reference_K, window_K = (np.array([side.get(name, 0) for name in names], np.int64) for side in (reference, window))
    all_K, num_window = reference_K + window_K, int(window_K.sum())
    drawn_PK = rng.multivariate_hypergeometric(all_K, num_window, size=num_shuffles)
    return _moved(names, window_K, all_K, drawn_PK, num_window, int(all_K.sum()))


def of_sets(
    reference: Sequence[Sequence[str]], window: Sequence[Sequence[str]], num_shuffles: int, rng: np.random.Generator
) -> Moved:
    """Of rows that have any number of labels; they are shuffled whole."""
    names = sorted({label for side in (reference, window) for row in side for label in row})
    rows_NK = np.concatenate([membership(side, names) for side in (reference, window)])
    drawn_PK = np.concatenate(list(shuffled_counts(rows_NK, len(window), num_shuffles, rng)))
    window_K = rows_NK[len(reference) :].sum(0)
    return _moved(names, window_K, rows_NK.sum(0), drawn_PK, len(window), len(rows_NK))


def _moved(names: Sequence[str], window_K: Counts, all_K: Counts, drawn_PK: Counts, num_window: int, num: int) -> Moved:
    """The smallest p-value of a label, against the smallest of each shuffle.

    A label's own is Fisher's exact one: twice the smaller tail of the hypergeometric distribution. The smallest of all
    is judged by the smallest of shuffles (Westfall and Young 1993, min-p), so labels that are rare, many or given
    together count as they do.
    """
    from scipy.stats import hypergeom

    if not names:
        return Moved(1.0, 1.0, 0.0, "", 0.0, 0.0)
    smallest_P, seen_K = np.ones(len(drawn_PK)), np.ones(len(names))
    for at, total in enumerate(all_K):
        counts = np.arange(min(int(total), num_window) + 1)
        tails = hypergeom.cdf(counts, num, total, num_window), hypergeom.sf(counts - 1, num, total, num_window)
        p_values = np.minimum(1.0, 2 * np.minimum(*tails))
        seen_K[at] = p_values[window_K[at]]
        np.minimum(smallest_P, p_values[drawn_PK[:, at]], out=smallest_P)
    best = int(seen_K.argmin())
    as_small = int((smallest_P <= seen_K[best] * (1 + 1e-9)).sum())
    now = float(window_K[best]) / num_window
    before = float(all_K[best] - window_K[best]) / (num - num_window)
    effect = 1 - min(before, now) / max(before, now)
    return Moved(float(seen_K[best]), (1 + as_small) / (1 + len(drawn_PK)), effect, names[best], before, now)
