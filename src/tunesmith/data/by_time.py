"""Splits by time: what is newest proves, so that nothing is learned from the future."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import polars as pl

from tunesmith.core.errors import DataError
from tunesmith.data.clean import is_missing
from tunesmith.data.dedupe import is_pool
from tunesmith.data.missing_column import check_column
from tunesmith.data.normalise.dates import iso_moment
from tunesmith.data.prepare_config import SplitName
from tunesmith.data.sift import Sifted

MAX_SHOWN = 5


def quarantine_without(sifted: Sifted, column: str | None) -> None:
    """Put rows that are to be divided by time and have none in quarantine.

    Raises: RecipeError when the column is not there; DataError when half of its values or more are no times.
    """
    if column is None:
        return
    check_column(sifted.kept, column, "`split.by_time`")
    there = sifted.kept.filter(is_pool() & ~is_missing(column))
    strange = there.filter(moment(there, column).is_null())[column]
    if not there.is_empty() and 2 * len(strange) >= there.height:
        shown = ", ".join(f"`{value}`" for value in strange.unique(maintain_order=True).head(MAX_SHOWN))
        raise DataError(
            f"rows cannot be split by `{column}`: {len(strange)} of {there.height} values are no date",
            seen=shown,
            allowed="dates in ISO form (2024-03-01, 2024-03-01T19:10:00), or numbers",
            next=f"write `data: {{normalise: {{{column}: {{kind: date}}}}}}`, or name another column",
        )
    sifted.take_out("quarantined", is_pool() & is_missing(column), f"`{column}` is missing: cannot be split by time")
    why = f"`{column}` is no date: cannot be split by time"
    unread = pl.lit(moment(sifted.kept, column).is_null())
    seen = pl.lit(f"{why}: ") + pl.col(column).cast(pl.String).str.slice(0, 100)
    sifted.take_out("quarantined", is_pool() & unread, why, reason=seen)


def moment(frame: pl.DataFrame, column: str) -> pl.Series:
    """The times of a column as numbers: microseconds for dates, numbers as they are; null for what is neither."""
    values = frame[column]
    if values.dtype.is_numeric():
        return frame.select(pl.when(pl.col(column).is_finite()).then(pl.col(column)).cast(pl.Float64)).to_series()
    text = pl.col(column).cast(pl.String)
    times = frame.select(iso_moment(text).dt.timestamp("us").cast(pl.Float64).alias(column)).to_series()
    if times.null_count() == len(times):
        return frame.select(text.str.strip_chars().cast(pl.Float64, strict=False)).to_series()
    return times


def divided(
    pool: pl.DataFrame, column: str, groups: list[str] | None, shares: Mapping[SplitName, float]
) -> list[SplitName]:
    """A split for each row: the newest are test, those before them validation, each as near to its share as moments
    (with groups: whole groups, by their newest row) can be cut.

    Raises: DataError when there are too few different moments.
    """
    times = moment(pool, column).to_list()
    names = groups if groups is not None else [f"time {time}" for time in times]
    newest: dict[str, float] = {}
    size: dict[str, int] = defaultdict(int)
    for name, time in zip(names, times, strict=True):
        newest[name] = max(time, newest.get(name, time))
        size[name] += 1
    # What shares a moment cannot be cut apart: neither is older.
    steps: dict[float, list[str]] = defaultdict(list)
    for name, time in newest.items():
        steps[time].append(name)
    ordered = sorted(steps, reverse=True)
    if len(ordered) < len(shares) + 1:
        raise DataError(
            f"rows cannot be split by `{column}` into train and {' and '.join(shares)}",
            seen=f"{len(ordered)} different moments" + (", a group counting as its newest row" if groups else ""),
            allowed=f"at least {len(shares) + 1}",
            next="name a finer column, give the splits, or leave `by_time` out",
        )
    chosen: dict[str, SplitName] = {}
    at = 0
    wanted: tuple[SplitName, ...] = ("test", "validation")
    order = [split for split in wanted if split in shares]
    for place, split in enumerate(order):
        target, taken = shares[split] * len(names), 0
        last = len(ordered) - (len(order) - place)
        while at < last:
            here = sum(size[name] for name in steps[ordered[at]])
            if taken and taken + here / 2 > target:
                break
            chosen |= dict.fromkeys(steps[ordered[at]], split)
            taken, at = taken + here, at + 1
    return [chosen.get(name, "train") for name in names]
