"""Struck keys among sound texts: letters whose pairs are improbable in the texts as a whole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

MIN_LETTERS, MIN_ROWS = 12, 200
"""Letters of a text and rows in all from which on one is judged."""
CHUNK_ROWS = 100_000

Chunk = tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]


def z_scores(texts: pl.Series) -> NDArray[np.float64]:
    """How many standard errors the mean log-probability of each text's neighbouring letters lies from that of all
    texts; 0 for texts that are too short, and for all where there are too few.

    The probabilities are those of the texts themselves, one added to each pair; letters are bytes of UTF-8.
    """
    scores = np.zeros(len(texts))
    if len(texts) < MIN_ROWS:
        return scores
    counts = np.ones(256 * 256)
    for _, pairs, _, inside in _chunks(texts):
        counts += np.bincount(pairs[inside], minlength=256 * 256)
    table = counts.reshape(256, 256)
    logs = np.log2(table / table.sum(axis=1, keepdims=True)).reshape(-1)
    share = (counts - 1) / (counts - 1).sum()
    mean = float(share @ logs)
    spread = float(np.sqrt(share @ (logs - mean) ** 2))
    for start, pairs, offsets, inside in _chunks(texts):
        sums = np.concatenate([[0.0], np.cumsum(np.where(inside, logs[pairs], 0.0))])
        lengths = np.diff(offsets)
        num = np.maximum(lengths - 1, 1)
        total = sums[np.maximum(offsets[1:] - 1, 0)] - sums[offsets[:-1]]
        score = (total / num - mean) / (max(spread, 1e-9) / np.sqrt(num))
        # A space stands at both ends of what is counted.
        score[lengths - 2 < MIN_LETTERS] = 0.0
        scores[start : start + len(score)] = score
    return scores


def _chunks(texts: pl.Series) -> Iterator[Chunk]:
    """For so many texts: the first's number, every pair of neighbouring bytes, where each text starts, and which pairs
    lie inside of one text."""
    for start in range(0, len(texts), CHUNK_ROWS):
        part = texts.slice(start, CHUNK_ROWS).str.to_lowercase().str.replace_all(r"[^\p{L}\p{M}]+", " ")
        part = pl.select(pl.concat_str(pl.lit(" "), part.str.strip_chars().fill_null(""), pl.lit(" "))).to_series()
        offsets = np.concatenate([[0], np.cumsum(part.str.len_bytes().to_numpy())]).astype(np.int64)
        data = np.frombuffer("".join(part.to_list()).encode(), dtype=np.uint8).astype(np.int64)
        inside = np.ones(max(len(data) - 1, 0), dtype=bool)
        inside[offsets[1:-1] - 1] = False
        yield start, data[:-1] * 256 + data[1:], offsets, inside
