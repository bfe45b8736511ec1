"""Files of rows that get their answers written beside them: every record in its place, and kept as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from tunesmith.core.errors import RecipeError
from tunesmith.core.source import Refused
from tunesmith.data.sources import jsonl, text
from tunesmith.data.sources.batches import bounded
from tunesmith.data.sources.compressed import plain_name
from tunesmith.data.sources.csv import CsvConfig, CsvSource
from tunesmith.data.sources.files import require_file

SAMPLED_ROWS = 2_000
"""Rows looked at to tell which column is which."""
JSONL_SUFFIXES = (".jsonl", ".ndjson", ".json")
DELIMITED_SUFFIXES = (".csv", ".tsv", ".tab", ".psv", ".txt")
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
    """Why it is no row."""
    raw: Any = None
    """What the file needs to write the record again."""


class TableFile(Protocol):
    """A file of records."""

    path: Path
    format: str
    columns: tuple[str, ...]

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
    require_file(path, source=path.name)
    if plain_name(path.name).endswith(JSONL_SUFFIXES):
        return JsonLines(path)
    return Delimited(path, wanted)


def sample(table: TableFile) -> dict[str, list[Any]]:
    """The first rows by column."""
    rows = [record for record in islice(table.records(), SAMPLED_ROWS) if record.error is None]
    return {name: [record.cells.get(name) for record in rows] for name in table.columns}


def same_format(path: Path, table: TableFile) -> None:
    """Refuse an output whose name says another format than its content will have."""
    suffix, is_lines = path.suffix.lower(), isinstance(table, JsonLines)
    other = DELIMITED_SUFFIXES if is_lines else JSONL_SUFFIXES
    if suffix in other:
        raise RecipeError(
            "the answers come in the format of the input",
            seen=f"{table.path.name} → {path.name}",
            allowed=", ".join(JSONL_SUFFIXES[:2] if is_lines else DELIMITED_SUFFIXES),
            next=f"--out {path.with_suffix(table.path.suffix)}",
        )


class Delimited:
    """Comma, semicolon, tab or pipe separated text."""

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
        position = 0
        for batch in self._source.read():
            refused: dict[int, Refused] = {one.position: one for one in batch.refused}
            rows = zip(*batch.columns.values(), strict=True)
            for _ in range(batch.num_rows + len(refused)):
                position += 1
                one = refused.get(position)
                if one is not None:
                    yield Record({}, f"{one.reason}: {one.record}")
                else:
                    row = next(rows)
                    yield Record(dict(zip(self.columns, row, strict=True)), raw=row)

    def head(self, added: Sequence[str]) -> bytes:
        """The header as it was with the new names, where there was one."""
        header = self._source.layout.header
        return self._mark + (self._row(header, added) if header else b"")

    def line(self, record: Record, added: Sequence[str], cells: Mapping[str, Added]) -> bytes:
        """The cells as they were and the new ones; a record that is no row has empty cells."""
        own = record.raw if record.error is None else ("",) * len(self.columns)
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
                yield Record({}, f"{block.reason}: {bounded(block.head)}")
                continue
            for line in block.removesuffix("\n").split("\n"):
                if not line or line.isspace():
                    self._num_blank_lines += 1
                    continue
                cells, reason = jsonl.parse(line)
                yield Record({}, f"{reason}: {bounded(line)}") if reason else Record(cells, raw=line.strip())

    def head(self, added: Sequence[str]) -> bytes:
        """Nothing: every line names its own columns."""
        return b""

    def line(self, record: Record, added: Sequence[str], cells: Mapping[str, Added]) -> bytes:
        """The object as it was written, with the given members more."""
        members = json.dumps({name: cells[name] for name in added if name in cells}, ensure_ascii=False)
        if record.error is not None:
            return f"{members}\n".encode()
        before = record.raw[:-1].rstrip()
        comma = "" if before == "{" else ", "
        return f"{before}{comma}{members[1:]}\n".encode()


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
