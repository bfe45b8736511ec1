"""Tables without the rows of a person."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from tunesmith.governance.erasure.find import PARENTS, ROW, SUBJECT
from tunesmith.governance.erasure.person import ERASED, Person

BECAUSE = "because_of"


@dataclass(frozen=True)
class Taken:
    """A table that held a person, without them."""

    frame: pl.DataFrame
    gone: pl.DataFrame
    """The rows that were taken out."""
    changed: int
    """Rows of others in which something was blacked out."""

    @property
    def is_other(self) -> bool:
        """Whether anything was there."""
        return self.gone.height > 0 or self.changed > 0


def without(frame: pl.DataFrame, person: Person) -> Taken:
    """A table without the person's rows, and without rows that quote them or were made from them."""
    mine = pl.Series(frame.columns and [False] * frame.height, dtype=pl.Boolean)
    ids = sorted(person.row_ids)
    for name, dtype in frame.schema.items():
        if dtype == pl.String and (name == ROW or name.endswith("_row_id")):
            mine = mine | frame[name].is_in(ids).fill_null(value=False)
        elif name == SUBJECT and dtype == pl.String:
            mine = mine | (frame[name] == person.subject).fill_null(value=False)
        elif name == PARENTS and dtype == pl.List(pl.String):
            mine = mine | frame[name].list.eval(pl.element().is_in(ids)).list.any().fill_null(value=False)
    strings = [name for name, dtype in frame.schema.items() if dtype == pl.String and name != ROW]
    if ROW not in frame.columns or frame[ROW].null_count():
        # Records and words stand for themselves: whatever tells of the person goes.
        alone = pl.Series([True] * frame.height, dtype=pl.Boolean) if ROW not in frame.columns else frame[ROW].is_null()
        for name in strings:
            mine = mine | (alone & person.in_cells(frame[name]))
    kept, gone = frame.filter(~mine), frame.filter(mine)
    cleaned = _cleaned(kept, strings, person)
    changed = 0 if cleaned is kept else int(_differ(kept, cleaned, strings).sum())
    return Taken(cleaned if changed else kept, gone, changed)


def _cleaned(frame: pl.DataFrame, strings: list[str], person: Person) -> pl.DataFrame:
    """Rows of others, without references to the person's rows and what stands for them in so many words."""
    made: list[pl.Expr] = []
    for name in strings:
        if name == BECAUSE:
            made.append(pl.when(~pl.col(name).is_in(sorted(person.row_ids))).then(pl.col(name)).alias(name))
        elif person.also and name not in (SUBJECT, "source_id") and not name.endswith("_row_id"):
            made.append(pl.col(name).str.replace_many(list(person.also), [ERASED] * len(person.also)).alias(name))
    return frame.with_columns(made) if made and frame.height else frame


def _differ(one: pl.DataFrame, other: pl.DataFrame, columns: list[str]) -> pl.Series:
    differ = pl.Series([False] * one.height, dtype=pl.Boolean)
    for name in columns:
        differ = differ | one[name].ne_missing(other[name])
    return differ
