"""What a model is asked is read as the rows that it learned from were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.data.formats.formatted import formatted

from tunesmith.core.conversation import Conversation
from tunesmith.core.errors import DataError
from tunesmith.data.formats.asking import conversation_asked

ASKED: list[dict[str, Any]] = [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Is it"}, {"type": "text", "text": " raining?"}]},
    {"role": "user", "content": "In Oslo."},
    {"role": "assistant", "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Oslo"}}}]},
    {"role": "function", "name": "weather", "content": "rain"},
]


def test_questions_are_read_as_rows_are(tmp_path: Path) -> None:
    row = [*ASKED, {"role": "assistant", "content": "Yes."}]
    _, rows, _ = formatted(tmp_path, {"messages": [row], "tools": [[{"name": "weather"}]]})
    learned = Conversation.read(rows["messages"][0], rows["tools"][0])
    assert conversation_asked(ASKED, [{"name": "weather"}]) == learned.prompt


def test_a_question_alone_needs_no_answer() -> None:
    assert [turn.content for turn in conversation_asked([{"role": "user", "content": "Hi"}]).turns] == ["Hi"]


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([], "no list of messages"),
        ([{"role": "user", "content": ""}], "empty content of a turn: user"),
        ([{"role": "tool", "content": "3"}], "a tool result without a call"),
        ([{"role": "owl", "content": "Hu"}], "unknown role"),
    ],
)
def test_what_cannot_be_read_is_said(messages: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        conversation_asked(messages)
