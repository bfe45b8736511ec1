"""The words that speak most for each label, over many texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from tunesmith.explanation.attribution import Attribution
from tunesmith.explanation.words import Word

UNKNOWN = "[unknown]"
"""Stands for all words that the model's tokenizer does not know: to the model they are one."""
SCHEMA = {"method": pl.String, "target": pl.String, "word": pl.String, "mean": pl.Float64, "rows": pl.Int64}


def top_words(found: Sequence[Attribution], most: int, least_rows: int) -> pl.DataFrame:
    """By method and explained label the words with the largest mean value: ``method, target, word, mean, rows``.

    Case is folded, marks and numbers without a letter are left out; words that the model does not know are ``UNKNOWN``;
    a row counts once for a word, with the sum of its occurrences. Numbers have no labels: their words with the largest
    mean of either sign are listed.
    """
    cells: list[dict[str, Any]] = []
    for row, one in enumerate(found):
        cells += [
            {"row": row, "method": one.method, "target": one.target, "word": _name(word), "value": word.value}
            for word in one.words
            if word.unknown == "whole" or any(char.isalpha() for char in word.text)
        ]
    schema = {"row": pl.Int64, "method": pl.String, "target": pl.String, "word": pl.String, "value": pl.Float64}
    by_row = pl.DataFrame(cells, schema=schema).group_by("method", "target", "word", "row").agg(pl.sum("value"))
    means = by_row.group_by("method", "target", "word").agg(
        pl.col("value").sort_by("row").mean().alias("mean"), pl.len().cast(pl.Int64).alias("rows")
    )
    is_number = bool(found) and found[0].unit == "value"
    rank = pl.col("mean").abs() if is_number else pl.col("mean")
    if not is_number:
        means = means.filter(pl.col("mean") > 0)
    return (
        means.filter(pl.col("rows") >= least_rows)
        .with_columns(rank.alias("rank"))
        .sort("method", "target", "rank", "word", descending=[False, False, True, False])
        .group_by("method", "target", maintain_order=True)
        .head(most)
        .select(list(SCHEMA))
    )


def _name(word: Word) -> str:
    return UNKNOWN if word.unknown == "whole" else word.text.casefold()
