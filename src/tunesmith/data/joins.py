"""Columns of other tables, found by a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import DataError, RecipeError
from tunesmith.data import dataset
from tunesmith.data.changes import Changes
from tunesmith.data.clean import repair
from tunesmith.data.dataset import LINEAGE
from tunesmith.data.joins_config import JoinKeys
from tunesmith.data.missing_column import check_column
from tunesmith.data.prepare_config import CleanConfig
from tunesmith.data.refusal import refuse

MAX_SHOWN = 5
ROW, KEY = "_table_row", "_key_"


def joined(
    frame: pl.DataFrame,
    joins: Sequence[JoinKeys],
    tables: Mapping[str, Artifact],
    clean: CleanConfig,
    changes: Changes,
) -> pl.DataFrame:
    """The frame with the tables' columns; a row's parents then hold the table's row, and rows that an inner join finds
    nothing for are marked as refused.

    Raises: DataError when a key occurs twice in a table; RecipeError when a key or a free column name is not there.
    """
    for join in joins:
        table = dataset.scan(tables[join.table]).collect()
        columns = [name for name in table.columns if name not in LINEAGE and name not in join.on]
        for key in join.on:
            check_column(frame, key, f"the join with `{join.table}`")
            _check_key(table, key, join.table)
        table, _ = repair(table, [*columns, *(key for key in join.on if key != "subject")], clean)
        taken = [name for name in columns if name in frame.columns]
        if taken:
            raise RecipeError(
                f"the table `{join.table}` and the rows both have a column `{taken[0]}`",
                seen=", ".join(columns),
                next=f"give the table's another name under its `columns`: `{join.table}_{taken[0]}: …`",
            )
        frame = _one(frame, join, _unique(table, join, columns), changes)
    return frame


def _one(frame: pl.DataFrame, join: JoinKeys, table: pl.DataFrame, changes: Changes) -> pl.DataFrame:
    names = [f"{KEY}{place}" for place in range(len(join.on))]
    keys = [_key(key).alias(name) for key, name in zip(join.on, names, strict=True)]
    frame = frame.with_columns(keys).join(table, on=names, how="left", maintain_order="left").drop(names)
    has = pl.col(ROW).is_not_null()
    words = " and ".join(f"`{key}`" for key in join.on)
    unmatched = frame["source_id"].filter(frame[ROW].is_null())
    fate = "no row for the key: columns missing" if join.how == "left" else "no row for the key: quarantined"
    changes.counted(f"join {join.table}", words.replace("`", ""), fate, unmatched)
    found = frame["source_id"].filter(frame[ROW].is_not_null())
    changes.counted(f"join {join.table}", words.replace("`", ""), "found", found)
    if join.how == "inner":
        why = pl.when(~has).then(pl.lit(f"no row of `{join.table}` has its {words}"))
        shown = pl.concat_str([pl.col(key).cast(pl.String).fill_null("missing") for key in join.on], separator=", ")
        frame = refuse(frame, why, why + pl.lit(": ") + shown.str.slice(0, 100))
    parents = pl.when(has).then(pl.concat_list("parents", ROW)).otherwise(pl.col("parents"))
    return frame.with_columns(parents.alias("parents")).drop(ROW)


def _unique(table: pl.DataFrame, join: JoinKeys, columns: Sequence[str]) -> pl.DataFrame:
    """The table by its keys, rows without one left out.

    Raises: DataError with examples when a key occurs twice.
    """
    names = [f"{KEY}{place}" for place in range(len(join.on))]
    keys = [_key(key).alias(name) for key, name in zip(join.on, names, strict=True)]
    keyed = table.select(*keys, pl.col("row_id").alias(ROW), *columns).drop_nulls(names)
    counts = keyed.group_by(names, maintain_order=True).agg(pl.len().alias("times")).filter(pl.col("times") > 1)
    if not counts.is_empty():
        shown = [f"{', '.join(map(str, row[:-1]))} ({row[-1]} times)" for row in counts.head(MAX_SHOWN).iter_rows()]
        more = f" and {counts.height - MAX_SHOWN} more" if counts.height > MAX_SHOWN else ""
        raise DataError(
            f"{'1 key occurs' if counts.height == 1 else f'{counts.height} keys occur'} more than once in the table "
            f"`{join.table}`: which row is meant?",
            seen=f"{' and '.join(join.on)}: {'; '.join(shown)}{more}",
            allowed="one row a key",
            next="leave one row of each in the table (for SQL: `group by`), or add a column to `on`",
        )
    return keyed


def _check_key(table: pl.DataFrame, key: str, name: str) -> None:
    if key not in table.columns:
        known = [column for column in table.columns if column not in LINEAGE]
        raise RecipeError(
            f"the table `{name}` has no key `{key}`",
            seen=key,
            allowed=", ".join(known),
            next=f"map it under the table's `columns`: `{key}: its name there`",
        )
    if table[key].null_count() == table.height:
        raise DataError(f"no row of the table `{name}` has a value of its key `{key}`", seen=f"{table.height} rows")


def _key(column: str) -> pl.Expr:
    """A key as both sides can be compared by: 7, 7.0 and "7" are one."""
    text = pl.col(column).cast(pl.String).str.strip_chars()
    plain = text.str.replace(r"^(-?\d+)\.0$", "$1")
    return pl.when(plain != "").then(plain)
