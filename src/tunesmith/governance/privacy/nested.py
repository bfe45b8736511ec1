"""Cells that hold JSON: their texts are looked into one by one, so that what is written back is JSON still.

In the JSON text itself a value may begin behind an escape (``\\n+44 20 …``), where it is not found, and a stand-in put
there breaks the escape. Places of findings count in the single text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from tunesmith.governance.privacy.treat import TEXT, Treated, Treatment

_LOOKS_NESTED = r"^\s*[\[{]"
_WORDS = frozenset({"content", "value", "text", "name", "role", "from", "type", "id"})
"""Keys that say nothing of what their values are; any other key is read before its value, as a column's name is."""
MIN_DIGITS = 7
"""Shorter numbers are no personal data by themselves."""


@dataclass(frozen=True)
class _Leaf:
    """A text inside a cell."""

    row: int
    name: str
    text: str


def column(treatment: Treatment, texts: pl.Series, name: str = TEXT) -> Treated:
    """The texts of a column treated, those inside JSON each by itself."""
    nested = {row: value for row in texts.str.contains(_LOOKS_NESTED).arg_true() if (value := _parsed(texts[row]))}
    if not nested:
        return treatment.column(texts, name)
    rows = list(nested)
    plain = treatment.column(texts.clone().scatter(rows, [None] * len(rows)), name)
    leaves = [leaf for row, value in nested.items() for leaf in _leaves(value, row, name)]
    treated, after = _treated(treatment, leaves)
    replaced = {}
    given = iter(after)
    for row, value in nested.items():
        written = _replaced(value, lambda _: next(given))
        if row in treated.changed:
            replaced[row] = json.dumps(written, ensure_ascii=False, separators=(",", ":"))
    cells = plain.texts.clone().scatter(rows, [replaced.get(row, texts[row]) for row in rows])
    return Treated(
        cells,
        sorted([*plain.found, *treated.found], key=lambda one: one[0]),
        plain.changed | treated.changed,
        plain.sealed | treated.sealed,
    )


def _treated(treatment: Treatment, leaves: list[_Leaf]) -> tuple[Treated, list[str]]:
    """What was found in the texts by their cells' rows, and every text as it is to be written."""
    texts = pl.Series([leaf.text for leaf in leaves], dtype=pl.String)
    one = treatment.column(texts, [leaf.name for leaf in leaves])
    found = [(leaves[place].row, finding, action) for place, finding, action in one.found]
    after: list[str] = one.texts.to_list()
    return Treated(one.texts, found, {leaves[place].row for place in one.changed}, one.sealed), after


def _parsed(cell: str) -> Any:
    """The list or object that a cell holds; None where it is a text that only looks like one."""
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return None


def _leaves(value: Any, row: int, name: str) -> Iterator[_Leaf]:
    """Every text and long number inside a value, in the order in which they are replaced."""
    found: list[_Leaf] = []

    def keep(text: str, key: str) -> str:
        found.append(_Leaf(row, key, text))
        return text

    _walk(value, name, keep)
    yield from found


def _replaced(value: Any, replacement: Callable[[str], str]) -> Any:
    return _walk(value, TEXT, lambda text, _: replacement(text))


def _walk(value: Any, name: str, leaf: Callable[[str, str], str]) -> Any:
    """The value with every leaf as a function gives it; JSON in a text is walked as well and written back."""
    if isinstance(value, dict):
        return {key: _walk(one, name if key in _WORDS else key, leaf) for key, one in value.items()}
    if isinstance(value, list):
        return [_walk(one, name, leaf) for one in value]
    if isinstance(value, str):
        inside = _parsed(value) if value.lstrip()[:1] in ("[", "{") else None
        if not isinstance(inside, dict | list):
            return leaf(value, name)
        walked = _walk(inside, name, leaf)
        return value if walked == inside else json.dumps(walked, ensure_ascii=False, separators=(",", ":"))
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and sum(map(str.isdigit, str(value))) >= MIN_DIGITS
    ):
        after = leaf(str(value), name)
        return value if after == str(value) else after
    return value
