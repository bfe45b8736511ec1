"""Columns computed from others by expressions."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from tunesmith.core.errors import RecipeError
from tunesmith.data.changes import Changes
from tunesmith.data.dataset import LINEAGE
from tunesmith.data.expressions.functions import as_text
from tunesmith.data.expressions.parse import translated

STEP = "derive"
TEXTS = ("text", "label", "split")
"""Roles that are read as text, whatever an expression gives."""


def derived(frame: pl.DataFrame, columns: Mapping[str, str], changes: Changes) -> pl.DataFrame:
    """The frame with each column computed, in order: a later expression may use an earlier one's column.

    Raises: RecipeError when an expression names what is not there, or its parts do not fit together.
    """
    for column, source in columns.items():
        if column in LINEAGE or column.startswith("_") or not column.strip():
            raise RecipeError(
                f"`derive` cannot make a column called `{column}`",
                seen=f"{column}: {source}",
                allowed=f"any name but {', '.join(LINEAGE)} that does not start with `_`",
            )
        frame = frame.with_columns(_computed(frame, column, source, changes))
    return frame


def _computed(frame: pl.DataFrame, column: str, source: str, changes: Changes) -> pl.Series:
    try:
        value = translated(source, frame.schema)
        expr = as_text(value) if column in TEXTS or value.kind == "missing" else value.expr
        if value.kind == "number" and column not in TEXTS:
            expr = _finite(frame, expr)
        # A frame of no other column gives a literal its length.
        made = frame.select(expr.alias(column), pl.first().alias("_length")).to_series(0)
    except RecipeError as error:
        raise RecipeError(
            f"`derive: {{{column}: ..}}`: {error.what}", seen=error.seen, allowed=error.allowed, next=error.next
        ) from None
    except pl.exceptions.PolarsError as error:
        raise RecipeError(
            f"`derive: {{{column}: ..}}` cannot be computed", seen=f"{source}: {str(error).splitlines()[0]}"
        ) from None
    if column in frame.columns:
        changes.changed(STEP, frame, column, made)
    else:
        changes.counted(STEP, column, "made", frame["source_id"].filter(made.is_not_null()))
    changes.counted(STEP, column, "missing", frame["source_id"].filter(made.is_null()))
    return made


def _finite(frame: pl.DataFrame, expr: pl.Expr) -> pl.Expr:
    """The numbers with what is no finite one missing: infinity cannot be learned from."""
    dtype = frame.lazy().select(expr.alias("made")).collect_schema()["made"]
    return pl.when(expr.is_finite()).then(expr) if dtype.is_float() else expr
