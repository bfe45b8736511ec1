"""Tables in Parquet files of many small row groups, so that who reads a file in parts never holds more than a few.

A reader takes a row group as a whole: with the usual 262,144 rows in one, a split of long texts would be read at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

GROUP_BYTES = 8_000_000
"""About the bytes of a group, or of a part, in memory: with larger ones compression gains little."""


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Write a table; equal tables give equal bytes."""
    frame.write_parquet(path, row_group_size=_rows_together(frame))


def parts(frame: pl.DataFrame, most_rows: int) -> Iterator[pl.DataFrame]:
    """The rows in order, so many at a time and of about the bytes of a group."""
    return frame.iter_slices(min(most_rows, _rows_together(frame)))


def _rows_together(frame: pl.DataFrame) -> int:
    return max(1, GROUP_BYTES * frame.height // max(1, int(frame.estimated_size())))
