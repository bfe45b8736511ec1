"""Conversations as plain text: for people, and for whatever compares or searches texts."""

from __future__ import annotations

import hashlib

from tunesmith.core.conversation import Conversation, Turn

SYSTEM_WORDS = 6
"""A system turn is shown with its first words and a digest of all: one that many rows share, and that is longer than
what is said, would else make them all near duplicates."""


def readable(conversation: Conversation) -> str:
    """Every turn in a paragraph of its own, begun by who speaks; a single turn as it is."""
    turns = conversation.turns
    if len(turns) == 1 and not turns[0].tool_calls:
        return turns[0].content
    return "\n\n".join(map(_paragraph, turns))


def _paragraph(turn: Turn) -> str:
    content = turn.content
    if turn.role == "system":
        content = _in_short(content)
    if not turn.tool_calls:
        return f"{turn.role}: {content}"
    calls = [f"{call['function']['name']}({call['function']['arguments']})" for call in turn.tool_calls]
    return f"{turn.role}: " + "\n".join([content, *calls] if content else calls)


def _in_short(content: str) -> str:
    words = content.split(maxsplit=SYSTEM_WORDS)
    if len(words) <= SYSTEM_WORDS:
        return content
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    return f"{' '.join(words[:SYSTEM_WORDS])} … [{digest}]"
