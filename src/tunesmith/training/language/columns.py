"""Rows as a method's columns, made when they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from tunesmith.core.method import Method, Row
from tunesmith.training.language.rows import TokenRows


class Columned(Sequence[Row]):
    """The rows of a split as ``method.rows`` gives them; none is kept in memory."""

    def __init__(self, method: Method, rows: TokenRows) -> None:
        self.method, self.rows = method, rows
        self.lengths: list[int] = rows.lengths.tolist()
        """The tokens of each row, known without reading it; one more than those of a next-token row."""

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Row]: ...

    def __getitem__(self, place: int | slice) -> Row | Sequence[Row]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        return self.method.rows(self.rows[place], _no_text)


def _no_text(text: str) -> Row:
    raise AssertionError("token rows are rendered already")
