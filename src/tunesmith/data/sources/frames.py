"""Typed tables as batches of plain cells: what Parquet, Arrow and `datasets` hold that text files do not."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import polars as pl

from tunesmith.core.source import Batch
from tunesmith.data.sources.batches import BATCH_CHARS, BATCH_ROWS, distinct_names
from tunesmith.data.sources.bounds import Meter
from tunesmith.data.sources.cells import plain

MAX_TABLE_RATIO = 1_000
"""Bytes of cells for each byte stored: a column of few distinct values is stored once, so more than in packed text."""
MIN_ROWS, MAX_ROWS_A_BYTE = 1_000_000, 100
"""Above so many rows, and so many of them for each byte stored, a table holds nothing but repetition."""


class Frames:
    """Frames with equal columns as batches of bounded size, and what had to be changed on the way."""

    def __init__(self, names: Sequence[str], meter: Meter, num_stored_bytes: int) -> None:
        self.columns, self.notes = distinct_names(names)
        self._meter, self._num_stored_bytes = meter, num_stored_bytes
        self._not_finite: Counter[str] = Counter()

    def batches(self, frames: Iterable[pl.DataFrame]) -> Iterator[Batch]:
        """Every row once, as cells: numbers, booleans and text stay.

        Decimals keep their digits as text; dates, times and durations take ISO 8601 form; bytes that are UTF-8 are text
        and others hexadecimal; categories are their text; lists and structs become compact JSON. NaN reads as missing.
        """
        self._not_finite.clear()
        self._meter.num_out_bytes = 0
        for frame in frames:
            for piece in self._pieces(frame):
                cells = [self._cells(name, piece.to_series(at)) for at, name in enumerate(self.columns)]
                yield Batch(dict(zip(self.columns, cells, strict=True)))

    @property
    def late_notes(self) -> tuple[str, ...]:
        """What is known only once all was read."""
        found = self._not_finite.items()
        return tuple(f"{number} cells of `{name}` are NaN, read as missing" for name, number in sorted(found))

    def _pieces(self, frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """Parts of at most ``BATCH_ROWS`` rows; halved until their text is bounded, as one cell may repeat for free."""
        for start in range(0, frame.height, BATCH_ROWS):
            waiting = [frame.slice(start, BATCH_ROWS)]
            while waiting:
                piece = waiting.pop()
                num_bytes = sum(map(_num_bytes, piece.get_columns()))
                if num_bytes > BATCH_CHARS and piece.height > 1:
                    middle = piece.height // 2
                    waiting += [piece.slice(middle), piece.slice(0, middle)]
                    continue
                self._meter.add(num_bytes, self._num_stored_bytes)
                yield piece

    def _cells(self, name: str, series: pl.Series) -> list[Any]:
        cells = cells_of(series)
        if series.dtype.is_float() and (number := sum(cell is not None and math.isnan(cell) for cell in cells)):
            self._not_finite[name] += number
            cells = [None if cell is not None and math.isnan(cell) else cell for cell in cells]
        return cells


def cells_of(series: pl.Series) -> list[Any]:
    """A column as cells of the few plain types a dataset holds."""
    dtype = series.dtype
    if dtype == pl.String or dtype == pl.Boolean or dtype.is_integer() or dtype.is_float() or dtype == pl.Null:
        return series.to_list()
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return series.cast(pl.String).to_list()
    if isinstance(dtype, pl.Datetime | pl.Time):
        return _moments(series, dtype)
    if isinstance(dtype, pl.Duration):
        return series.dt.to_string("iso").to_list()
    if dtype.is_nested():
        return [None if value is None else _json(value) for value in series.to_list()]
    return [plain(value) for value in series.to_list()]


def _moments(series: pl.Series, dtype: pl.DataType) -> list[Any]:
    """Moments in ISO 8601; Python's own hold no nanoseconds, so where there are some the digits are written here."""
    zone = getattr(dtype, "time_zone", None)
    has_nanoseconds = getattr(dtype, "time_unit", "ns") == "ns" and bool((series.to_physical() % 1_000 != 0).any())
    if has_nanoseconds:
        day = "" if isinstance(dtype, pl.Time) else "%Y-%m-%dT"
        return series.dt.strftime(f"{day}%H:%M:%S%.9f{'%:z' if zone else ''}").to_list()
    return [None if value is None else value.isoformat() for value in series.to_list()]


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=plain, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"), default=plain)


def _finite(value: Any) -> Any:
    """A nested value with the words for what JSON has no numbers for: `NaN`, `inf`, `-inf`."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return str(value).replace("nan", "NaN") if isinstance(value, float) and not math.isfinite(value) else value


def _num_bytes(series: pl.Series) -> int:
    """About what the cells take as values of their own, however the frame shares them."""
    dtype = series.dtype
    if dtype == pl.String:
        return int(series.str.len_bytes().cast(pl.UInt64).sum() or 0)
    if dtype == pl.Binary:
        return 2 * int(series.bin.size().cast(pl.UInt64).sum() or 0)
    if isinstance(dtype, pl.Categorical | pl.Enum):
        # Each category once: as text of its own in every cell it may not fit the memory.
        counts = series.rename("category").value_counts(name="number")
        sizes = counts["category"].cast(pl.String).str.len_bytes().cast(pl.UInt64)
        return int((sizes * counts["number"]).sum() or 0)
    if isinstance(dtype, pl.List | pl.Array):
        return _num_bytes(series.explode())
    if isinstance(dtype, pl.Struct):
        return sum(_num_bytes(series.struct.field(field.name)) for field in dtype.fields)
    return int(series.estimated_size())
