"""A conversation: what language models are trained on and answer, whatever form its source had.

As text it is OpenAI's form: ``messages``, a JSON list of turns, and ``tools``, a JSON list of what may be called. A
prompt with its completion is a conversation of two turns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class Turn:
    """One message."""

    role: Role
    content: str
    weight: float | None = None
    """How much an assistant's turn counts in training; null: what the recipe says of turns."""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    """What an assistant calls: ``{id, type: function, function: {name, arguments}}``, arguments as a JSON text."""
    tool_call_id: str | None = None
    """The call that a tool's turn answers."""
    name: str | None = None
    """Who speaks, where several do; the tool of a tool's turn."""

    def to_message(self) -> dict[str, Any]:
        """The turn in OpenAI's form, without what it has not."""
        found: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.tool_calls:
            found["tool_calls"] = [dict(call) for call in self.tool_calls]
        more = {"weight": self.weight, "tool_call_id": self.tool_call_id, "name": self.name}
        return found | {key: value for key, value in more.items() if value is not None}


@dataclass(frozen=True)
class Conversation:
    """Turns in their order, and the tools that may be called."""

    turns: tuple[Turn, ...]
    tools: tuple[Mapping[str, Any], ...] = ()

    @property
    def prompt(self) -> Conversation:
        """The conversation before its last turn of an assistant, which is what a model is asked."""
        last = max((at for at, turn in enumerate(self.turns) if turn.role == "assistant"), default=len(self.turns))
        return Conversation(self.turns[:last], self.tools)

    @property
    def answer(self) -> str:
        """The content of the last turn of an assistant; empty where there is none."""
        return next((turn.content for turn in reversed(self.turns) if turn.role == "assistant"), "")

    def messages_json(self) -> str:
        """The turns as a JSON text, always the same for the same turns."""
        return json.dumps([turn.to_message() for turn in self.turns], ensure_ascii=False, separators=(",", ":"))

    def tools_json(self) -> str | None:
        """The tools as a JSON text; None where there are none."""
        if not self.tools:
            return None
        return json.dumps([dict(tool) for tool in self.tools], ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def read(cls, messages: str, tools: str | None = None) -> Conversation:
        """The conversation of two JSON texts that this class wrote."""
        return cls(tuple(map(_turn, json.loads(messages))), tuple(json.loads(tools)) if tools else ())


def _turn(message: Mapping[str, Any]) -> Turn:
    calls: Sequence[Mapping[str, Any]] = message.get("tool_calls") or ()
    more = {key: message.get(key) for key in ("weight", "tool_call_id", "name")}
    return Turn(message["role"], message["content"], tool_calls=tuple(calls), **more)
