"""Texts that stand inside of longer ones, by the runs of words they share."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tunesmith.data.tokens import tokens

RUN = 13
"""Words of a run; shorter texts are looked for as a whole (GPT-3, Brown et al. 2020, appendix C)."""
CHUNK_ROWS = 100_000
MAX_SHARED = 50
"""Looked-for texts that may share a run: one that more of them share is a phrase of the trade and says nothing."""
# Odd, so that it has an inverse modulo 2^64.
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)

Words = NDArray[np.uint64]


def contained(
    texts: pl.Series, looked_for: NDArray[np.int64], among: NDArray[np.int64], share: float, min_words: int
) -> dict[int, int]:
    """The rows of `among` that hold at least this share of a looked-for text's words in runs of it, each with that row;
    of several the one of which most is held."""
    index = _Index(texts, looked_for, min_words)
    found: dict[int, int] = {}
    for start in range(0, len(among), CHUNK_ROWS):
        rows = among[start : start + CHUNK_ROWS]
        words, counts = tokens(texts.gather(rows))
        for place, test in index.holders(words, counts, share).items():
            found[int(rows[place])] = test
    return found


class _Index:
    """The runs of the texts that are looked for."""

    def __init__(self, texts: pl.Series, rows: NDArray[np.int64], min_words: int) -> None:
        words, counts = tokens(texts.gather(rows))
        offsets = np.concatenate([[0], np.cumsum(counts)])
        self.lengths = {int(row): int(count) for row, count in zip(rows, counts, strict=True)}
        self.runs: dict[int, dict[int, list[tuple[int, int]]]] = {}
        """Length of a run → its hash → the rows that have it, each with its place."""
        sizes = np.minimum(counts, RUN)
        for size in np.unique(sizes[counts >= min_words]).tolist():
            table: dict[int, list[tuple[int, int]]] = defaultdict(list)
            hashes = run_hashes(words, size)
            for place in np.flatnonzero((sizes == size) & (counts >= min_words)).tolist():
                first, last = int(offsets[place]), int(offsets[place + 1]) - size
                for at, key in enumerate(hashes[first : last + 1].tolist()):
                    table[key].append((int(rows[place]), at))
            self.runs[size] = {key: hits for key, hits in table.items() if len(hits) <= MAX_SHARED}

    def holders(self, words: Words, counts: NDArray[np.int64], share: float) -> dict[int, int]:
        """Of some texts, those that hold a looked-for one, each with its row."""
        ends = np.cumsum(counts)
        owner = np.repeat(np.arange(len(counts)), counts)
        held: dict[tuple[int, int], set[int]] = defaultdict(set)
        for size, table in self.runs.items():
            keys = np.fromiter(table, dtype=np.uint64, count=len(table))
            hashes = run_hashes(words, size)
            starts = np.arange(len(hashes))
            inside = starts + size <= ends[owner[: len(hashes)]] if len(hashes) else np.zeros(0, bool)
            for at in np.flatnonzero(inside & np.isin(hashes, keys)).tolist():
                for row, place in table[int(hashes[at])]:
                    held[int(owner[at]), row].update(range(place, place + size))
        best: dict[int, tuple[float, int]] = {}
        for (place, row), covered in held.items():
            part = len(covered) / self.lengths[row]
            if part >= share and part > best.get(place, (0.0, -1))[0]:
                best[place] = (part, row)
        return {place: row for place, (_, row) in best.items()}


def run_hashes(words: Words, size: int) -> Words:
    """A number for every run of so many neighbouring words, equal where the runs are equal."""
    if len(words) < size:
        return np.empty(0, np.uint64)
    # A polynomial in powers of the base, made relative to the run's start by powers of its inverse.
    powers = _powers(_BASE, len(words))
    with np.errstate(over="ignore"):
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(words * powers, dtype=np.uint64)])
        relative: Words = (sums[size:] - sums[:-size]) * _powers(_INVERSE, len(words) - size + 1)
        return relative


def _powers(base: int, num: int) -> Words:
    with np.errstate(over="ignore"):
        steps = np.full(num, base, dtype=np.uint64)
        steps[:1] = 1
        return np.cumprod(steps, dtype=np.uint64)
