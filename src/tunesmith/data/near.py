"""Texts that are nearly the same: shared keys find candidates, the true Jaccard similarity decides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tunesmith.data.near_keys import keys
from tunesmith.data.near_sets import Hashes, Places, Sets, ranges, sets_of

MAX_BUCKET = 200
"""Earlier texts a text is compared with by one key: bounds the time on tables of templates, at the cost of recall."""


class NearTexts:
    """The texts of a column that share a key with another one."""

    def __init__(self, texts: pl.Series, threshold: float) -> None:
        self.threshold = threshold
        sets = sets_of(texts)
        rows, groups = _shared(*keys(sets, threshold))
        is_candidate = np.zeros(len(texts), dtype=bool)
        is_candidate[rows] = True
        self._sets = sets.only(is_candidate)
        self._starts = self._sets.starts
        self.candidates: list[int] = np.flatnonzero(is_candidate).tolist()
        """The rows that may be nearly the same as another one."""
        self._place = {row: place for place, row in enumerate(self.candidates)}
        places = (np.cumsum(is_candidate) - 1)[rows]
        self._ends = np.searchsorted(places, np.arange(len(self.candidates) + 1)).tolist()
        self._groups: list[int] = groups.tolist()
        self._known = _neighbours(self._sets, places, groups, threshold)

    def similarity(self, row: int, other: int) -> float:
        """The Jaccard similarity of two candidates."""
        return float(self._similarities(row, [other])[0])

    def repeats(self, order: Iterable[int], is_repeat: Callable[[int, int], bool]) -> dict[int, int]:
        """The candidates that repeat an earlier one of the order, each with that row; only pairs for which
        `is_repeat(row, earlier)` holds count, and what repeats another is not itself repeated."""
        buckets: dict[int, list[int]] = defaultdict(list)
        found: dict[int, int] = {}
        for row in order:
            earlier = self._match(row, buckets, is_repeat)
            if earlier is None:
                self._add(row, buckets)
            else:
                found[row] = earlier
        return found

    def matches(self, rows: Iterable[int], others: Iterable[int]) -> dict[int, int]:
        """Those of the rows that are nearly the same as one of the others, each with the one found first."""
        buckets: dict[int, list[int]] = defaultdict(list)
        for other in others:
            if other in self._place:
                self._add(other, buckets)
        found = {row: self._match(row, buckets, None) for row in rows if row in self._place}
        return {row: other for row, other in found.items() if other is not None}

    def _keys(self, row: int) -> list[int]:
        place = self._place[row]
        return self._groups[self._ends[place] : self._ends[place + 1]]

    def _add(self, row: int, buckets: dict[int, list[int]]) -> None:
        for key in self._keys(row):
            bucket = buckets[key]
            if len(bucket) < MAX_BUCKET:
                bucket.append(row)

    def _match(
        self, row: int, buckets: dict[int, list[int]], is_repeat: Callable[[int, int], bool] | None
    ) -> int | None:
        seen: set[int] = set()
        for key in self._keys(row):
            unknown = []
            for other in buckets.get(key, ()):
                if other in seen:
                    continue
                seen.add(other)
                if is_repeat is not None and not is_repeat(row, other):
                    continue
                known = self._known.get(self._code(row, other))
                if known:
                    return other
                if known is None:
                    unknown.append(other)
            if unknown:
                near = np.flatnonzero(self._similarities(row, unknown) >= self.threshold)
                if len(near):
                    return unknown[int(near[0])]
        return None

    def _code(self, row: int, other: int) -> int:
        low, high = (row, other) if row < other else (other, row)
        return self._place[low] * len(self.candidates) + self._place[high]

    def _similarities(self, row: int, others: list[int]) -> NDArray[np.float64]:
        place = self._place[row]
        start = self._starts[place]
        one = self._sets.hashes[start : start + self._sets.counts[place]]
        places = np.array([self._place[other] for other in others])
        counts = self._sets.counts[places]
        inside = self._sets.hashes[ranges(self._starts[places], counts)]
        found = np.minimum(np.searchsorted(one, inside), len(one) - 1)
        shared = np.add.reduceat(one[found] == inside, np.cumsum(counts) - counts, dtype=np.int64)
        return np.asarray(shared / (len(one) + counts - shared))


def _shared(rows: Places, values: Hashes) -> tuple[Places, Places]:
    """Rows and keys that another row has too, in the order of the rows; keys as numbers from 0."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    is_same = np.zeros(len(values) + 1, dtype=bool)
    is_same[1:-1] = ordered[1:] == ordered[:-1]
    is_shared = is_same[1:] | is_same[:-1]
    group = np.empty(len(values), dtype=np.int64)
    group[order] = np.cumsum(~is_same[:-1]) - 1
    kept = np.zeros(len(values), dtype=bool)
    kept[order] = is_shared
    return rows[kept], group[kept]


def _neighbours(sets: Sets, places: Places, groups: Places, threshold: float) -> dict[int, bool]:
    """Whether the likeliest pairs are near, all at once: each candidate with the first and the last one before it that
    share a key. The others are compared when they are asked for."""
    order = np.argsort(groups, kind="stable")
    place, group = places[order], groups[order]
    is_next = np.zeros(len(group), dtype=bool)
    is_next[1:] = group[1:] == group[:-1]
    starts: NDArray[np.int64] = np.maximum.accumulate(np.where(is_next, 0, np.arange(len(group))))
    after = np.flatnonzero(is_next)
    num = len(sets.counts)
    codes = np.unique(
        np.concatenate([place[after - 1] * num + place[after], place[starts[after]] * num + place[after]])
    )
    near = sets.similarities(codes // max(1, num), codes % max(1, num)) >= threshold
    return dict(zip(codes.tolist(), near.tolist(), strict=True))
