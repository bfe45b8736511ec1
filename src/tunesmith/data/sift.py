"""Sifting: every row ends up kept, removed or in quarantine, and none in two of them or nowhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

import polars as pl

from tunesmith.data.dataset import LINEAGE

MAX_RECORD_CHARS = 2000

Fate = Literal["removed", "quarantined"]


class Sifted:
    """Rows still kept, and those taken out of them with the reason."""

    def __init__(self, kept: pl.DataFrame, mapped: Iterable[str]) -> None:
        self.kept = kept
        self.mapped = tuple(mapped)
        """The columns the recipe maps: what the record of a quarantined row shows."""
        self._taken: dict[Fate, list[pl.DataFrame]] = {"removed": [], "quarantined": []}

    def take_out(
        self,
        fate: Fate,
        where: pl.Expr,
        why: pl.Expr | str,
        *,
        reason: pl.Expr | None = None,
        because_of: pl.Expr | None = None,
    ) -> int:
        """Take the rows where a condition holds out of the kept ones and return how many they were.

        `why` is what is counted (few different ones), `reason` may add what the single row has.
        """
        why = pl.lit(why) if isinstance(why, str) else why
        marked = self.kept.with_columns(
            where.fill_null(False).alias("_out"),
            why.alias("_why"),
            (why if reason is None else reason).alias("_reason"),
            (pl.lit(None, pl.String) if because_of is None else because_of).alias("_because_of"),
        )
        out = marked.filter("_out")
        if not out.is_empty():
            self._taken[fate].append(self._removed(out) if fate == "removed" else self._quarantined(out))
            self.kept = self.kept.filter(~marked["_out"])
        return out.height

    def removed(self) -> pl.DataFrame:
        """The removed rows, as `removed.parquet` has them, with the counted reason in `_why`."""
        return pl.concat([self._removed(_marked(self.kept.clear())), *self._taken["removed"]])

    def quarantined(self) -> pl.DataFrame:
        """The rows in quarantine, as `quarantine.parquet` has them, with the counted reason in `_why`."""
        return pl.concat([self._quarantined(_marked(self.kept.clear())), *self._taken["quarantined"]])

    def reasons(self) -> dict[str, int]:
        """How many rows were taken out, by the counted reason."""
        counts: Counter[str] = Counter()
        for frame in (*self._taken["removed"], *self._taken["quarantined"]):
            counts.update(frame["_why"])
        return dict(counts.most_common())

    def reasons_by_source(self) -> dict[str, dict[str, int]]:
        """How many rows of each source were taken out, by the counted reason."""
        counts: dict[str, Counter[str]] = {}
        for frame in (*self._taken["removed"], *self._taken["quarantined"]):
            for source, why, n in frame.group_by("source_id", "_why").len().iter_rows():
                counts.setdefault(source, Counter())[why] += n
        return {
            source: dict(sorted(of.items(), key=lambda one: (-one[1], one[0]))) for source, of in sorted(counts.items())
        }

    def _removed(self, out: pl.DataFrame) -> pl.DataFrame:
        return out.select(
            *LINEAGE,
            "text",
            pl.col("label").cast(pl.String),
            pl.col("_reason").cast(pl.String).alias("reason"),
            pl.col("_because_of").cast(pl.String).alias("because_of"),
            pl.col("_why").cast(pl.String),
        )

    def _quarantined(self, out: pl.DataFrame) -> pl.DataFrame:
        return out.select(
            "source_id",
            pl.lit(None, pl.Int64).alias("position"),
            "row_id",
            bounded(pl.struct(*self.mapped).struct.json_encode()).alias("record"),
            pl.col("_reason").cast(pl.String).alias("reason"),
            pl.col("_why").cast(pl.String),
        )


def bounded(record: pl.Expr) -> pl.Expr:
    """A record of at most `MAX_RECORD_CHARS` characters; one that was cut ends with an ellipsis."""
    cut = record.str.slice(0, MAX_RECORD_CHARS - 1) + "…"
    return pl.when(record.str.len_chars() > MAX_RECORD_CHARS).then(cut).otherwise(record)


def _marked(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.lit(None, pl.String).alias(name) for name in ("_why", "_reason", "_because_of"))
