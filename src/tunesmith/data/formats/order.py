"""Turns in the order that a model can learn from: joined, checked and made a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from tunesmith.core.conversation import Conversation, Turn
from tunesmith.data.formats.draft import (
    EMPTY,
    IN_A_ROW,
    LATE_SYSTEM,
    NO_ANSWER,
    NO_CALL_BEFORE,
    UNLIKE,
    UNTRAINED,
    Call,
    Draft,
    Fault,
    Said,
)

BLANK_LINE = "\n\n"
UNANSWERED = "tool calls without a result"
GOES_ON = "conversations that go on after the assistant's last turn"
OPENS = "conversations that the assistant opens"


def conversation(draft: Draft, repeated: Literal["merge", "refuse"]) -> Conversation:
    """The conversation of a row; what was joined or is odd is noted among its events.

    Raises: Fault with the first thing that makes it none.
    """
    turns = _joined(_without_empty(draft), draft, repeated)
    made = _with_ids(turns, draft.events)
    weights = [turn.weight for turn in made if turn.role == "assistant"]
    if not weights:
        raise Fault(NO_ANSWER)
    if not any(weight is None or weight for weight in weights):
        raise Fault(UNTRAINED)
    if made[-1].role != "assistant":
        draft.events.append(GOES_ON)
    if len(made) > 1 and made[1 if made[0].role == "system" else 0].role == "assistant":
        draft.events.append(OPENS)
    return Conversation(made, draft.tools)


def asked(draft: Draft) -> Conversation:
    """The conversation so far, in the order that rows are brought to; it may end with anybody's turn.

    Raises: Fault with the first thing that makes it none.
    """
    return Conversation(_with_ids(_joined(_without_empty(draft), draft, "merge"), draft.events), draft.tools)


def _without_empty(draft: Draft) -> list[Said]:
    """The turns that say something; a system turn may be empty, which is the same as none."""
    found = []
    for turn in draft.turns:
        # Blank is empty, whether or not contents are repaired.
        if (not turn.content or turn.content.isspace()) and turn.role != "tool" and not turn.calls:
            if turn.role != "system":
                raise Fault(EMPTY + turn.role)
            draft.events.append("empty system turns left out")
            continue
        found.append(turn)
    return found


def _joined(turns: Sequence[Said], draft: Draft, repeated: str) -> list[Said]:
    """The turns with those of one speaker in a row made one.

    Raises: Fault where they are refused, or cannot be joined without changing what is said.
    """
    found: list[Said] = []
    for turn in turns:
        last = found[-1] if found else None
        if turn.role == "system" and last is not None and last.role != "system":
            raise Fault(LATE_SYSTEM)
        # Results of several calls follow each other.
        if last is None or turn.role != last.role or turn.role == "tool":
            found.append(turn)
            continue
        if repeated == "refuse":
            raise Fault(IN_A_ROW + turn.role)
        if turn.weight != last.weight or turn.name != last.name or (last.calls and turn.content):
            raise Fault(UNLIKE + turn.role)
        content = BLANK_LINE.join(part for part in (last.content, turn.content) if part)
        calls = [*(last.calls or []), *(turn.calls or [])]
        found[-1] = Said(turn.role, content, turn.weight, calls or None, name=turn.name)
        draft.events.append(f"{turn.role} turns joined to the one before")
    return found


def _with_ids(turns: Sequence[Said], events: list[str]) -> tuple[Turn, ...]:
    """The turns with every call known by an id and every result by the call it answers.

    Raises: Fault where a result answers no call.
    """
    made: list[Turn] = []
    waiting: list[str] = []
    num_calls = 0
    for turn in turns:
        if turn.role == "tool":
            call_id = turn.call_id if turn.call_id is not None else next(iter(waiting), None)
            if call_id is None or call_id not in waiting:
                raise Fault(NO_CALL_BEFORE, call_id or "")
            waiting.remove(call_id)
            made.append(Turn("tool", turn.content, tool_call_id=call_id, name=turn.name))
            continue
        if waiting:
            events += [UNANSWERED] * len(waiting)
            waiting = []
        calls: tuple[Call, ...] = ()
        if turn.calls:
            calls = tuple(_with_id(call, num_calls + at) for at, call in enumerate(turn.calls))
            num_calls += len(calls)
            waiting = [call["id"] for call in calls]
        made.append(Turn(turn.role, turn.content, turn.weight, calls, None, turn.name))
    events += [UNANSWERED] * len(waiting)
    return tuple(made)


def _with_id(call: Call, number: int) -> dict[str, Any]:
    # Nine letters and digits: the templates of Mistral take no other.
    return {"id": call.get("id") or f"call{number:05d}", "type": "function", "function": call["function"]}
