"""Arrow files: the file format (also called Feather) and the streaming format that `datasets` writes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import polars as pl

from tunesmith.core import digests
from tunesmith.core.errors import DataError
from tunesmith.core.source import Batch, Description
from tunesmith.data.sources import arrow_stream
from tunesmith.data.sources.batches import BATCH_ROWS
from tunesmith.data.sources.bounds import Meter
from tunesmith.data.sources.files import require_file
from tunesmith.data.sources.frames import MAX_TABLE_RATIO, Frames
from tunesmith.data.sources.table_config import ArrowConfig
from tunesmith.data.sources.tables import READER_ERRORS, cannot_be_read, require_magic

FILE = b"ARROW1"
MAGICS = {FILE: FILE, arrow_stream.CONTINUATION: b""}


class ArrowSource:
    """The rows of an Arrow file."""

    def __init__(self, config: ArrowConfig) -> None:
        self.config = config
        self.path = Path(config.path)

    def describe(self) -> Description:
        """The format and the columns; once all was read, also what reads as missing."""
        frames = self._frames
        form = "arrow" if self._magic == FILE else "arrow stream"
        return Description(form, frames.columns, frames.notes + frames.late_notes)

    def fingerprint(self) -> str:
        """The SHA-256 of the file's bytes."""
        require_file(self.path, source=self.config.name)
        return digests.of_file(self.path)

    def read(self, since: str | None = None) -> Iterator[Batch]:
        """Every row once. ``since`` does not apply to files."""
        frames = self._frames
        num_rows = 0
        try:
            for batch in frames.batches(self._chunks()):
                num_rows += batch.num_rows
                yield batch
        except READER_ERRORS as error:
            raise cannot_be_read(self.path, "Arrow", error, source=self.config.name) from None
        if not num_rows:
            raise DataError(
                f"source `{self.config.name}`: the file has columns but no rows",
                seen=f"{self.path}: {', '.join(frames.columns)}",
                allowed="at least one row",
                next="export it again, or remove the source",
            )

    def _chunks(self) -> Iterator[pl.DataFrame]:
        if self._magic != FILE:
            return arrow_stream.frames(self.path, source=self.config.name)
        return iter(pl.scan_ipc(self.path, glob=False).collect_batches(chunk_size=BATCH_ROWS, maintain_order=True))

    @cached_property
    def _magic(self) -> bytes:
        require_file(self.path, source=self.config.name)
        return require_magic(self.path, "Arrow", MAGICS, source=self.config.name)

    @cached_property
    def _frames(self) -> Frames:
        name = self.config.name
        try:
            if self._magic == FILE:
                columns = pl.scan_ipc(self.path, glob=False).collect_schema().names()
            else:
                columns = next(arrow_stream.frames(self.path, source=name)).columns
        except READER_ERRORS as error:
            raise cannot_be_read(self.path, "Arrow", error, source=name) from None
        meter = Meter(self.path, source=name, what="the Arrow file", ratio=MAX_TABLE_RATIO)
        return Frames(columns, meter, self.path.stat().st_size)
