"""What can be measured of texts without a model: length, letters, words that training never showed, language."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tunesmith.texts.languages import languages

Floats = NDArray[np.float64]

WORD = r"[\p{L}\p{N}][\p{L}\p{N}'’_]*"
MIN_LETTERS, MIN_CONFIDENCE = 20, 0.5
"""A language is told from so many letters on, and where it is at least so sure."""
CLASSES = {
    "uppercase": r"\p{Lu}",
    "digits": r"\p{N}",
    "punctuation": r"[\p{P}\p{S}]",
    "other_letters": r"[\p{L}--a-zA-Z]",
}
"""Characters that are counted, each as a share of the text's."""


def document_frequency(texts: Sequence[str]) -> pl.DataFrame:
    """Each word of the texts (``word``) and in how many of them it stands (``texts``), in the order of the words."""
    found = pl.DataFrame({"word": _words(texts)}).explode("word").drop_nulls()
    return found.group_by("word").agg(pl.len().alias("texts")).sort("word")


def unseen_shares(texts: Sequence[str], frequency: pl.DataFrame, *, is_learned: bool) -> Floats:
    """The share of each text's words that no training text has, 0 for a text without words.

    Of a training text itself (``is_learned``): that no *other* training text has, so it is judged as a new one is.
    """
    known = frequency.filter(pl.col("texts") > 1) if is_learned else frequency
    rows = pl.DataFrame({"words": _words(texts)}).with_row_index("row")
    words = rows.explode("words").drop_nulls().rename({"words": "word"})
    unseen = words.join(known.select("word"), on="word", how="anti").group_by("row").len()
    counted = rows.select("row", pl.col("words").list.len().alias("all")).join(unseen, on="row", how="left")
    shares = counted.sort("row").select(
        pl.when(pl.col("all") > 0).then(pl.col("len").fill_null(0) / pl.col("all")).otherwise(0.0)
    )
    return shares.to_series().to_numpy().astype(np.float64)


def measured(texts: Sequence[str]) -> pl.DataFrame:
    """One row a text: ``characters``, the share of each class of characters, and ``language`` (`und`: not told)."""
    column = pl.Series("text", list(texts), dtype=pl.String)
    num = pl.col("text").str.len_chars()
    shares = [
        (pl.col("text").str.count_matches(pattern) / num.clip(lower_bound=1)).cast(pl.Float64).alias(name)
        for name, pattern in CLASSES.items()
    ]
    table = column.to_frame().select(num.cast(pl.Float64).alias("characters"), *shares)
    return table.with_columns(languages(column, MIN_LETTERS, MIN_CONFIDENCE).alias("language"))


def _words(texts: Sequence[str]) -> pl.Series:
    """The words of each text, each once."""
    column = pl.Series("text", list(texts), dtype=pl.String)
    return column.str.to_lowercase().str.extract_all(WORD).list.unique(maintain_order=True)
