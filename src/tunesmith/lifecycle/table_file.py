"""Files of rows that get their answers written beside them: every record in its place, and kept as it is."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from tunesmith.core import wiring
from tunesmith.core.errors import RecipeError
from tunesmith.core.source import Refused, Source
from tunesmith.data.sources import jsonl, text
from tunesmith.data.sources.batches import bounded
from tunesmith.data.sources.compressed import ENDINGS, plain_name
from tunesmith.data.sources.csv import CsvConfig, CsvSource
from tunesmith.data.sources.files import require_file
from tunesmith.data.sources.several import ONE_FILE, kind_of, open_files, told_kind

SAMPLED_ROWS = 2_000
"""Rows looked at to tell which column is which."""
LINES_SUFFIXES = (".jsonl", ".ndjson")
DELIMITED_SUFFIXES = (".csv", ".tsv", ".tab", ".psv", ".txt")
TABLE_SUFFIXES = (*DELIMITED_SUFFIXES, *(ending for _, endings in ONE_FILE.values() for ending in endings))
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet run a cell (OWASP, CSV injection)."""
QUOTE = '"'
Added = str | float | None


@dataclass(frozen=True)
class Record:
    """One record of a file, in its place."""

    cells: Mapping[str, Any]
    """By column; empty where the record is no row."""
    error: str | None = None
    """Why it is no row, and how it begins."""
    reason: str = ""
    """Why it is no row, in words that are counted."""
    raw: Any = None
    """What the file needs to write the record again."""


class TableFile(Protocol):
    """A file of records."""

    path: Path
    format: str
    columns: tuple[str, ...]
    out_suffixes: tuple[str, ...]
    """How a file that its lines are written to may be called; the first is proposed."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is odd about the file; complete once all was read."""

    def records(self) -> Iterator[Record]:
        """Every record once, in order."""

    def head(self, added: Sequence[str]) -> bytes:
        """What stands before the first record, with columns more."""

    def line(self, record: Record, added: Sequence[str], cells: Mapping[str, Added]) -> bytes:
        """A record as it was, with the cells of the new columns; one that is not given is empty."""


def open_table(path: Path, wanted: Sequence[str] = ()) -> TableFile:
    """The file as records; a column name that is ``wanted`` helps to tell a header."""
    kind = told_kind(require_file(path, source=path.name))
    if kind == "csv":
        return Delimited(path, wanted)
    return JsonLines(path) if kind == "jsonl" else Stored(path, kind)


def is_table(path: Path) -> bool:
    """Whether a file is one of rows by its name, packed or not."""
    return plain_name(path.name).endswith(TABLE_SUFFIXES)


def sample(table: TableFile) -> dict[str, list[Any]]:
    """The first rows by column."""
    rows = [record for record in islice(table.records(), SAMPLED_ROWS) if record.error is None]
    return {name: [record.cells.get(name) for record in rows] for name in table.columns}


def same_format(path: Path, table: TableFile) -> None:
    """Refuse an output whose name says another format than its content will have."""
    name = path.name.lower()
    if name.endswith((*TABLE_SUFFIXES, *ENDINGS)) and not name.endswith(table.out_suffixes):
        is_stored = isinstance(table, Stored)
        raise RecipeError(
            f"the answers to {table.format} come as JSON lines"
            if is_stored
            else "the answers come in the format of the input, not packed",
            seen=f"{table.path.name} → {path.name}",
            allowed=", ".join(LINES_SUFFIXES if isinstance(table, JsonLines) else table.out_suffixes),
            next=f"--out {path.with_name(_stem(path) + _out_suffix(table))}",
        )


def answers_name(path: Path) -> Path:
    """A name for the file with the answers to another, beside it: `new-predicted.csv` for `new.csv.gz`."""
    plain = Path(plain_name(path.name))
    if kind_of(path.name) != "csv":
        suffix = plain.suffix if plain.suffix in LINES_SUFFIXES else LINES_SUFFIXES[0]
    else:
        suffix = plain.suffix if plain.suffix in DELIMITED_SUFFIXES else DELIMITED_SUFFIXES[0]
    return path.with_name(f"{_stem(path)}-predicted{suffix}")


def _out_suffix(table: TableFile) -> str:
    """The ending of the input where the answers may have it, so that `.tsv` stays `.tsv`."""
    own = Path(plain_name(table.path.name)).suffix
    return own if own in table.out_suffixes else table.out_suffixes[0]


def _stem(path: Path) -> str:
    """A file's name without the ending that says its format, and without the one that says how it is packed."""
    return Path(path.name[: len(plain_name(path.name))]).stem


def _in_place(source: Source) -> Iterator[tuple[dict[str, Any], Refused | None]]:
    """Every record of a source in its place, as cells by column, and why it is no row where it is none."""
    position = 0
    for batch in source.read():
        refused: dict[int, Refused] = {one.position: one for one in batch.refused}
        rows = zip(*batch.columns.values(), strict=True)
        for _ in range(batch.num_rows + len(refused)):
            position += 1
            one = refused.get(position)
            yield ({}, one) if one is not None else (dict(zip(batch.columns, next(rows), strict=True)), None)


class Delimited:
    """Comma, semicolon, tab or pipe separated text."""

    out_suffixes: tuple[str, ...] = DELIMITED_SUFFIXES

    def __init__(self, path: Path, wanted: Sequence[str] = ()) -> None:
        self.path = path
        columns = {f"wanted {number}": name for number, name in enumerate(wanted)}
        self._source = CsvSource(CsvConfig(name="input", path=str(path), columns=columns))
        layout = self._source.layout
        self.columns = layout.columns
        self.format = self._source.describe().format
        self._delimiter, self._quote = layout.dialect.delimiter, layout.dialect.quote
        # Excel takes a file for UTF-8 only where a mark says so; plain UTF-8 stays without one.
        is_plain = layout.encoding.codec == "utf-8" and not layout.encoding.num_bom_bytes
        is_plain = is_plain and not layout.encoding.num_fallback_lines
        self._mark = b"" if is_plain else b"\xef\xbb\xbf"
        self._line_end = _line_end(path)
        self._needs_quotes = re.compile("[" + re.escape(f"{self._delimiter}{self._quote or QUOTE}\r\n") + "]")

    @property
    def notes(self) -> tuple[str, ...]:
        """What is odd about the file."""
        return self._source.describe().notes

    def records(self) -> Iterator[Record]:
        """Every record once; those that are no rows stand in their place."""
        for cells, refused in _in_place(self._source):
            yield Record(cells) if refused is None else _no_row(refused.reason, refused.record)

    def head(self, added: Sequence[str]) -> bytes:
        """The header as it was with the new names, where there was one."""
        header = self._source.layout.header
        return self._mark + (self._row(header, added) if header else b"")

    def line(self, record: Record, added: Sequence[str], cells: Mapping[str, Added]) -> bytes:
        """The cells as they were and the new ones; a record that is no row has empty cells."""
        own = list(record.cells.values()) if record.error is None else [""] * len(self.columns)
        return self._row(own, [inert(cells.get(name)) for name in added])

    def _row(self, cells: Sequence[str], added: Sequence[str]) -> bytes:
        # Where quotes mean nothing, the file's own cells are joined as they were split.
        own = map(self._quoted, cells) if self._quote else cells
        line = self._delimiter.join((*own, *map(self._quoted, added)))
        return (line + self._line_end).encode()

    def _quoted(self, cell: str) -> str:
        # Not csv.writer: before Python 3.13 it leaves a carriage return bare unless it ends the lines too.
        if self._needs_quotes.search(cell) is None:
            return cell
        quote = self._quote or QUOTE
        return f"{quote}{cell.replace(quote, quote * 2)}{quote}"


class JsonLines:
    """One JSON object a line; the members that are there stay as they are written."""

    out_suffixes: tuple[str, ...] = (*LINES_SUFFIXES, ".json")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._source = jsonl.JsonlSource(jsonl.JsonlConfig(name="input", path=str(path)))
        description = self._source.describe()
        self.columns, self.format = description.columns, description.format
        self._num_blank_lines = 0

    @cached_property
    def _encoding(self) -> text.Encoding:
        return text.detect(self.path, None, source=self.path.name)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is odd about the file."""
        blank = (f"{self._num_blank_lines} blank lines passed over",) if self._num_blank_lines else ()
        return self._encoding.notes + blank

    def records(self) -> Iterator[Record]:
        """Every line that is not blank once; those that are no JSON objects stand in their place."""
        self._num_blank_lines = 0
        for block in text.blocks(self.path, self._encoding, source=self.path.name, is_cr_break=False):
            if isinstance(block, text.Unreadable):
                yield _no_row(block.reason, bounded(block.head))
                continue
            for line in block.removesuffix("\n").split("\n"):
                if not line or line.isspace():
                    self._num_blank_lines += 1
                    continue
                cells, reason = jsonl.parse(line)
                yield _no_row(reason, bounded(line)) if reason else Record(cells, raw=line.strip())

    def head(self, added: Sequence[str]) -> bytes:
        """Nothing: every line names its own columns."""
        return b""

    def line(self, record: Record, added: Sequence[str], cells: Mapping[str, Added]) -> bytes:
        """The object as it was written, with the given members more."""
        members = _members(added, cells)
        if record.error is not None:
            return f"{members}\n".encode()
        before = record.raw[:-1].rstrip()
        comma = "" if before == "{" else ", "
        return f"{before}{comma}{members[1:]}\n".encode()


class Stored:
    """A Parquet or Arrow file, or one JSON document: read as a recipe's source is, answered in JSON lines."""

    out_suffixes: tuple[str, ...] = LINES_SUFFIXES

    def __init__(self, path: Path, kind: str) -> None:
        self.path = path
        config = wiring.load(wiring.wire("source", kind).config or "")
        self._source = open_files(config(name="input", path=str(path)))
        description = self._source.describe()
        self.columns, self.format = description.columns, description.format

    @property
    def notes(self) -> tuple[str, ...]:
        """What is odd about the file."""
        return self._source.describe().notes

    def records(self) -> Iterator[Record]:
        """Every record once; those that are no rows stand in their place."""
        for cells, refused in _in_place(self._source):
            yield Record(cells) if refused is None else _no_row(refused.reason, refused.record)

    def head(self, added: Sequence[str]) -> bytes:
        """Nothing: every line names its own columns."""
        return b""

    def line(self, record: Record, added: Sequence[str], cells: Mapping[str, Added]) -> bytes:
        """The cells as JSON, a number that JSON lacks by its name; then the given members."""
        own = {name: cell if _is_finite(cell) else str(cell) for name, cell in record.cells.items()}
        return f"{_members((*own, *added), {**own, **cells})}\n".encode()


def _members(names: Sequence[str], cells: Mapping[str, Any]) -> str:
    return json.dumps({name: cells[name] for name in names if name in cells}, ensure_ascii=False, allow_nan=False)


def _is_finite(cell: Any) -> bool:
    return not isinstance(cell, float) or math.isfinite(cell)


def _no_row(reason: str, shown: str) -> Record:
    return Record({}, f"{reason}: {shown}", reason)


def inert(value: Added) -> str:
    """A new cell as text that no spreadsheet runs; numbers, the negative ones too, stay numbers."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.7g}"
    return f"'{value}" if value.startswith(FORMULA) else value


def _line_end(path: Path) -> str:
    head = text.read_head(path, source=path.name).replace(b"\0", b"")
    return "\r\n" if b"\r\n" in head else "\n"
