"""Places that rows can be put in and read from again, for the suite that every source passes.

A new kind of source: a function that returns a `Place`, and a row in a table of makers (`FILE_MAKERS` here, `MAKERS` in
test_sources.py). `write` puts rows there, `open` gives a fresh source; `expected` says what rows of texts and labels
become where a kind has other columns; `spoil`, where it can be done, adds two records that are no rows.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tunesmith.core.source import Source
from tunesmith.data.sources.batches import BATCH_ROWS
from tunesmith.data.sources.csv import CsvConfig, CsvSource
from tunesmith.data.sources.hub import HubSource
from tunesmith.data.sources.hub_config import HubConfig
from tunesmith.data.sources.json import JsonConfig
from tunesmith.data.sources.jsonl import JsonlConfig, JsonlSource
from tunesmith.data.sources.plain_text import TextConfig, TextSource
from tunesmith.data.sources.several import open_files
from tunesmith.data.sources.table_config import ArrowConfig, ParquetConfig

Row = tuple[str, str]
COLUMNS = ("text", "label")
ROWS: list[Row] = [
    ("Wo ist meine Karte? Straße 5, Łódź", "lost"),
    ("“quoted”, and, commas; semi | pipe", "other"),
    ("two\nlines\r\nthree\tand a tab", "other"),
    ("你好，世界 — مرحبا 🙂👩‍👩‍👧", "greeting"),
    ('he said "no"', "lost"),
    ("Wo ist meine Karte? Straße 5, Łódź", "lost"),
    ("'; DROP TABLE tickets; --", "other"),
    ("100 % sure: %s :name $1 ${env:HOME}", "other"),
    (" blanks stay ", "lost"),
    ("", "empty"),
    ("a\u2028b\u0085c\x0bd\x1ce", "separators"),
]


@dataclass
class Place:
    """Somewhere rows can be put, and the source that reads them."""

    write: Callable[[list[Row]], None]
    open: Callable[[], Source]
    spoil: Callable[[], None] | None = None
    columns: tuple[str, ...] = COLUMNS
    expected: Callable[[list[Row]], list[Any]] = list
    """The rows that must be read where these were written."""
    is_slow: bool = False
    """Not for tens of thousands of rows."""
    tells_changes: bool = True
    """Whether the fingerprint follows the rows; else it follows what the recipe says."""


def csv_bytes(rows: list[Row], encoding: str = "utf-8", delimiter: str = ",") -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter).writerows([COLUMNS, *rows])
    return buffer.getvalue().encode(encoding)


def json_objects(rows: list[Row]) -> list[dict[str, str]]:
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def frame(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")


def _csv(folder: Path, encoding: str, delimiter: str) -> Place:
    path = folder / "rows.csv"

    def spoil() -> None:
        # A second byte-order mark in the middle would be text.
        follow_up = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}.get(encoding, encoding)
        with path.open("a", encoding=follow_up, newline="") as stream:
            stream.write(f"one{delimiter}two{delimiter}three\r\nalone\r\n")

    return Place(
        lambda rows: void(path.write_bytes(csv_bytes(rows, encoding, delimiter))),
        lambda: CsvSource(CsvConfig(name="rows", path=str(path))),
        spoil,
    )


def _csv_files(folder: Path) -> Place:
    inside = folder / "exports"

    def write(rows: list[Row]) -> None:
        shutil.rmtree(inside, ignore_errors=True)
        inside.mkdir()
        half = BATCH_ROWS if len(rows) > BATCH_ROWS else max(len(rows) // 2, 1)
        for number, start in enumerate(range(0, max(len(rows), 1), half)):
            (inside / f"{number}.csv").write_bytes(csv_bytes(rows[start : start + half]))
        (inside / "readme.md").write_text("other files are passed over")

    def spoil() -> None:
        with max(inside.glob("*.csv")).open("a") as stream:
            stream.write("one,two,three\r\nalone\r\n")

    return Place(write, lambda: open_files(CsvConfig(name="rows", path=str(inside))), spoil)


def _packed_csv(folder: Path, pack: Callable[[bytes], bytes]) -> Place:
    # Told by its bytes: the name says nothing of how it is packed.
    path = folder / "rows.csv"
    return Place(
        lambda rows: void(path.write_bytes(pack(csv_bytes(rows)))),
        lambda: open_files(CsvConfig(name="rows", path=str(path))),
    )


def _jsonl(folder: Path, pack: Callable[[bytes], bytes] | None = None) -> Place:
    path = folder / "rows.jsonl"

    def write(rows: list[Row]) -> None:
        lines = [json.dumps(one, ensure_ascii=len(one["text"]) % 2 == 0) for one in json_objects(rows)]
        content = "".join(line + "\n" for line in lines).encode()
        path.write_bytes(pack(content) if pack else content)

    def spoil() -> None:
        with path.open("a") as stream:
            stream.write('{"text": "cut off\n[1, 2]\n')

    source = lambda: JsonlSource(JsonlConfig(name="rows", path=str(path)))  # noqa: E731
    return Place(write, source, None if pack else spoil)


def _json(folder: Path, *, records: str | None = None, encoding: str = "utf-8", indent: int | None = None) -> Place:
    path = folder / "rows.json"

    def put(items: list[Any]) -> None:
        document: Any = {"version": [1, {"x": []}], "data": {"items": items}, "end": {}} if records else items
        path.write_bytes(json.dumps(document, ensure_ascii=False, indent=indent).encode(encoding))

    def spoil() -> None:
        document = json.loads(path.read_text(encoding=encoding))
        put([*(document["data"]["items"] if records else document), 5, ["a"]])

    return Place(
        lambda rows: put(json_objects(rows)),
        lambda: open_files(JsonConfig(name="rows", path=str(path), records=records)),
        spoil,
    )


def _json_by_id(folder: Path) -> Place:
    path = folder / "rows.json"

    def write(rows: list[Row]) -> None:
        path.write_text(json.dumps({f"id {number}": one for number, one in enumerate(json_objects(rows))}))

    def spoil() -> None:
        path.write_text(path.read_text()[:-1] + ', "x": "no object", "id 0": {"text": "again", "label": ""}}')

    return Place(
        write,
        lambda: open_files(JsonConfig(name="rows", path=str(path))),
        spoil,
        ("key", *COLUMNS),
        lambda rows: [(f"id {number}", *row) for number, row in enumerate(rows)],
    )


def _parquet(folder: Path, **how: Any) -> Place:
    path = folder / "rows.parquet"
    return Place(
        lambda rows: frame(rows).write_parquet(path, **how),
        lambda: open_files(ParquetConfig(name="rows", path=str(path))),
    )


def _arrow(folder: Path, *, is_stream: bool) -> Place:
    path = folder / "rows.arrow"

    def write(rows: list[Row]) -> None:
        one = frame(rows).with_columns(pl.col("label").cast(pl.Categorical))
        (one.write_ipc_stream if is_stream else one.write_ipc)(path)

    return Place(write, lambda: open_files(ArrowConfig(name="rows", path=str(path))))


def _documents(folder: Path) -> Place:
    inside = folder / "notes"

    def write(rows: list[Row]) -> None:
        shutil.rmtree(inside, ignore_errors=True)
        inside.mkdir()
        for number, (text, label) in enumerate(rows):
            (inside / label).mkdir(parents=True, exist_ok=True)
            (inside / label / f"{number:02d}.txt").write_bytes((text or "(none)").encode())

    def expected(rows: list[Row]) -> list[tuple[str, str, str]]:
        named = [(text or "(none)", f"{label}/{number:02d}.txt", label) for number, (text, label) in enumerate(rows)]
        return sorted(named, key=lambda row: row[1].split("/"))

    def spoil() -> None:
        (inside / "zzz").mkdir()
        (inside / "zzz" / "empty.txt").write_bytes(b"")
        (inside / "zzz" / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))

    source = lambda: TextSource(TextConfig(name="rows", path=str(inside)))  # noqa: E731
    return Place(write, source, spoil, ("text", "path", "folder"), expected, is_slow=True)


def _lines(folder: Path) -> Place:
    path = folder / "rows.txt"

    def expected(rows: list[Row]) -> list[tuple[str, str, str]]:
        flat = [(" / ".join(text.split("\n")).replace("\r", ""), label) for text, label in rows]
        return [(f"{text} | {label}", "rows.txt", "") for text, label in flat]

    return Place(
        lambda rows: void(path.write_bytes("".join(f"{row[0]}\r\n" for row in expected(rows)).encode())),
        lambda: TextSource(TextConfig(name="rows", path=str(path), per="line")),
        None,
        ("text", "path", "folder"),
        expected,
    )


def _saved(folder: Path) -> Place:
    path = folder / "saved"

    def write(rows: list[Row]) -> None:
        import datasets

        datasets.disable_progress_bars()
        shutil.rmtree(path, ignore_errors=True)
        names = sorted({label for _, label in rows}) or ["none"]
        features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)})
        columns = {"text": [text for text, _ in rows], "label": [names.index(label) for _, label in rows]}
        datasets.Dataset.from_dict(columns, features=features).save_to_disk(path)

    return Place(write, lambda: HubSource(HubConfig(name="rows", path=str(path))))


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("export/rows.csv"), content)
    return buffer.getvalue()


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def zstandard(content: bytes) -> bytes:
    from zstandard import ZstdCompressor

    return ZstdCompressor().compress(content)


def void(_: Any) -> None:
    """Nothing, for a lambda that writes."""


FILE_MAKERS: dict[str, Callable[[Path, Any], Place]] = {
    "csv utf-8": lambda folder, _: _csv(folder, "utf-8", ","),
    "csv bom semicolon": lambda folder, _: _csv(folder, "utf-8-sig", ";"),
    "csv utf-16 tab": lambda folder, _: _csv(folder, "utf-16", "\t"),
    "csv pipe": lambda folder, _: _csv(folder, "utf-8", "|"),
    "csv files of a folder": lambda folder, _: _csv_files(folder),
    "csv gzip": lambda folder, _: _packed_csv(folder, gzipped),
    "csv zstd": lambda folder, _: _packed_csv(folder, zstandard),
    "csv zip": lambda folder, _: _packed_csv(folder, zipped),
    "jsonl": lambda folder, _: _jsonl(folder),
    "jsonl gzip": lambda folder, _: _jsonl(folder, gzipped),
    "json list": lambda folder, _: _json(folder),
    "json list indented utf-16": lambda folder, _: _json(folder, encoding="utf-16", indent=2),
    "json list inside": lambda folder, _: _json(folder, records="data.items"),
    "json by id": lambda folder, _: _json_by_id(folder),
    "parquet": lambda folder, _: _parquet(folder),
    "parquet small row groups": lambda folder, _: _parquet(folder, row_group_size=5_000, compression="uncompressed"),
    "arrow": lambda folder, _: _arrow(folder, is_stream=False),
    "arrow stream": lambda folder, _: _arrow(folder, is_stream=True),
    "text documents": lambda folder, _: _documents(folder),
    "text lines": lambda folder, _: _lines(folder),
    "saved data set": lambda folder, _: _saved(folder),
}
