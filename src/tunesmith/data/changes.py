"""Every value that preparation changed, so that the one before can be had back, and how many there were per source."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

FOLDER = "changes"
SCHEMA = {name: pl.String() for name in ("row_id", "column", "step", "before", "after")}
MARK = "_is_changed"


class Changes:
    """Writes what steps changed as they go, a Parquet file for each step and column: memory stays bounded."""

    def __init__(self, quality: Path) -> None:
        self._folder = quality / FOLDER
        self._num_parts = 0
        self._counts: dict[tuple[str, str, str], Counter[str]] = {}

    def changed(self, step: str, frame: pl.DataFrame, column: str, after: pl.Series) -> int:
        """Record where a column's new values differ from those in the frame; return how many do."""
        differs = frame[column].cast(pl.String).ne_missing(after.cast(pl.String))
        rows = frame.select("row_id", "source_id", pl.col(column).cast(pl.String).alias("before")).filter(differs)
        if rows.is_empty():
            return 0
        self._folder.mkdir(parents=True, exist_ok=True)
        rows.select(
            "row_id",
            pl.lit(column).alias("column"),
            pl.lit(step).alias("step"),
            "before",
            after.cast(pl.String).filter(differs).alias("after"),
        ).write_parquet(self._folder / f"{self._num_parts:04d}.parquet")
        self._num_parts += 1
        self.counted(step, column, "changed", rows["source_id"])
        return rows.height

    def counted(self, step: str, column: str, outcome: str, sources: pl.Series) -> int:
        """Count rows with an outcome that is no change of a value, by their sources; return how many they are."""
        if not sources.is_empty():
            counts = sources.rename("source").value_counts(name="n").sort("source")
            self._counts.setdefault((step, column, outcome), Counter()).update(dict(counts.iter_rows()))
        return len(sources)

    def facts(self) -> list[dict[str, Any]]:
        """What each step did to each column: ``step``, ``column``, ``outcome``, ``rows``, ``by_source``."""
        return [
            {"step": step, "column": column, "outcome": outcome, "rows": counts.total(), "by_source": dict(counts)}
            for (step, column, outcome), counts in self._counts.items()
        ]


def scan(quality: Path) -> pl.LazyFrame:
    """The recorded changes of a ``quality`` folder in the order they were made."""
    parts = sorted((quality / FOLDER).glob("*.parquet"))
    return pl.scan_parquet(parts) if parts else pl.LazyFrame(schema=SCHEMA)


def undone(frame: pl.DataFrame, quality: Path) -> pl.DataFrame:
    """The frame with every recorded change of its columns taken back, as text."""
    firsts = scan(quality).unique(["row_id", "column"], keep="first", maintain_order=True).collect()
    for (column,), changes in firsts.group_by("column", maintain_order=True):
        if column not in frame.columns:
            continue
        before = changes.select("row_id", "before", pl.lit(True).alias(MARK))
        value = pl.when(pl.col(MARK)).then("before").otherwise(pl.col(str(column)).cast(pl.String))
        frame = (
            frame.join(before, on="row_id", how="left", maintain_order="left")
            .with_columns(value.alias(str(column)))
            .drop("before", MARK)
        )
    return frame
