"""OpenAI's form: a list of messages, each with a role and a content; beside it the tools that may be called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.data.formats.draft import Draft, Said
from tunesmith.data.formats.reading import Reading
from tunesmith.data.formats.said import content_of, read_turns
from tunesmith.data.formats.tools import read_tools


def read(cells: Mapping[str, Any], reading: Reading) -> Draft:
    """The turns of a list of messages.

    Raises: Fault.
    """
    draft = Draft([])
    draft.turns = read_turns(cells["messages"], reading.keys, reading.roles, draft.events)
    if system := content_of(cells.get("system")):
        draft.turns.insert(0, Said("system", system))
    if cells.get("tools") is not None:
        draft.tools = read_tools(cells["tools"])
    return draft
