"""Texts as sets of hashed words, kept flat: many of them are compared at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tunesmith.data.tokens import SEED, split

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]

# Odd, so that multiplying loses nothing (the golden ratio as a 64-bit fraction).
MIX = np.uint64(0x9E3779B97F4A7C15)
MIN_WORDS = 4
"""Shorter texts are never nearly the same: one word is too much of them."""
ORDERED_BELOW_WORDS = 10
"""Shorter texts are compared by pairs of neighbouring words, so that "from A to B" is not "from B to A"; texts of
scripts without spaces always, by pairs of characters."""
CHUNK_ROWS = 20_000
PAIRS_AT_ONCE = 20_000
# A hash keeps 47 bits: a number of the row or pair fits before it, and one sort brings equal ones together.
_HASH_BITS = np.uint64(47)
_HASH = np.uint64((1 << 47) - 1)


@dataclass(frozen=True)
class Sets:
    """Sets one after another: each sorted, without repeats."""

    hashes: Hashes
    counts: Places

    @property
    def starts(self) -> Places:
        """Where each set begins."""
        return np.cumsum(self.counts) - self.counts

    def only(self, rows: NDArray[np.bool_]) -> Sets:
        """The sets of some rows."""
        return Sets(self.hashes[np.repeat(rows, self.counts)], self.counts[rows])

    def similarities(self, ones: Places, others: Places) -> NDArray[np.float64]:
        """The Jaccard similarity of each pair of sets."""
        starts, parts = self.starts, [np.empty(0)]
        for first in range(0, len(ones), PAIRS_AT_ONCE):
            one, other = ones[first : first + PAIRS_AT_ONCE], others[first : first + PAIRS_AT_ONCE]
            both = np.concatenate([one, other])
            pair = np.concatenate([np.arange(len(one)), np.arange(len(one))]).astype(np.uint64)
            inside = self.hashes[ranges(starts[both], self.counts[both])]
            keys = np.sort((np.repeat(pair, self.counts[both]) << _HASH_BITS) | inside)
            shared = np.bincount((keys[1:][keys[1:] == keys[:-1]] >> _HASH_BITS).astype(np.int64), minlength=len(one))
            parts.append(shared / (self.counts[one] + self.counts[other] - shared))
        return np.concatenate(parts)


def sets_of(texts: pl.Series) -> Sets:
    """The set of each text's words or of pairs of them; empty for texts of too few words."""
    hashes, counts = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for start in range(0, len(texts), CHUNK_ROWS):
        made, lengths = _shingles(texts.slice(start, CHUNK_ROWS))
        row = np.repeat(np.arange(len(lengths), dtype=np.uint64), lengths)
        keys = np.sort((row << _HASH_BITS) | (made >> np.uint64(17)))
        is_first = np.ones(len(keys), dtype=bool)
        is_first[1:] = keys[1:] != keys[:-1]
        keys = keys[is_first]
        hashes.append(keys & _HASH)
        counts.append(np.bincount((keys >> _HASH_BITS).astype(np.int64), minlength=len(lengths)))
    return Sets(np.concatenate(hashes), np.concatenate(counts))


def ranges(starts: Places, lengths: Places) -> Places:
    """The numbers of all ranges one after another."""
    ends = np.cumsum(lengths)
    return np.repeat(starts - ends + lengths, lengths) + np.arange(ends[-1] if len(ends) else 0)


def _shingles(texts: pl.Series) -> tuple[Hashes, Places]:
    words, is_unspaced = split(texts)
    lengths = words.list.len().fill_null(0).to_numpy().astype(np.int64)
    long_enough = lengths >= MIN_WORDS
    word = words.filter(pl.Series(long_enough, dtype=pl.Boolean)).explode().hash(seed=SEED).to_numpy()
    length = lengths[long_enough]
    # A character says far less than a word: its neighbour always belongs to it.
    in_pairs = (lengths < ORDERED_BELOW_WORDS) | is_unspaced
    is_ordered = np.repeat(in_pairs[long_enough], length)
    is_last = np.zeros(len(word), dtype=bool)
    is_last[np.cumsum(length) - 1] = True
    pair = word * MIX ^ np.roll(word, -1)
    counts = np.where(long_enough, lengths - in_pairs, 0)
    return np.where(is_ordered, pair, word)[~(is_ordered & is_last)], counts
