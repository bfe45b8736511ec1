"""Parquet files: typed columns, read row group by row group."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import polars as pl

from tunesmith.core import digests
from tunesmith.core.errors import DataError
from tunesmith.core.source import Batch, Description
from tunesmith.data.sources import parquet_footer
from tunesmith.data.sources.batches import BATCH_ROWS
from tunesmith.data.sources.bounds import Meter
from tunesmith.data.sources.files import require_file
from tunesmith.data.sources.frames import MAX_ROWS_A_BYTE, MAX_TABLE_RATIO, MIN_ROWS, Frames
from tunesmith.data.sources.table_config import ParquetConfig
from tunesmith.data.sources.tables import READER_ERRORS, cannot_be_read, require_magic

MAGIC = b"PAR1"


class ParquetSource:
    """The rows of a Parquet file."""

    def __init__(self, config: ParquetConfig) -> None:
        self.config = config
        self.path = Path(config.path)

    def describe(self) -> Description:
        """The columns, from the file's footer; once all was read, also what reads as missing."""
        frames = self._frames
        return Description("parquet", frames.columns, frames.notes + frames.late_notes)

    def fingerprint(self) -> str:
        """The SHA-256 of the file's bytes."""
        require_file(self.path, source=self.config.name)
        return digests.of_file(self.path)

    def read(self, since: str | None = None) -> Iterator[Batch]:
        """Every row once. ``since`` does not apply to files."""
        frames, num_rows = self._frames, 0
        try:
            for batch in frames.batches(self._scan.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True)):
                num_rows += batch.num_rows
                yield batch
            if num_rows != self._footer.num_rows:
                raise ValueError(f"{num_rows:,} rows are there, the footer says {self._footer.num_rows:,}")
        except READER_ERRORS as error:
            raise cannot_be_read(self.path, "Parquet", error, source=self.config.name) from None

    @cached_property
    def _scan(self) -> pl.LazyFrame:
        require_file(self.path, source=self.config.name)
        require_magic(self.path, "Parquet", {MAGIC: MAGIC}, source=self.config.name)
        # The path names one file here, whatever characters its name has.
        return pl.scan_parquet(self.path, glob=False, hive_partitioning=False)

    @cached_property
    def _footer(self) -> parquet_footer.Footer:
        return parquet_footer.read(self.path)

    @cached_property
    def _frames(self) -> Frames:
        name = self.config.name
        try:
            columns = self._scan.collect_schema().names()
            footer = self._footer
        except READER_ERRORS as error:
            raise cannot_be_read(self.path, "Parquet", error, source=name) from None
        num_rows, num_bytes = footer.num_rows, self.path.stat().st_size
        # Before any column is opened: a row group is decompressed as a whole.
        Meter(self.path, source=name, what="the Parquet file").check(footer.num_bytes, num_bytes)
        meter = Meter(self.path, source=name, what="the Parquet file", ratio=MAX_TABLE_RATIO)
        if num_rows > MIN_ROWS and num_rows > MAX_ROWS_A_BYTE * num_bytes:
            raise DataError(
                f"source `{name}`: the Parquet file names far more rows than it can hold, as a bomb does",
                seen=f"{self.path}: {num_rows:,} rows in {num_bytes:,} bytes",
                allowed=f"at most {MAX_ROWS_A_BYTE} rows a byte, once there are more than {MIN_ROWS:,}",
                next="export the file again",
            )
        if not num_rows:
            raise DataError(
                f"source `{name}`: the file has columns but no rows",
                seen=f"{self.path}: {', '.join(columns)}",
                allowed="at least one row",
                next="export it again, or remove the source",
            )
        return Frames(columns, meter, num_bytes)
