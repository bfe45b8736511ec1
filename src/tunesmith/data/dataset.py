"""The dataset artifact: rows in Parquet shards, refused records beside them, written as a stream and read lazily."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from tunesmith.core.artifact import Artifact
from tunesmith.core.source import Batch, Refused
from tunesmith.data.sources.cells import text

LINEAGE = ("row_id", "source_id", "subject", "parents")
"""The columns that every row of every table carries, first and in this order."""
MANIFEST, REFUSED = "manifest.json", "refused.parquet"
SHARD_BYTES = 64_000_000
"""A shard is written once its rows take this much memory: compressed it is far below the 128 MB a shard may have."""

Kind = Literal["null", "boolean", "int64", "float64", "string"]
DTYPES: dict[Kind, pl.DataType] = {
    "null": pl.Null(),
    "boolean": pl.Boolean(),
    "int64": pl.Int64(),
    "float64": pl.Float64(),
    "string": pl.String(),
}
LINEAGE_DTYPES: dict[str, pl.DataType] = {name: pl.String() for name in LINEAGE} | {"parents": pl.List(pl.String())}
REFUSED_SCHEMA = {"position": pl.Int64(), "reason": pl.String(), "record": pl.String()}


@dataclass(frozen=True)
class Manifest:
    """What a dataset folder holds."""

    columns: Mapping[str, str]
    """Name → Polars type, lineage columns first."""
    shards: tuple[str, ...]
    rows: int
    refused: Mapping[str, int]
    """Reason → number of refused records."""


def scan(artifact: Artifact) -> pl.LazyFrame:
    """The rows of a dataset in order, nothing loaded yet."""
    manifest = json.loads((artifact.path / MANIFEST).read_text(encoding="utf-8"))
    return pl.scan_parquet([artifact.path / shard for shard in manifest["shards"]])


def shards(artifact: Artifact) -> Iterator[pl.DataFrame]:
    """The rows of a dataset in order, a shard at a time."""
    for shard in json.loads((artifact.path / MANIFEST).read_text(encoding="utf-8"))["shards"]:
        yield pl.read_parquet(artifact.path / shard, memory_map=False)


def columns(artifact: Artifact) -> tuple[str, ...]:
    """The columns of a dataset, lineage columns first."""
    return tuple(json.loads((artifact.path / MANIFEST).read_text(encoding="utf-8"))["columns"])


def copied(artifact: Artifact, folder: Path) -> Manifest:
    """What a dataset holds, after its files were copied to a folder."""
    shutil.copytree(artifact.path, folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
    content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    refused = read_refused(artifact)["reason"].value_counts().sort("reason")
    return Manifest(content["columns"], tuple(content["shards"]), content["rows"], dict(refused.iter_rows()))


def read_refused(artifact: Artifact) -> pl.DataFrame:
    """The refused records of a dataset: ``position``, ``reason``, ``record``."""
    return pl.read_parquet(artifact.path / REFUSED)


def write_dataset(folder: Path, batches: Iterable[Batch], columns: Sequence[str] = ()) -> Manifest:
    """Write a dataset and return what was written; the same batches give the same bytes.

    Every batch holds the lineage columns, and may hold columns that earlier ones lack (those rows get null).
    A column of only integers, only numbers or only booleans keeps its type; any mixture becomes text.
    ``columns``: names that are there even when no batch has rows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = _Shards(folder, columns)
    refused = _RefusedFile(folder)
    for batch in batches:
        if batch.num_rows:
            rows.add(batch.columns)
        refused.add(batch.refused)
    schema, shards = rows.close()
    refused.close()
    manifest = Manifest(
        columns={name: str(dtype) for name, dtype in schema.items()},
        shards=tuple(shards),
        rows=rows.num_rows,
        refused=dict(sorted(refused.counts.items())),
    )
    content = {"columns": manifest.columns, "shards": manifest.shards, "rows": manifest.rows}
    (folder / MANIFEST).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return manifest


class _Shards:
    """Rows gathered into shards of bounded size, with one type per column over all of them."""

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        self._folder = folder
        self._kinds: dict[str, Kind] = {name: "null" for name in columns if name not in LINEAGE}
        self._frames: list[pl.DataFrame] = []
        self._num_bytes = 0
        self._written: list[tuple[str, dict[str, pl.DataType]]] = []
        self.num_rows = 0

    def add(self, columns: Mapping[str, list[Any]]) -> None:
        series = [_lineage(name, columns[name]) for name in LINEAGE]
        for name, cells in columns.items():
            if name not in LINEAGE:
                kind = kind_of(cells)
                self._kinds[name] = joined(self._kinds.get(name, "null"), kind)
                series.append(_series(name, cells, kind))
        frame = pl.DataFrame(series)
        self._frames.append(frame)
        self._num_bytes += int(frame.estimated_size())
        self.num_rows += frame.height
        if self._num_bytes >= SHARD_BYTES:
            self._flush()

    def close(self) -> tuple[dict[str, pl.DataType], list[str]]:
        """Write what is left, make the shards agree on their columns' types, and return both."""
        if self._frames or not self._written:
            self._flush()
        schema = self._schema()
        for shard, written in self._written:
            if list(written.items()) != list(schema.items()):
                path = self._folder / shard
                frame = _as_schema(pl.read_parquet(path, memory_map=False), schema)
                frame.write_parquet(path)
        return schema, [shard for shard, _ in self._written]

    def _schema(self) -> dict[str, pl.DataType]:
        # A column without any value is text, like every column that was not typed by its source.
        kinds = {name: "string" if kind == "null" else kind for name, kind in self._kinds.items()}
        return LINEAGE_DTYPES | {name: DTYPES[kind] for name, kind in kinds.items()}

    def _flush(self) -> None:
        schema = self._schema()
        frames = [_as_schema(frame, schema) for frame in self._frames] or [pl.DataFrame(schema=schema)]
        shard = f"part-{len(self._written):05d}.parquet"
        pl.concat(frames).write_parquet(self._folder / shard)
        self._written.append((shard, schema))
        self._frames, self._num_bytes = [], 0


class _RefusedFile:
    """Refused records in one Parquet file; many of them are spilled, not held."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: list[Refused] = []
        self._spilled: list[Path] = []
        self.counts: Counter[str] = Counter()

    def add(self, refused: Sequence[Refused]) -> None:
        self._held.extend(refused)
        self.counts.update(one.reason for one in refused)
        if len(self._held) >= 50_000:
            path = self._folder / f"refused-{len(self._spilled):05d}.parquet"
            self._frame().write_parquet(path)
            self._spilled.append(path)
            self._held = []

    def close(self) -> None:
        path = self._folder / REFUSED
        if not self._spilled:
            self._frame().write_parquet(path)
            return
        parts = [pl.scan_parquet(part) for part in self._spilled]
        pl.concat([*parts, self._frame().lazy()]).sink_parquet(path, maintain_order=True, row_group_size=50_000)
        for part in self._spilled:
            part.unlink()

    def _frame(self) -> pl.DataFrame:
        cells = [(one.position, one.reason, one.record) for one in self._held]
        return pl.DataFrame(cells, schema=REFUSED_SCHEMA, orient="row")


def kind_of(cells: Sequence[Any]) -> Kind:
    """The narrowest kind that holds some cells without loss."""
    types = set(map(type, cells)) - {type(None)}
    if not types:
        return "null"
    if types == {bool}:
        return "boolean"
    if types <= {int, float}:
        integers = [cell for cell in cells if type(cell) is int]
        bits = 63 if types == {int} else 53
        if all(-(1 << bits) <= cell < (1 << bits) for cell in integers):
            return "int64" if types == {int} else "float64"
    return "string"


def joined(one: Kind, other: Kind) -> Kind:
    """The kind that holds the cells of both."""
    if one == other or other == "null":
        return one
    if one == "null":
        return other
    return "float64" if {one, other} == {"int64", "float64"} else "string"


def _lineage(name: str, cells: Sequence[Any]) -> pl.Series:
    dtype = LINEAGE_DTYPES[name]
    if name == "parents" and not any(cells):
        # Rows of a source have no parents, and building a million empty lists one by one takes most of an ingest.
        return pl.Series(name, [[]], dtype=dtype).new_from_index(0, len(cells))
    return pl.Series(name, cells, dtype=dtype)


def _series(name: str, cells: Sequence[Any], kind: Kind) -> pl.Series:
    return pl.Series(name, map(text, cells) if kind == "string" else cells, dtype=DTYPES[kind])


def _as_schema(frame: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    return pl.DataFrame([_as_dtype(frame, name, dtype) for name, dtype in schema.items()])


def _as_dtype(frame: pl.DataFrame, name: str, dtype: pl.DataType) -> pl.Series:
    if name not in frame.columns:
        return pl.Series(name, [None] * frame.height, dtype=dtype)
    series = frame[name]
    if series.dtype == dtype:
        return series
    # Numbers as Python writes them, so that a shard's bounds do not show in the text.
    return _series(name, series.to_list(), "string") if dtype == pl.String() else series.cast(dtype)
