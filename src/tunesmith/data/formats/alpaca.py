"""Alpaca's form: an instruction, what it is about, and the output; before it what was said already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.data.formats.draft import Draft, Fault, Said
from tunesmith.data.formats.json_cells import parsed, written
from tunesmith.data.formats.reading import Reading

BAD_HISTORY = "a history that is no list of questions with answers"


def read(cells: Mapping[str, Any], reading: Reading) -> Draft:
    """The instruction and its input as a user's turn, the output as the assistant's.

    Raises: Fault.
    """
    turns = [Said("system", cells["system"])] if cells.get("system") else []
    if cells.get("history"):
        turns += _history(cells["history"])
    asked = cells["instruction"] or ""
    if (about := cells.get("input")) and not about.isspace():
        asked = f"{asked}\n\n{about}" if asked else about
    turns += [Said("user", asked), Said("assistant", cells["output"] or "")]
    return Draft(turns)


def _history(cell: Any) -> list[Said]:
    listed = parsed(cell, BAD_HISTORY) or []
    turns = []
    for pair in listed if isinstance(listed, list) else [listed]:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise Fault(BAD_HISTORY, written(pair)[:100])
        turns += [Said("user", pair[0]), Said("assistant", pair[1])]
    return turns
