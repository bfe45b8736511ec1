"""Sources and sinks: where rows come from and where results go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True)
class Refused:
    """A record that could not be read as a row: kept, counted and shown, never dropped silently."""

    reason: str
    """Short and countable: ``too many fields``, ``invalid JSON``."""
    record: str
    """The record as it stood, bounded in length."""
    position: int
    """Its number in the source, the first record being 1."""


@dataclass(frozen=True)
class Batch:
    """Some rows of a source as columns of equal length, and the records refused on the way."""

    columns: Mapping[str, list[Any]]
    refused: tuple[Refused, ...] = ()

    @property
    def num_rows(self) -> int:
        """The number of rows, refused records not counted."""
        return len(next(iter(self.columns.values()), []))


@dataclass(frozen=True)
class Description:
    """What a source turned out to be, for the plan."""

    format: str
    """Named as users know it: ``csv (semicolon, cp1252, header)``, ``sqlite table tickets``."""
    columns: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())
    """Anything odd: mixed encodings, duplicated header names, unnamed columns."""


class Source(Protocol):
    """A place rows come from."""

    def describe(self) -> Description:
        """The detected format and columns, from the head of the source."""

    def fingerprint(self) -> str:
        """A value that changes when the rows may have changed; part of the step key."""

    def read(self, since: str | None = None) -> Iterator[Batch]:
        """Every record once, as batches of bounded size; ``since`` is a cursor of an earlier pull."""


class Sink(Protocol):
    """A place results go to. Nothing is visible before ``commit``."""

    def write(self, columns: Mapping[str, list[Any]]) -> None:
        """Take some rows."""

    def commit(self) -> None:
        """Make everything written visible at once."""

    def abort(self) -> None:
        """Forget everything written."""


@dataclass(frozen=True)
class Entry:
    """A row as an index knows it."""

    key: Any
    """What the row is fetched by."""
    cells: tuple[Any, Any]
    """Key and cursor as cells."""


class Pull(Protocol):
    """A source at one moment: every answer is of the same state of it."""

    columns: tuple[str, ...]
    key: str
    """The column that tells rows apart."""
    cursor: str
    """The column that changes with a row."""
    deleted_at: str | None
    """The column that marks a row as deleted; such rows are not in the index."""
    description: Description

    def blocked(self, since: Mapping[str, Any]) -> str:
        """Why reading cannot go on from an earlier state, in words; empty where it can."""

    def state(self) -> dict[str, Any]:
        """Where a later pull goes on from, as JSON values."""

    def everything(self) -> Iterator[Batch]:
        """Every row once."""

    def changed(self, since: Mapping[str, Any]) -> Iterator[Batch]:
        """At least every row that was added or changed since, as far as the source can tell."""

    def index(self) -> Iterator[Sequence[Entry]]:
        """Key and cursor of every row."""

    def fetched(self, keys: Sequence[Any]) -> Iterator[Batch]:
        """The rows with these keys."""


@runtime_checkable
class IncrementalSource(Source, Protocol):
    """A source that may be read from where the last pull ended."""

    def cursor_identity(self) -> str | None:
        """What its cursor belongs to: equal for pulls of which each may go on from the other. None: read as a whole."""

    def pulled(self) -> AbstractContextManager[Pull]:
        """The source at this moment, for as long as the context lasts."""
