"""JSON in cells: read strictly, and told apart from texts that only look like it."""

from __future__ import annotations

import json
from typing import Any

from tunesmith.data.formats.draft import SURROGATE, Fault


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def parsed(cell: Any, reason: str) -> Any:
    """The value that a cell holds as JSON text, or as it is where it is nested already.

    Raises: Fault with the reason where it is none.
    """
    if not isinstance(cell, str):
        return cell
    try:
        value = _DECODER.decode(cell)
    except (ValueError, RecursionError) as error:
        raise Fault(reason, str(error)[:100]) from None
    if "\\ud" in cell or "\\uD" in cell:
        _check_unicode(value)
    return value


def written(value: Any) -> str:
    """A value as compact JSON text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def looked_into(cell: Any) -> Any:
    """The list or object that a cell holds; None where it is a text like any other."""
    if isinstance(cell, list | dict):
        return cell
    if not isinstance(cell, str) or cell.lstrip()[:1] not in ("[", "{"):
        return None
    try:
        return parsed(cell, "")
    except Fault:
        return None


def _check_unicode(value: Any) -> None:
    try:
        written(value).encode()
    except UnicodeEncodeError:
        raise Fault(SURROGATE) from None
