"""What reading a column's values gave."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl


@dataclass(frozen=True)
class Reading:
    """The values as they are now written, and where and why a value could not be read."""

    after: pl.Series
    """Null where a value is missing or could not be read."""
    why: pl.Series
    """The reason a value could not be read; null where it was, or where there was none."""
    notes: dict[str, pl.Series] = field(default_factory=dict)
    """What is worth counting of values that were read, with the rows it holds for."""


def plain(values: pl.Series) -> pl.Series:
    """The values as text without white space around them; blank ones are null."""
    text = values.cast(pl.String).str.strip_chars()
    return text.set(text == "", None)


def first_reason(*reasons: pl.Expr) -> pl.Expr:
    """The first reason that is there."""
    return pl.coalesce(*reasons, pl.lit(None, pl.String))
