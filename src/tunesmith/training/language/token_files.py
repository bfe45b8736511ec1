"""The files of a split's token rows, written as the rows come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tunesmith.training.language.array_file import ArrayFile
from tunesmith.training.language.built import Kept, Left

ROWS = {
    "row_id": pl.String(),
    "source_id": pl.String(),
    "part": pl.Int32(),
    "num_tokens": pl.Int64(),
    "num_trained": pl.Int64(),
    "num_cut": pl.Int64(),
    "num_bytes": pl.Int64(),
}
LEFT_OUT = {"row_id": pl.String(), "source_id": pl.String(), "reason": pl.String(), "num_tokens": pl.Int64()}
ROWS_TOGETHER = 200_000
"""Rows of a table held in memory before they are written."""


class TokenFiles:
    """Takes rows until it is closed."""

    def __init__(self, folder: Path, split: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._tokens = ArrayFile(folder / f"{split}.tokens.npy", "<i4")
        self._weights = ArrayFile(folder / f"{split}.weights.npy", "<f4")
        self._offsets = ArrayFile(folder / f"{split}.offsets.npy", "<i8")
        self._offsets.add(np.zeros(1, np.int64))
        self._rows = _Table(folder, f"{split}.rows", ROWS)
        self._left = _Table(folder, f"{split}.left_out", LEFT_OUT)

    def keep(self, row_id: str, source_id: str, kept: Kept) -> None:
        """Write a row's sequences."""
        for part, one in enumerate(kept.parts):
            self._tokens.add(one.tokens_T)
            self._weights.add(one.weights_T)
            self._offsets.add(np.array([self._tokens.size], np.int64))
            counts = (one.num_tokens, one.num_trained, one.num_cut, one.num_bytes)
            self._rows.add((row_id, source_id, part, *counts))

    def leave(self, row_id: str, source_id: str, left: Left) -> None:
        """Write down a row that is left out, and why."""
        self._left.add((row_id, source_id, left.reason, left.num_tokens))

    def close(self) -> None:
        """Complete the files."""
        for one in (self._tokens, self._weights, self._offsets, self._rows, self._left):
            one.close()


class _Table:
    """A Parquet table that grows; parts of it are joined at the end, a part at a time."""

    def __init__(self, folder: Path, name: str, schema: dict[str, pl.DataType]) -> None:
        self._folder, self._name, self._schema = folder, name, schema
        self._rows: list[tuple[Any, ...]] = []
        self._parts: list[Path] = []

    def add(self, row: tuple[Any, ...]) -> None:
        self._rows.append(row)
        if len(self._rows) >= ROWS_TOGETHER:
            path = self._folder / f"{self._name}.part-{len(self._parts)}"
            self._frame().write_parquet(path)
            self._parts.append(path)

    def close(self) -> None:
        target = self._folder / f"{self._name}.parquet"
        if not self._parts:
            self._frame().write_parquet(target)
            return
        last = self._folder / f"{self._name}.part-{len(self._parts)}"
        self._frame().write_parquet(last)
        self._parts.append(last)
        pl.scan_parquet(self._parts).sink_parquet(target, row_group_size=ROWS_TOGETHER, maintain_order=True)
        for path in self._parts:
            path.unlink()

    def _frame(self) -> pl.DataFrame:
        frame = pl.DataFrame(self._rows, schema=self._schema, orient="row")
        self._rows = []
        return frame
