"""Cells: database values as the few plain types a dataset holds, and the bytes that identify a row."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

Cell = str | int | float | bool | None
PLAIN = frozenset({str, int, float, bool, type(None)})


def plain(value: Any) -> Cell:
    """A database value as a cell: text, numbers and booleans stay, all else becomes text without loss.

    Decimals keep their digits as text, dates take ISO form, bytes that are UTF-8 are text and others are hexadecimal,
    arrays and JSON become compact JSON.
    """
    if type(value) in PLAIN:
        return value  # type: ignore[no-any-return]
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        raw = bytes(value)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw.hex()
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=plain)
    return str(value)


def text(cell: Cell) -> str | None:
    """A cell as text, in JSON's words for booleans."""
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return repr(cell) if isinstance(cell, float) else str(cell)


def encoded(name: str, cells: Iterable[Cell]) -> list[str]:
    """Each cell of a column as text that no other name or cell gives: name, type and content, each with its length.

    A null gives the empty text, so that a column without values is the same as no column.
    """
    start = f"{len(name)}:{name}"
    return [f"{start}s{len(cell)}:{cell}" if type(cell) is str else _encoded(start, cell) for cell in cells]


def _encoded(start: str, cell: Cell) -> str:
    content = text(cell)
    return "" if content is None else f"{start}{type(cell).__name__[0]}{len(content)}:{content}"


def row_bytes(columns: Mapping[str, Sequence[Cell]]) -> Iterator[bytes]:
    """What identifies the content of each row, whatever the order of its columns."""
    for parts in zip(*(encoded(name, columns[name]) for name in sorted(columns)), strict=True):
        yield "".join(parts).encode(errors="surrogatepass")
