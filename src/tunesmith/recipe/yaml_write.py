"""Plain data as YAML text that the 1.2 core schema reads back unchanged."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from tunesmith.recipe import yaml12

PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./@+-]*( [A-Za-z0-9_./@+-]+)*")
"""Texts that need no quotes in any place, as long as they do not read as a number, a boolean or null."""
UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def block(data: dict[str, Any]) -> str:
    """A mapping as YAML, a key a line; lists of mappings as dashes, short lists in brackets."""
    return "".join(f"{line}\n" for line in _mapping(data, ""))


def flow(value: Any) -> str:
    """A value in one line: ``{kind: adamw, betas: [0.9, 0.999]}``."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    return _scalar(value)


def _mapping(data: dict[str, Any], indent: str) -> Iterator[str]:
    for key, item in data.items():
        name = f"{indent}{_text(key)}:"
        if isinstance(item, dict) and item:
            yield name
            yield from _mapping(item, indent + "  ")
        elif isinstance(item, list) and any(isinstance(one, dict) and one for one in item):
            yield name
            for one in item:
                yield from _item(one, indent + "  ")
        else:
            yield f"{name} {flow(item)}"


def _item(item: Any, indent: str) -> Iterator[str]:
    if not isinstance(item, dict) or not item:
        yield f"{indent}- {flow(item)}"
        return
    first, *rest = _mapping(item, indent + "  ")
    yield f"{indent}- {first[len(indent) + 2 :]}"
    yield from rest


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if math.isnan(value):
            return ".nan"
        return repr(value) if math.isfinite(value) else f"{'-' if value < 0 else ''}.inf"
    return _text(str(value))


def _text(text: str) -> str:
    is_plain = PLAIN.fullmatch(text) is not None and yaml12.resolve(text) is text
    if is_plain:
        return text
    return UNPRINTABLE.sub(_escape, json.dumps(text, ensure_ascii=False))


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
