"""A conversation as its format had it, before its turns are repaired and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tunesmith.core.conversation import Role

Call = Mapping[str, Any]
"""``{id, type: function, function: {name, arguments}}``; an id may be missing still."""

UNKNOWN_ROLE = "unknown role"
NO_MESSAGES = "no list of messages"
NOT_JSON = "messages that are no JSON"
NO_TEXT = "content that is no text"
NO_TOOLS = "tools that are no JSON list of functions"
NO_CALL = "a tool call without a function's name"
BAD_ARGUMENTS = "tool call arguments that are no JSON object"
BAD_WEIGHT = "a weight that is no number from 0 to 1"
FOREIGN_WEIGHT = "a weight on a turn that is not the assistant's"
SURROGATE = "half a surrogate pair"
NO_ANSWER = "no assistant turn"
UNTRAINED = "no assistant turn with a weight above 0"
EMPTY = "empty content of a turn: "
"""Followed by the role."""
LATE_SYSTEM = "a system turn that is not first"
NO_CALL_BEFORE = "a tool result without a call"
IN_A_ROW = "two turns in a row: "
"""Followed by the role."""
UNLIKE = "two turns in a row that cannot be joined: "
"""Followed by the role: they differ in weight or name, or a call comes before its speaker's words."""
NO_CONTENT = "no text"


class Fault(Exception):
    """Why a row is no conversation; ``reason`` is countable, ``seen`` tells the single case."""

    def __init__(self, reason: str, seen: str = "") -> None:
        super().__init__(reason)
        self.reason, self.seen = reason, seen


@dataclass(slots=True)
class Said:
    """One turn as its format had it."""

    role: Role
    content: str
    weight: float | None = None
    calls: list[Call] | None = None
    call_id: str | None = None
    name: str | None = None


@dataclass(slots=True)
class Draft:
    """The turns of one row."""

    turns: list[Said]
    tools: tuple[Mapping[str, Any], ...] = ()
    events: list[str] = field(default_factory=list)
    """What was done to the row that is worth counting."""
