"""Conversations as plain text: for people, and for whatever compares or searches texts."""

from __future__ import annotations

from tunesmith.core.conversation import Conversation, Turn


def readable(conversation: Conversation) -> str:
    """Every turn in a paragraph of its own, begun by who speaks; a single turn as it is."""
    turns = conversation.turns
    if len(turns) == 1 and not turns[0].tool_calls:
        return turns[0].content
    return "\n\n".join(map(_paragraph, turns))


def _paragraph(turn: Turn) -> str:
    calls = [f"{call['function']['name']}({call['function']['arguments']})" for call in turn.tool_calls]
    return f"{turn.role}: " + "\n".join([turn.content, *calls] if turn.content or not calls else calls)
