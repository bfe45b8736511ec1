"""Texts that are nearly the same: MinHash finds candidates, the true Jaccard similarity decides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tunesmith.data.tokens import SEED, split

Hashes = NDArray[np.uint64]

NUM_HASHES = 128
# Odd, so that multiplying loses nothing (the golden ratio as a 64-bit fraction).
_MIX = np.uint64(0x9E3779B97F4A7C15)
CHUNK_ROWS = 100_000
DIGEST_ROWS = 10_000
RECALL = 0.999
MIN_WORDS = 4
"""Shorter texts are never nearly the same: one word is too much of them."""
ORDERED_BELOW_WORDS = 10
"""Shorter texts are compared by pairs of neighbouring words, so that "from A to B" is not "from B to A"; texts of
scripts without spaces always, by pairs of characters."""
MAX_BUCKET = 200
"""Earlier texts a text is compared with in one band: bounds the time on tables of templates, at the cost of recall."""


def num_bands(threshold: float) -> int:
    """The fewest bands of MinHash values by which pairs at the threshold are found with 99.9 % probability."""
    for rows in (16, 8, 4, 2):
        bands = NUM_HASHES // rows
        if 1 - (1 - threshold**rows) ** bands >= RECALL:
            return bands
    return NUM_HASHES


class NearTexts:
    """The texts of a column that share a band of MinHash values with another one."""

    def __init__(self, texts: pl.Series, threshold: float) -> None:
        self.threshold = threshold
        bands = num_bands(threshold)
        hashes, counts = _shingles(texts)
        rows = np.flatnonzero(counts)
        flags = _flags(hashes, _offsets(counts[rows]), threshold, bands)
        is_candidate = np.zeros(len(counts), dtype=bool)
        is_candidate[rows[flags]] = True
        self._hashes = hashes[np.repeat(is_candidate, counts)]
        self._offsets = _offsets(counts[is_candidate])
        self.candidates: list[int] = np.flatnonzero(is_candidate).tolist()
        """The rows that may be nearly the same as another one."""
        self._place = {row: place for place, row in enumerate(self.candidates)}
        self._bands = _band_keys(self._hashes, self._offsets, bands)
        self._shingles = lru_cache(maxsize=CHUNK_ROWS)(self._read_shingles)

    def similarity(self, row: int, other: int) -> float:
        """The Jaccard similarity of two candidates."""
        a, b = self._shingles(row), self._shingles(other)
        shared = len(a & b)
        return shared / (len(a) + len(b) - shared)

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

    def _add(self, row: int, buckets: dict[int, list[int]]) -> None:
        for key in self._bands[self._place[row]].tolist():
            if len(buckets[key]) < MAX_BUCKET:
                buckets[key].append(row)

    def _match(
        self, row: int, buckets: dict[int, list[int]], is_repeat: Callable[[int, int], bool] | None
    ) -> int | None:
        seen: set[int] = set()
        for key in self._bands[self._place[row]].tolist():
            for other in buckets.get(key, ()):
                if other in seen:
                    continue
                seen.add(other)
                counts = is_repeat is None or is_repeat(row, other)
                if counts and self.similarity(row, other) >= self.threshold:
                    return other
        return None

    def _read_shingles(self, row: int) -> frozenset[int]:
        place = self._place[row]
        return frozenset(self._hashes[self._offsets[place] : self._offsets[place + 1]].tolist())


def _shingles(texts: pl.Series) -> tuple[Hashes, NDArray[np.int64]]:
    """The hashes of every text's shingles, flat, and how many each text has: none for texts of too few words."""
    hashes, counts = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for start in range(0, len(texts), CHUNK_ROWS):
        words, is_unspaced = split(texts.slice(start, CHUNK_ROWS))
        lengths = words.list.len().to_numpy().astype(np.int64)
        words = words.filter(pl.Series(lengths >= MIN_WORDS))
        word = words.explode().hash(seed=SEED).to_numpy()
        length = lengths[lengths >= MIN_WORDS]
        # A character says far less than a word: its neighbour always belongs to it.
        in_pairs = (lengths < ORDERED_BELOW_WORDS) | is_unspaced
        is_ordered = np.repeat(in_pairs[lengths >= MIN_WORDS], length)
        is_last = np.zeros(len(word), dtype=bool)
        is_last[np.cumsum(length) - 1] = True
        pair = word * _MIX ^ np.roll(word, -1)
        hashes.append(np.where(is_ordered, pair, word)[~(is_ordered & is_last)])
        lengths[lengths < MIN_WORDS] = 0
        lengths[(lengths > 0) & in_pairs] -= 1
        counts.append(lengths)
    return np.concatenate(hashes), np.concatenate(counts)


def _offsets(counts: NDArray[np.int64]) -> NDArray[np.uint64]:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.uint64)


def _flags(hashes: Hashes, offsets: NDArray[np.uint64], threshold: float, bands: int) -> NDArray[np.bool_]:
    """Whether each text shares a band with another one."""
    if len(offsets) == 1:
        return np.zeros(0, dtype=bool)
    import rensa

    digests = rensa.RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, NUM_HASHES, SEED)
    index = rensa.RMinHashLSH(threshold, NUM_HASHES, bands)
    return np.asarray(index.query_duplicate_flags_matrix_one_shot(digests), dtype=bool)


def _band_keys(hashes: Hashes, offsets: NDArray[np.uint64], bands: int) -> Hashes:
    """One number for each text and band: equal where all MinHash values of the band are equal."""
    keys = np.empty((len(offsets) - 1, bands), dtype=np.uint64)
    if len(keys):
        import rensa

        for start in range(0, len(keys), DIGEST_ROWS):
            part = offsets[start : start + DIGEST_ROWS + 1]
            inside = hashes[part[0] : part[-1]]
            digests = rensa.RMinHash.digest_matrix_from_flat_token_hashes(inside, part - part[0], NUM_HASHES, SEED)
            values = np.asarray(digests.to_rows(), dtype=np.uint64).reshape(len(part) - 1, bands, -1)
            # A colliding key only costs a comparison: the similarity decides.
            key = np.broadcast_to(np.arange(bands, dtype=np.uint64), values.shape[:2])
            for i in range(values.shape[2]):
                key = (key ^ values[:, :, i]) * _MIX
                key ^= key >> np.uint64(29)
            keys[start : start + DIGEST_ROWS] = key
    return keys
