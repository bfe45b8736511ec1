"""One JSON document: a list of objects, or an object that holds them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from tunesmith.core import digests
from tunesmith.core.errors import DataError, RecipeError
from tunesmith.core.source import Batch, Description
from tunesmith.data.sources import json_record, text
from tunesmith.data.sources.batches import BatchBuilder
from tunesmith.data.sources.config import SourceConfig
from tunesmith.data.sources.files import require_file
from tunesmith.data.sources.json_stream import Document, Item

MIN_HEAD_OBJECTS = 1_000
"""Objects whose keys make the described columns; more are looked at only until every mapped column was seen."""
SHOWN_KEYS = 12


class JsonConfig(SourceConfig):
    """A file with one JSON document: a list of objects, or an object whose members are the rows."""

    kind: Literal["json"] = "json"
    """Which kind of source this is."""
    path: str
    """The file, a folder or a pattern such as `data/*.json`, relative to the recipe or absolute; packed with gzip, zstd
    or zip or not. It is read as a stream; records longer than 16 million characters end the reading. Arrays and objects
    inside a record become compact JSON text."""
    records: str | None = Field(default=None, pattern=r"^[^.]+(\.[^.]+)*$")
    """Where the records are, as keys joined by dots: `data.items`; null: the document itself is the list of records, or
    the object whose members are."""
    key_column: str = Field(default="key", min_length=1)
    """The column that gets each member's name where the records are the members of an object, keyed by id."""
    encoding: str | None = None
    """A Python encoding name; null: detected (UTF-8 as JSON asks, UTF-16; bytes that are neither are read as cp1252 and
    counted)."""

    @field_validator("encoding")
    @classmethod
    def _encoding_exists(cls, encoding: str | None) -> str | None:
        return text.check_codec(encoding)


class JsonSource:
    """The records of a JSON document."""

    def __init__(self, config: JsonConfig) -> None:
        self.config = config
        self.path = Path(config.path)
        self._columns: dict[str, None] = {}
        self._num_fallback_bytes = 0

    def describe(self) -> Description:
        """The shape, the encoding and the keys of the first records; once all was read, also what came later."""
        columns = self._head_columns
        notes: tuple[str, ...] = ()
        if late := [name for name in self._columns if name not in columns]:
            notes += (f"keys that first appear late in the file: {', '.join(late)}",)
        if number := self._num_fallback_bytes:
            notes += (f"{number} bytes are not valid UTF-8, read as cp1252; set `encoding` if letters look wrong",)
        shape = "object of objects" if self.config.key_column in columns and self._is_keyed else "list of objects"
        return Description(f"json ({', '.join((shape, *self._encoding.names))})", (*columns, *late), notes)

    def fingerprint(self) -> str:
        """The SHA-256 of the file's bytes."""
        require_file(self.path, source=self.config.name)
        return digests.of_file(self.path)

    def read(self, since: str | None = None) -> Iterator[Batch]:
        """Every record once; columns grow as keys appear. ``since`` does not apply to files."""
        columns: dict[str, None] = dict.fromkeys(self._head_columns)
        characters = self._characters()
        builder = BatchBuilder()
        keys: set[str] = set()
        for position, item in enumerate(self._items(self._document(characters)), start=1):
            record, reason = self._record(item)
            if item.key is not None and not reason:
                reason = "an id that repeats" if item.key in keys else ""
                keys.add(item.key)
            if reason:
                builder.refuse(reason, item.raw if item.key is None else f'"{item.key}": {item.raw}', position)
            else:
                columns.update(dict.fromkeys(record))
                builder.add([record.get(name) for name in columns], len(item.raw))
            if builder.is_full:
                yield builder.take(list(columns))
        if not builder.is_empty:
            yield builder.take(list(columns))
        self._columns, self._num_fallback_bytes = columns, characters.num_fallback_bytes

    def _items(self, document: Document) -> Iterator[Item]:
        parts = self.config.records.split(".") if self.config.records else []
        for depth, part in enumerate(parts):
            if names := document.enter(part):
                near = difflib.get_close_matches(part, names, n=1)
                before = ".".join([*parts[:depth], near[0]]) if near else ""
                raise DataError(
                    f"source `{self.config.name}`: the document has no `{'.'.join(parts[: depth + 1])}`",
                    seen=f"records: {self.config.records}",
                    allowed=_some(names),
                    next=f"did you mean `{before}`?" if near else "correct `records`",
                )
        yield from document.items()
        document.leave(len(parts))

    def _record(self, item: Item) -> tuple[dict[str, object], str]:
        if item.flaw:
            return {}, item.flaw
        record, reason = json_record.cells(item.value, item.raw)
        if item.key is None or reason:
            return record, reason
        if self.config.key_column in record:
            raise RecipeError(
                f"source `{self.config.name}`: the records have a key `{self.config.key_column}` of their own",
                seen=f"key_column: {self.config.key_column}",
                allowed=f"a name that is none of {_some(list(record))}",
                next=f"key_column: {self.config.key_column}_id",
            )
        return {self.config.key_column: item.key, **record}, ""

    def _document(self, characters: text.Characters) -> Document:
        return Document(characters, self.path, source=self.config.name)

    def _characters(self) -> text.Characters:
        return text.Characters(self.path, self._encoding, self.config.encoding, source=self.config.name)

    @cached_property
    def _encoding(self) -> text.Encoding:
        return text.from_head(self.path, self.config.encoding, source=self.config.name)

    @cached_property
    def _is_keyed(self) -> bool:
        return next(iter(self._items(self._document(self._characters())))).key is not None

    @cached_property
    def _head_columns(self) -> tuple[str, ...]:
        columns: dict[str, None] = {}
        missing = set(self.config.columns.values())
        num_objects, others = 0, dict[str, str]()
        for number, item in enumerate(self._items(self._document(self._characters()))):
            record, reason = self._record(item)
            if not reason:
                columns.update(dict.fromkeys(record))
                missing.difference_update(record)
                num_objects += 1
            elif not isinstance(item.value, dict) and len(others) < SHOWN_KEYS:
                others[item.key or f"record {number + 1}"] = _kind(item.value)
            if num_objects >= MIN_HEAD_OBJECTS and not missing:
                break
        holds_list = [key for key, kind in others.items() if kind == LIST_OF_OBJECTS]
        if not num_objects or len(others) > num_objects or (holds_list and num_objects < SHOWN_KEYS):
            raise self._no_records(others, holds_list)
        own = [name for name in columns if name != self.config.key_column]
        if own and all(name == str(place) for place, name in enumerate(own)):
            raise DataError(
                f"source `{self.config.name}`: the document holds columns of rows, not rows",
                seen=f"{self.path}: members called {_some(own)} in each member",
                allowed="a list of objects, one for each row",
                next="write it with pandas' `to_json(orient='records')`",
            )
        return tuple(columns)

    def _no_records(self, others: dict[str, str], holds_list: list[str]) -> DataError:
        inside = f"{self.config.records}." if self.config.records else ""
        return DataError(
            f"source `{self.config.name}`: `{self.config.records}` holds no rows"
            if self.config.records
            else f"source `{self.config.name}`: the document is not a list of objects, nor an object of objects",
            seen=f"{self.path}: {_some([f'{key} ({kind})' for key, kind in others.items()]) or 'no rows, it is empty'}",
            allowed='[{"text": "…"}, …], {"id 1": {"text": "…"}, …}, or `records: key.of.the.list`',
            next=f"records: {inside}{holds_list[0]}" if holds_list else "name the key that holds them with `records`",
        )


LIST_OF_OBJECTS = "a list of objects"


def _kind(value: object) -> str:
    if isinstance(value, list):
        return LIST_OF_OBJECTS if value and isinstance(value[0], dict) else "a list"
    return "an object" if isinstance(value, dict) else "null" if value is None else "a value"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN_KEYS} more" if len(names) > SHOWN_KEYS else ""
    return ", ".join(names[:SHOWN_KEYS]) + more
