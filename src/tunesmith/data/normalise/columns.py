"""Columns whose values are written in one way, each change recorded and each failure counted."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from tunesmith.core.errors import RecipeError
from tunesmith.data.changes import Changes
from tunesmith.data.missing_column import check_column
from tunesmith.data.normalise import categories, dates, numbers, units
from tunesmith.data.normalise.config import (
    CategoryConfig,
    DateConfig,
    NormalConfig,
    NumberConfig,
    TimeConfig,
    UnitConfig,
)
from tunesmith.data.normalise.reading import Reading
from tunesmith.data.refusal import refuse


def normalised(frame: pl.DataFrame, columns: Mapping[str, NormalConfig], changes: Changes) -> pl.DataFrame:
    """The frame with these columns normalised; rows refused by a failed value are marked.

    Raises: RecipeError when a column is not there or holds lists.
    """
    for column, config in columns.items():
        check_column(frame, column, "`normalise`")
        if frame.schema[column].is_nested():
            raise RecipeError(f"`normalise` cannot write the lists of `{column}` in one way", seen=column)
        frame = _one(frame, column, config, changes)
    return frame


def read(values: pl.Series, config: NormalConfig) -> Reading:
    """The values as their kind reads them."""
    match config:
        case NumberConfig():
            return numbers.read(values, config)
        case DateConfig():
            return dates.read_dates(values, config)
        case TimeConfig():
            return dates.read_times(values, config)
        case UnitConfig():
            return units.read(values, config)
        case CategoryConfig():
            return categories.read(values, config)
    raise TypeError(type(config).__name__)


def _one(frame: pl.DataFrame, column: str, config: NormalConfig, changes: Changes) -> pl.DataFrame:
    kind = getattr(config, "kind", "")
    step = f"normalise {kind}"
    values = frame[column]
    if kind == "number" and values.dtype.is_numeric():
        values = frame.select(numbers.number_text(pl.col(column))).to_series()
    # A column of a million rows has far fewer different values: each is read once.
    unique = values.cast(pl.String).unique(maintain_order=True).alias("value")
    found = read(unique, config)
    table = pl.DataFrame({"value": unique, "after": found.after, "why": found.why, **found.notes})
    read_rows = pl.DataFrame({"value": values.cast(pl.String)}).join(
        table, on="value", how="left", nulls_equal=True, maintain_order="left"
    )
    failed = read_rows["why"].is_not_null()
    for why in read_rows["why"].drop_nulls().unique().sort():
        changes.counted(step, column, f"{why}: {_fate(config)}", frame["source_id"].filter(read_rows["why"] == why))
    for note in found.notes:
        changes.counted(step, column, note, frame["source_id"].filter(read_rows[note]))
    before = values.cast(pl.String)
    after = read_rows["after"] if config.failed == "missing" else read_rows["after"].zip_with(~failed, before)
    changes.changed(step, frame, column, after)
    if config.failed == "quarantine":
        why_words = pl.concat_str(pl.lit(f"`{column}`: "), read_rows["why"])
        seen = pl.concat_str(why_words, pl.lit(": "), before.str.slice(0, 100))
        frame = refuse(frame, why_words, seen)
    return frame.with_columns(after.alias(column))


def _fate(config: NormalConfig) -> str:
    return {"keep": "kept as it was", "quarantine": "quarantined", "missing": "made missing"}[config.failed]
