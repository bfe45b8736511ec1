"""The one answer to a column that is not there."""

from __future__ import annotations

import difflib

import polars as pl

from tunesmith.core.errors import RecipeError


def check_column(frame: pl.DataFrame, column: str, who: str) -> None:
    """Raise RecipeError naming the nearest column when a frame has none of that name."""
    known = [name for name in frame.columns if not name.startswith("_")]
    if column in known:
        return
    near = difflib.get_close_matches(column, known, n=1)
    raise RecipeError(
        f"{who} names the column `{column}`, which no source has",
        seen=column,
        allowed=", ".join(known),
        next=f"did you mean `{near[0]}`?" if near else "map it under the source's `columns`",
    )
