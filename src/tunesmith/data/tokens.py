"""Texts as words for comparison; scripts without spaces between words as characters."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

SEED = 1
"""Of the words' hashes; fixed: what is compared does not depend on the run's seed."""
UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
"""Characters of scripts that put no space between words."""
WORD = r"\w+"
WORD_OR_CHARACTER = rf"{UNSPACED}|[\w--{UNSPACED}]+"


def split(texts: pl.Series) -> tuple[pl.Series, NDArray[np.bool_]]:
    """The words of each text, and whether they are mostly characters of a script without spaces."""
    unspaced = texts.str.contains(UNSPACED).fill_null(False)
    if not unspaced.any():
        return texts.str.extract_all(WORD), np.zeros(len(texts), dtype=bool)
    frame = texts.to_frame("text").select(
        pl.when(unspaced)
        .then(pl.col("text").str.extract_all(WORD_OR_CHARACTER))
        .otherwise(pl.col("text").str.extract_all(WORD))
        .alias("words"),
        pl.col("text").str.count_matches(UNSPACED).alias("characters"),
    )
    mostly = (2 * frame["characters"] >= frame["words"].list.len()) & unspaced
    return frame["words"], mostly.fill_null(False).to_numpy()


def tokens(texts: pl.Series) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The hashes of all words of the texts, flat, and how many each text has."""
    words, _ = split(texts)
    counts = words.list.len().fill_null(0).to_numpy().astype(np.int64)
    return words.filter(pl.Series(counts > 0, dtype=pl.Boolean)).explode().hash(seed=SEED).to_numpy(), counts
