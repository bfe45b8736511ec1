"""What the test rows ask and answer: rows that ask the same are one prompt with several references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from tunesmith.core import digests
from tunesmith.core.conversation import Conversation
from tunesmith.evaluation.language.config import LanguageMeasures

NOT_READ = "the model was given no such row, so it is not measured"
NO_ANSWER, ONLY_CALLS, ASKS_NOTHING = (
    "no turn of an assistant: nothing to measure",
    "the answer is only a call of a tool: scored, not written",
    "the row asks nothing: scored, not written",
)


@dataclass(frozen=True)
class Prompt:
    """One question of the test rows."""

    key: str
    """A hash of it."""
    asked: Conversation
    """What comes before the answer."""
    rows: tuple[int, ...]
    """Places of the test rows that ask it."""
    references: tuple[str, ...]
    """Their answers in words, each once; none where nothing can be written."""


@dataclass(frozen=True)
class TestPrompts:
    """The prompts that are measured; those that are answered in writing come first."""

    conversations: tuple[Conversation, ...]
    """Of every test row."""
    prompts: tuple[Prompt, ...]
    num_written: int
    """How many of them are answered in writing."""
    num_prompts: int
    """How many there are in all."""
    num_answerable: int
    """How many of all could be answered in writing."""
    notes: dict[str, int]
    """Why rows are not measured, or only scored → rows."""


def test_prompts(test: pl.DataFrame, config: LanguageMeasures, unread: Mapping[str, str] | None = None) -> TestPrompts:
    """The prompts of the test rows, as many as are measured, drawn by a hash of each: other runs draw the same.

    ``unread``: row id → why the model cannot read that row.
    """
    conversations = read_conversations(test)
    rows: dict[str, list[int]] = {}
    notes: dict[str, int] = {}
    for place, (row_id, conversation) in enumerate(zip(test["row_id"], conversations, strict=True)):
        reason = (unread or {}).get(str(row_id))
        why = _why_not_written(conversation) if reason is None else f"{NOT_READ}: {reason}"
        if why:
            notes[why] = notes.get(why, 0) + 1
        if why != NO_ANSWER and reason is None:
            rows.setdefault(_key(conversation, str(row_id)), []).append(place)
    found = [_prompt(key, places, conversations) for key, places in sorted(rows.items())]
    answerable = [one for one in found if one.references]
    written = answerable[: config.generation.prompts]
    rest = [*answerable[len(written) :], *(one for one in found if not one.references)]
    rest.sort(key=lambda one: one.key)
    measured = (*written, *rest[: max(0, config.scored_prompts - len(written))])
    return TestPrompts(tuple(conversations), measured, len(written), len(found), len(answerable), notes)


def read_conversations(rows: pl.DataFrame) -> list[Conversation]:
    """The conversation of each row."""
    tools: Sequence[str | None] = rows["tools"].to_list() if "tools" in rows.columns else [None] * rows.height
    return [Conversation.read(messages, tool) for messages, tool in zip(rows["messages"], tools, strict=True)]


def only_last(conversation: Conversation) -> Conversation:
    """The conversation with the last answer alone to be scored."""
    turns = conversation.turns
    last = max((at for at, turn in enumerate(turns) if turn.role == "assistant"), default=0)
    changed = (
        replace(turn, weight=0.0) if turn.role == "assistant" and at < last else turn for at, turn in enumerate(turns)
    )
    return Conversation(tuple(changed), conversation.tools)


def in_words(conversation: Conversation) -> str:
    """The turns as people read them; a single turn as it is."""
    turns = conversation.turns
    if len(turns) == 1 and not turns[0].tool_calls:
        return turns[0].content
    lines = []
    for turn in turns:
        calls = [f"{call['function']['name']}({call['function']['arguments']})" for call in turn.tool_calls]
        lines.append(f"{turn.role}: " + "\n".join(part for part in (turn.content, *calls) if part))
    return "\n\n".join(lines)


def _prompt(key: str, places: Sequence[int], conversations: Sequence[Conversation]) -> Prompt:
    asking = [conversations[place] for place in places]
    answers = [one.answer for one in asking if _why_not_written(one) is None]
    return Prompt(key, asking[0].prompt, tuple(places), tuple(dict.fromkeys(answers)))


def _why_not_written(conversation: Conversation) -> str | None:
    """Why no answer of it can be written and compared; None where one can."""
    if not any(turn.role == "assistant" for turn in conversation.turns):
        return NO_ANSWER
    if not conversation.prompt.turns:
        return ASKS_NOTHING
    return None if conversation.answer.strip() else ONLY_CALLS


def _key(conversation: Conversation, row_id: str) -> str:
    """The hash of what is asked; a row that asks nothing is known by its own id."""
    prompt = conversation.prompt
    asked = [prompt.messages_json(), prompt.tools_json()] if prompt.turns else [row_id]
    return digests.of_value(asked)
