"""JSON lines: one object a line, nested values kept as JSON text."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NoReturn

from pydantic import field_validator

from tunesmith.core import digests
from tunesmith.core.errors import DataError
from tunesmith.core.source import Batch, Description
from tunesmith.data.sources import json_record, text
from tunesmith.data.sources.batches import BatchBuilder
from tunesmith.data.sources.config import SourceConfig
from tunesmith.data.sources.files import require_file

INVALID = "invalid JSON"
_READER = json_record.Reader()
MIN_HEAD_OBJECTS = 1_000
"""Objects whose keys make the described columns; more are looked at only until every mapped column was seen."""


class JsonlConfig(SourceConfig):
    """A file with one JSON object a line."""

    kind: Literal["jsonl"] = "jsonl"
    """Which kind of source this is."""
    path: str
    """The file, a folder or a pattern such as `data/*.jsonl`, relative to the recipe or absolute; packed with gzip,
    zstd or zip or not. Lines longer than 16 MB are refused."""
    encoding: str | None = None
    """A Python encoding name; null: detected (UTF-8 as JSON asks, UTF-16 or, line by line, cp1252)."""

    @field_validator("encoding")
    @classmethod
    def _encoding_exists(cls, encoding: str | None) -> str | None:
        return text.check_codec(encoding)


class JsonlSource:
    """The objects of a JSON lines file."""

    def __init__(self, config: JsonlConfig) -> None:
        self.config = config
        self.path = Path(config.path)
        self._columns: dict[str, None] = {}
        self._num_blank_lines = 0

    def describe(self) -> Description:
        """The encoding and the keys of the first objects; once all was read, also the keys that came later."""
        columns = self._head_columns
        notes = self._encoding.notes
        if late := [name for name in self._columns if name not in columns]:
            notes += (f"keys that first appear late in the file: {', '.join(late)}",)
        if self._num_blank_lines:
            notes += (f"{self._num_blank_lines} blank lines passed over",)
        return Description(f"jsonl ({', '.join(self._encoding.names)})", (*columns, *late), notes)

    def fingerprint(self) -> str:
        """The SHA-256 of the file's bytes."""
        require_file(self.path, source=self.config.name)
        return digests.of_file(self.path)

    def read(self, since: str | None = None) -> Iterator[Batch]:
        """Every line that is not blank once; columns grow as keys appear. ``since`` does not apply to files."""
        columns: dict[str, None] = dict.fromkeys(self._head_columns)
        builder = BatchBuilder()
        position = num_blank_lines = 0
        for line in self._lines():
            if isinstance(line, str) and (not line or line.isspace()):
                num_blank_lines += 1
                continue
            position += 1
            if isinstance(line, text.Unreadable):
                builder.refuse(line.reason, line.head, position)
            else:
                record, reason = parse(line)
                if reason:
                    builder.refuse(reason, line, position)
                else:
                    columns.update(dict.fromkeys(record))
                    builder.add([record.get(name) for name in columns], len(line))
            if builder.is_full:
                yield builder.take(list(columns))
        if not builder.is_empty:
            yield builder.take(list(columns))
        self._columns, self._num_blank_lines = columns, num_blank_lines

    @cached_property
    def _encoding(self) -> text.Encoding:
        return text.detect(self.path, self.config.encoding, source=self.config.name)

    @cached_property
    def _head_columns(self) -> tuple[str, ...]:
        columns: dict[str, None] = {}
        missing = set(self.config.columns.values())
        num_objects = 0
        first = ""
        for line in self._lines():
            if isinstance(line, text.Unreadable) or not line or line.isspace():
                continue
            record, reason = parse(line)
            if not first:
                first = line
                if reason == INVALID and line.strip()[0] in "[{" and line.strip()[-1] in "[{,":
                    # A document over several lines: one of its lines may be an object by itself all the same.
                    self._refuse_whole(first)
            if reason:
                continue
            columns.update(dict.fromkeys(record))
            missing.difference_update(record)
            num_objects += 1
            if num_objects >= MIN_HEAD_OBJECTS and not missing:
                break
        if not num_objects:
            self._refuse_whole(first)
        return tuple(columns)

    def _refuse_whole(self, first: str) -> NoReturn:
        what, way_out = "no line of the file is a JSON object", "export one object a line, without a list around them"
        if first.lstrip().startswith("["):
            what, way_out = "the file is one JSON array, not JSON lines", "read it with `kind: json`"
        elif first.strip() == "{":
            what = "the file is one JSON document over several lines, not JSON lines"
            way_out = "read it with `kind: json`"
        raise DataError(
            f"source `{self.config.name}`: {what}",
            seen=f"{self.path}: {first[:200] or 'blank lines only'}",
            allowed='one object a line: {"text": "…", "label": "…"}',
            next=way_out,
        )

    def _lines(self) -> Iterator[str | text.Unreadable]:
        # Inside JSON a carriage return is white space, so only \n ends a line.
        for block in text.blocks(self.path, self._encoding, source=self.config.name, is_cr_break=False):
            if isinstance(block, str):
                yield from block.removesuffix("\n").split("\n")
            else:
                yield block


def parse(line: str) -> tuple[dict[str, Any], str]:
    """The cells of one line by key, or why it is refused; arrays and objects in it become compact JSON text."""
    start = len(line) - len(line.lstrip(" \t\r\n"))
    try:
        record, end = _READER.value(line, start)
    except (ValueError, RecursionError):
        return {}, INVALID
    if line[end:].strip(" \t\r\n"):
        return {}, INVALID
    return ({}, _READER.flaw) if _READER.flaw else json_record.cells(record, line)
