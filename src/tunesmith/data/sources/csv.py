"""Comma, semicolon, tab or pipe separated text: detected, decoded, and otherwise left as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import field_validator

from tunesmith.core import digests
from tunesmith.core.errors import DataError, RecipeError
from tunesmith.core.source import Batch, Description
from tunesmith.data.sources import dialect as dialects
from tunesmith.data.sources import text
from tunesmith.data.sources.batches import BatchBuilder, distinct_names
from tunesmith.data.sources.config import SourceConfig
from tunesmith.data.sources.files import require_file
from tunesmith.data.sources.records import Records

HEAD_CHARS = 262_144
JSON_START = re.compile(r"\s*(\[\s*)?\{\s*\"[^\"\n]*\"\s*:")
"""A list, or an object with its first key: no header of separated text looks like it."""


class CsvConfig(SourceConfig):
    """A delimited text file; whatever is left out is detected and shown by `plan`."""

    kind: Literal["csv"] = "csv"
    """Which kind of source this is."""
    path: str
    """The file, a folder or a pattern such as `data/*.csv`, relative to the recipe or absolute; packed with gzip, zstd
    or zip or not. Several files are read in the order of their names and their columns united. Records longer than 16
    million characters are refused."""
    encoding: str | None = None
    """A Python encoding name such as `utf-16` or `cp1250`; null: detected (UTF-8, UTF-16 or, line by line, cp1252)."""
    delimiter: str | None = None
    """One character, or `comma`, `semicolon`, `tab`, `pipe`; null: detected among these four."""
    header: bool | None = None
    """Whether the first record names the columns (else they are `column_1`, `column_2` …); null: detected."""
    quote: str | None = None
    """The character around fields that hold delimiters or line breaks; empty: quotes mean nothing; null: detected
    (double quotes or none)."""

    @field_validator("encoding")
    @classmethod
    def _encoding_exists(cls, encoding: str | None) -> str | None:
        return text.check_codec(encoding)

    @field_validator("delimiter", "quote")
    @classmethod
    def _is_one_character(cls, value: str | None) -> str | None:
        value = dialects.DELIMITERS.get(value or "", value)
        if value is not None and (len(value) > 1 or value in ("\n", "\r", "\0")):
            raise RecipeError(
                "`delimiter` and `quote` are one character each",
                seen=repr(value),
                allowed=f"a character, or {', '.join(dialects.DELIMITERS)}",
            )
        return value


@dataclass(frozen=True)
class Layout:
    """How a file turned out to be written."""

    encoding: text.Encoding
    dialect: dialects.Dialect
    columns: tuple[str, ...]
    """Distinct names, made up where the file has none."""
    header: tuple[str, ...]
    """The names as the file writes them; empty where it has no header."""
    notes: tuple[str, ...]


class CsvSource:
    """The records of a delimited text file."""

    def __init__(self, config: CsvConfig) -> None:
        self.config = config
        self.path = Path(config.path)
        self._num_blank_lines = 0

    def describe(self) -> Description:
        """The detected encoding, delimiter, quotes and header; once all was read, also the blank lines passed over."""
        layout = self.layout
        parts = [layout.dialect.label, *layout.encoding.names, "header" if layout.dialect.has_header else "no header"]
        if not layout.dialect.quote:
            parts.append("no quotes")
        notes = layout.notes
        if self._num_blank_lines:
            notes += (f"{self._num_blank_lines} blank lines passed over",)
        return Description(f"csv ({', '.join(parts)})", layout.columns, notes)

    def fingerprint(self) -> str:
        """The SHA-256 of the file's bytes."""
        require_file(self.path, source=self.config.name)
        return digests.of_file(self.path)

    def read(self, since: str | None = None) -> Iterator[Batch]:
        """Every record once; the first record after the header has position 1. ``since`` does not apply to files."""
        layout = self.layout
        width = len(layout.columns)
        records = Records(text.blocks(self.path, layout.encoding, source=self.config.name), layout.dialect)
        builder = BatchBuilder()
        position = -1 if layout.dialect.has_header else 0
        for fields, reason in records:
            position += 1
            if position == 0:
                continue
            if fields is None:
                builder.refuse(reason, records.raw(), position)
            elif len(fields) == width:
                builder.add(fields, records.num_chars)
            else:
                few_or_many = "few" if len(fields) < width else "many"
                builder.refuse(f"too {few_or_many} fields", records.raw(), position)
            if builder.is_full:
                yield builder.take(layout.columns)
        if not builder.is_empty:
            yield builder.take(layout.columns)
        self._num_blank_lines = records.num_blank_lines

    @cached_property
    def layout(self) -> Layout:
        """How the file is written, from its head; its encoding from all its bytes."""
        config = self.config
        encoding = text.detect(self.path, config.encoding, source=config.name)
        head, is_whole = self._head(encoding)
        if JSON_START.match(head):
            raise DataError(
                f"source `{config.name}`: the file is JSON, not separated text",
                seen=f"{self.path}: {head[:200]!r}",
                next="read it with `kind: json`" if head.lstrip().startswith("[") else "`kind: jsonl` or `kind: json`",
            )
        dialect = dialects.detect(
            head,
            is_whole=is_whole,
            delimiter=config.delimiter,
            quote=config.quote,
            header=config.header,
            wanted=list(config.columns.values()) or ["text", "label"],
        )
        first_two = [
            fields
            for (fields, _), _ in zip(
                Records(text.blocks(self.path, encoding, source=config.name), dialect), range(2), strict=False
            )
        ]
        if len(first_two) < 1 + dialect.has_header:
            raise DataError(
                f"source `{config.name}`: the file has {'a header but no rows' if first_two else 'no records'}",
                seen=f"{self.path}: {head[:200]!r}",
                allowed="at least one record" + (" after the header" if first_two else ""),
                next="export it again; set `header: false` if the first record is data" if first_two else None,
            )
        if first_two[0] is None:
            raise DataError(
                f"source `{config.name}`: the first record cannot be read, so the columns are unknown",
                seen=head[:200],
                next="set `delimiter`, `quote` and `encoding`, or mend the file's first line",
            )
        names = first_two[0] if dialect.has_header else [""] * len(first_two[0])
        columns, notes = distinct_names(names)
        notes = notes if dialect.has_header else (f"no header: columns are called {columns[0]} to {columns[-1]}",)
        header = tuple(first_two[0]) if dialect.has_header else ()
        return Layout(encoding, dialect, columns, header, encoding.notes + notes)

    def _head(self, encoding: text.Encoding) -> tuple[str, bool]:
        head = ""
        for block in text.blocks(self.path, encoding, source=self.config.name):
            head += block if isinstance(block, str) else ""
            if len(head) > HEAD_CHARS:
                return head[:HEAD_CHARS], False
        return head, True
