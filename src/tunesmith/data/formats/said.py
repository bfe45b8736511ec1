"""One turn of a list, as `{role, content}` or `{from, value}`, read as what was said by whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.core.conversation import Role
from tunesmith.data.formats.draft import (
    BAD_WEIGHT,
    FOREIGN_WEIGHT,
    NO_MESSAGES,
    NO_TEXT,
    NOT_JSON,
    UNKNOWN_ROLE,
    Fault,
    Said,
)
from tunesmith.data.formats.json_cells import parsed, written
from tunesmith.data.formats.tools import read_calls


@dataclass(frozen=True)
class Keys:
    """How the turns of a source call who speaks, and what is said."""

    role: str = "role"
    content: str = "content"


KEYS = Keys()
CALL = "call"
"""A turn whose content is the call itself, as ShareGPT has them."""
SPEAKERS: dict[str, Role] = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human", "prompter", "customer"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "model", "bot", "agent", "ai"), "assistant"),
    **dict.fromkeys(("tool", "function", "observation", "tool_response", "function_response", "ipython"), "tool"),
}
"""Who speaks, in small letters, as it is written in the data sets in use."""
CALLERS = frozenset({"function_call", "tool_call", "function-call", "tool-call"})
READ = frozenset({"weight", "train", "tool_calls", "function_call", "tool_call_id", "name"})


def read_turns(cell: Any, keys: Keys, roles: Mapping[str, Role], events: list[str]) -> list[Said]:
    """The turns of a cell in their order; what was not taken over is noted among the events.

    Raises: Fault with what is wrong with the first turn that cannot be read.
    """
    listed = parsed(cell, NOT_JSON)
    if not isinstance(listed, list) or not listed:
        raise Fault(NO_MESSAGES, "" if listed is None else written(listed)[:100])
    return [_said(one, keys, roles, events) for one in listed]


def _said(turn: Any, keys: Keys, roles: Mapping[str, Role], events: list[str]) -> Said:
    if not isinstance(turn, dict):
        raise Fault(NO_MESSAGES, written(turn)[:100])
    speaker, content = turn.get(keys.role), turn.get(keys.content)
    role = speaker_of(speaker, roles)
    if role == CALL:
        said = Said("assistant", "", calls=read_calls(content))
    else:
        said = Said(role, content if type(content) is str else content_of(content))  # type: ignore[arg-type]
    # Calls may stand without a content.
    if len(turn) > 2 or keys.content not in turn:
        _read_more(turn, said, keys, events)
    return said


def speaker_of(speaker: Any, roles: Mapping[str, Role]) -> str:
    """The role that a name stands for, or `call`.

    Raises: Fault where nobody is known by it.
    """
    if not isinstance(speaker, str):
        raise Fault(UNKNOWN_ROLE, repr(speaker)[:40])
    if speaker in roles:
        return roles[speaker]
    small = speaker.strip().lower()
    if small in SPEAKERS:
        return SPEAKERS[small]
    if small in CALLERS:
        return CALL
    raise Fault(UNKNOWN_ROLE, speaker[:40])


def content_of(content: Any) -> str:
    """The text of a content: a text, a list of text parts, or none.

    Raises: Fault where a part is an image, a sound or anything else.
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise Fault(NO_TEXT, written(content)[:100])
    return "".join(map(_part, content))


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and part.get("type", "text") == "text" and isinstance(part.get("text"), str):
        text: str = part["text"]
        return text
    raise Fault(NO_TEXT, str(part.get("type")) if isinstance(part, dict) else written(part)[:100])


def _read_more(turn: Mapping[str, Any], said: Said, keys: Keys, events: list[str]) -> None:
    """Take over what a turn has besides its speaker and its content."""
    for key, value in turn.items():
        if key in (keys.role, keys.content) or value is None:
            continue
        if key not in READ:
            # An empty list or text is nothing that could be lost.
            if value not in ("", [], {}):
                events.append(f"key `{key[:40]}` of a turn left out")
        elif key in ("weight", "train"):
            said.weight = _weight(value, said.role)
        elif key in ("tool_calls", "function_call"):
            said.calls = [*(said.calls or []), *read_calls(value)]
        elif key == "tool_call_id":
            said.call_id = str(value) or None
        elif isinstance(value, str) and value:
            said.name = value
    if said.calls and said.role != "assistant":
        raise Fault("a tool call by another than the assistant", said.role)


def _weight(value: Any, role: Role) -> float | None:
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise Fault(BAD_WEIGHT, written(value)[:40])
    if role == "assistant":
        return float(value)
    if value:
        raise Fault(FOREIGN_WEIGHT, role)
    return None
