"""Repairs that change how a value is written, never which row it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from tunesmith.data.changes import Changes
from tunesmith.data.prepare_config import CleanConfig
from tunesmith.texts.repair import fixed_unicode, single_spaced

if TYPE_CHECKING:
    from collections.abc import Sequence


def repair(
    frame: pl.DataFrame, columns: Sequence[str], clean: CleanConfig, changes: Changes | None = None
) -> tuple[pl.DataFrame, dict[str, int]]:
    """The frame with the string columns repaired, and the number of rows that each kind of repair changed; `changes`
    gets the values before."""
    strings = [column for column in columns if frame.schema[column] == pl.String]
    repaired: dict[str, int] = {}
    if clean.unicode:
        frame, repaired["unicode"] = _changed(
            frame, {name: fixed_unicode(frame[name]) for name in strings}, "unicode", changes
        )
    if clean.whitespace:
        tidy = frame.select(single_spaced(pl.col(name)) for name in strings)
        frame, repaired["whitespace"] = _changed(frame, {name: tidy[name] for name in strings}, "whitespace", changes)
    return frame, repaired


def comparable(text: pl.Expr) -> pl.Expr:
    """The form in which two texts count as equal: lower case, white space normalised."""
    return single_spaced(text).str.to_lowercase()


def is_missing(column: str) -> pl.Expr:
    """Whether a value is null or blank."""
    return pl.col(column).is_null() | (pl.col(column).cast(pl.String).str.strip_chars() == "")


def _changed(
    frame: pl.DataFrame, columns: dict[str, pl.Series], step: str, changes: Changes | None
) -> tuple[pl.DataFrame, int]:
    if not columns:
        return frame, 0
    if changes is not None:
        for name, after in columns.items():
            changes.changed(step, frame, name, after)
    differs = pl.any_horizontal(pl.col(name).ne_missing(series) for name, series in columns.items())
    return frame.with_columns(**columns), int(frame.select(differs.sum()).item())
