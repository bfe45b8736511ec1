"""Cells: database values as the few plain types a dataset holds, and the bytes that identify a cell."""

from __future__ import annotations

import datetime
import json
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


def encoded(name: str, cell: Cell) -> bytes:
    """A named cell as bytes that no other name or cell gives: name, type and content, each with its length."""
    content = "" if cell is None else text(cell) or ""
    tag = "n" if cell is None else type(cell).__name__[0]
    return f"{len(name)}:{name}{tag}{len(content)}:{content}".encode(errors="surrogatepass")
