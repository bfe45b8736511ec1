"""Keys by which sets that are nearly the same meet: they share one, others rarely do.

From a similarity of 0.8 on by parts: two sets of at most n words that are so similar differ in at most
d = 2n(1 - t)/(1 + t) words, so that of d + 1 parts, into which words fall by their hashes, one at least is the same.
Below, parts hold too few words to tell sets apart: MinHash, by which 99.9 % of the pairs at the threshold meet.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tunesmith.data.near_sets import MIX, Hashes, Places, Sets
from tunesmith.data.tokens import SEED

NUM_HASHES = 128
DIGEST_ROWS = 10_000
PART_ROWS = 20_000
RECALL = 0.999
PARTS_FROM = 0.8
"""The similarity from which parts hold four words and more."""
_EPSILON = 1e-9


def keys(sets: Sets, threshold: float) -> tuple[Places, Hashes]:
    """Rows and keys, as many of them for each row as it has, in the order of the rows."""
    made = list(_part_keys(sets, threshold) if threshold >= PARTS_FROM else _band_keys(sets, num_bands(threshold)))
    rows, values = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    return np.concatenate(rows + [row for row, _ in made]), np.concatenate(values + [key for _, key in made])


def num_bands(threshold: float) -> int:
    """The fewest bands of MinHash values by which pairs at the threshold are found with 99.9 % probability."""
    for rows in (16, 8, 4, 2):
        bands = NUM_HASHES // rows
        if 1 - (1 - threshold**rows) ** bands >= RECALL:
            return bands
    return NUM_HASHES


def sizes(threshold: float, most: int) -> Places:
    """The largest size of each class up to the one that `most` falls into and one more; sets so similar are of one
    class or of neighbouring ones."""
    largest = [0]
    while len(largest) < 3 or largest[-2] < most:
        largest.append(int((largest[-1] + 1) / threshold + _EPSILON))
    return np.array(largest[1:])


def _part_keys(sets: Sets, threshold: float) -> Iterator[tuple[Places, Hashes]]:
    largest = sizes(threshold, int(sets.counts.max(initial=0)))
    num_parts = (2 * largest * (1 - threshold) / (1 + threshold) + _EPSILON).astype(np.int64) + 1
    mixed = sets.hashes * MIX
    mixed ^= mixed >> np.uint64(32)
    ends = np.concatenate([[0], np.cumsum(sets.counts)])
    for start in range(0, len(sets.counts), PART_ROWS):
        counts = sets.counts[start : start + PART_ROWS]
        inside = mixed[ends[start] : ends[start + len(counts)]]
        rows, values = [], []
        # A set meets those of its own size and larger ones in the class above.
        for above in (0, 1):
            size = np.searchsorted(largest, counts) + above
            row, key = _sums(inside, counts, num_parts[size], size)
            rows.append(row + start)
            values.append(key)
        row, key = np.concatenate(rows), np.concatenate(values)
        order = np.argsort(row, kind="stable")
        yield row[order], key[order]


def _sums(mixed: Hashes, counts: Places, num_parts: Places, size: Places) -> tuple[Places, Hashes]:
    """For each part of each set that holds a word a number of its words, part and class."""
    num_parts = np.where(counts > 0, num_parts, 0)
    row = np.repeat(np.arange(len(counts)), num_parts)
    first = np.cumsum(num_parts) - num_parts
    # The upper bits times the number of parts, as Lemire does it instead of a remainder.
    high = (mixed >> np.uint64(32)) * np.repeat(num_parts, counts).astype(np.uint64) >> np.uint64(32)
    sums = np.zeros(len(row), dtype=np.uint64)
    np.add.at(sums, np.repeat(first, counts) + high.astype(np.int64), mixed * MIX)
    part = np.arange(len(row)) - first[row]
    key = (sums ^ ((size[row] << 20) + part).astype(np.uint64)) * MIX
    return row[sums != 0], (key ^ (key >> np.uint64(29)))[sums != 0]


def _band_keys(sets: Sets, bands: int) -> Iterator[tuple[Places, Hashes]]:
    import rensa

    rows = np.flatnonzero(sets.counts)
    ends = np.concatenate([[0], np.cumsum(sets.counts[rows])]).astype(np.uint64)
    for start in range(0, len(rows), DIGEST_ROWS):
        part = ends[start : start + DIGEST_ROWS + 1]
        inside = sets.hashes[part[0] : part[-1]] * MIX
        digests = rensa.RMinHash.digest_matrix_from_flat_token_hashes(inside, part - part[0], NUM_HASHES, SEED)
        values = np.asarray(digests.to_rows(), dtype=np.uint64).reshape(len(part) - 1, bands, -1)
        # A colliding key only costs a comparison: the similarity decides.
        key: NDArray[np.uint64] = np.broadcast_to(np.arange(bands, dtype=np.uint64), values.shape[:2])
        for i in range(values.shape[2]):
            key = (key ^ values[:, :, i]) * MIX
            key ^= key >> np.uint64(29)
        yield np.repeat(rows[start : start + DIGEST_ROWS], bands), key.ravel()
