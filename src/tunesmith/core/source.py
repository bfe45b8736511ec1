"""Sources and sinks: where rows come from and where results go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


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
