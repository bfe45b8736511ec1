"""Pairs: what is asked and what is to be answered, each a text or a list of messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.data.formats.draft import Draft, Said
from tunesmith.data.formats.reading import Reading
from tunesmith.data.formats.said import read_turns
from tunesmith.data.formats.tools import read_tools


def read(cells: Mapping[str, Any], reading: Reading) -> Draft:
    """The prompt as a user's turn and the completion as the assistant's.

    Raises: Fault.
    """
    draft = Draft([Said("system", cells["system"])] if cells.get("system") else [])
    if reading.is_conversational:
        asked = read_turns(cells["prompt"], reading.keys, reading.roles, draft.events)
        for turn in asked:
            if turn.role == "assistant" and turn.weight is None:
                # Only completions are to be learned, as in TRL.
                turn.weight = 0.0
        draft.turns += asked + read_turns(cells["completion"], reading.keys, reading.roles, draft.events)
    else:
        draft.turns += [Said("user", cells["prompt"] or ""), Said("assistant", cells["completion"] or "")]
    if cells.get("tools") is not None:
        draft.tools = read_tools(cells["tools"])
    return draft
