"""Batches of bounded size from rows that come one at a time, and names that tell columns apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tunesmith.core.source import Batch, Refused

BATCH_ROWS = 10_000
BATCH_CHARS = 32_000_000
"""A batch ends at either bound, so that a few huge cells cost no more memory than many small ones."""
RECORD_CHARS = 1_000
"""How much of a refused record is kept to show."""


def bounded(record: str) -> str:
    """A refused record without its line break, cut to ``RECORD_CHARS`` with the number of characters left out."""
    record = record.rstrip("\r\n")
    if len(record) <= RECORD_CHARS:
        return record
    return f"{record[:RECORD_CHARS]}… ({len(record) - RECORD_CHARS} characters more)"


class BatchBuilder:
    """Rows and refused records gathered until there are enough for a batch."""

    def __init__(self) -> None:
        self._rows: list[Sequence[Any]] = []
        self._refused: list[Refused] = []
        self._num_chars = 0

    def add(self, row: Sequence[Any], num_chars: int) -> None:
        """Take a row; ``num_chars`` is about its size."""
        self._rows.append(row)
        self._num_chars += num_chars

    def refuse(self, reason: str, record: str, position: int) -> None:
        """Take a record that is no row."""
        self._refused.append(Refused(reason, bounded(record), position))

    @property
    def is_full(self) -> bool:
        """Whether it is time to ``take``."""
        return (
            len(self._rows) >= BATCH_ROWS or len(self._refused) >= BATCH_ROWS or self._num_chars >= BATCH_CHARS
        )  # fmt: skip

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to ``take``."""
        return not self._rows and not self._refused

    def take(self, columns: Sequence[str]) -> Batch:
        """What was gathered, as columns, and empty the builder. Rows shorter than ``columns`` end in nulls."""
        width = len(columns)
        rows = [row if len(row) == width else [*row, *[None] * (width - len(row))] for row in self._rows]
        cells = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in columns]
        batch = Batch(dict(zip(columns, cells, strict=True)), tuple(self._refused))
        self._rows, self._refused, self._num_chars = [], [], 0
        return batch


def distinct_names(raw: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Column names that differ from one another, and notes on those that were missing, repeated or padded.

    An unnamed fourth column is called ``column_4``; the second ``id`` is called ``id_2``.
    """
    given = list(raw)
    trimmed = [name.strip() for name in given]
    taken = set(filter(None, trimmed))
    names: list[str] = []
    unnamed: list[str] = []
    repeated: list[str] = []
    for number, name in enumerate(trimmed, start=1):
        if name and name not in names:
            names.append(name)
            continue
        fresh = _free(f"column_{number}", taken) if not name else _next_free(name, taken)
        (repeated if name else unnamed).append(f"`{name}` → `{fresh}`" if name else f"`{fresh}`")
        taken.add(fresh)
        names.append(fresh)
    notes = []
    if unnamed:
        notes.append(f"{len(unnamed)} columns have no name: called {', '.join(unnamed)}")
    if repeated:
        notes.append(f"column names that repeat: {', '.join(repeated)}")
    if padded := sum(1 for name, short in zip(given, trimmed, strict=True) if name != short):
        notes.append(f"blanks around {padded} column names were removed")
    return tuple(names), tuple(notes)


def _free(name: str, taken: set[str]) -> str:
    return name if name not in taken else _next_free(name, taken)


def _next_free(name: str, taken: set[str]) -> str:
    number = 2
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"
