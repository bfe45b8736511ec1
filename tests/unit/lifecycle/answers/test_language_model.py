"""Language models answer prompts, messages and files: what is asked reaches the engine as training rows read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from tunesmith.core.conversation import Conversation, Turn
from tunesmith.core.engine import Answer, GenerationOptions, Request
from tunesmith.core.errors import DataError, RecipeError
from tunesmith.data.formats.config import FormatConfig
from tunesmith.lifecycle.language_model import LanguageModel, conversation_of
from tunesmith.lifecycle.predict_file import predict_file
from tunesmith.lifecycle.session import Session
from tunesmith.models.language_manifest import LanguageManifest


class Letters:
    """A text letter by letter."""

    num_truncated_tokens = 0
    finish: Literal["stop"] = "stop"

    def __init__(self, text: str) -> None:
        self.text, self.num_tokens = text, len(text)

    def __iter__(self) -> Iterator[str]:
        return iter(self.text)


class Echo:
    """Says the last turn back in capitals, up to the tokens (letters) it may have; refuses turns with `never`."""

    capabilities = frozenset({"generate"})
    notes = ()

    def __init__(self) -> None:
        self.asked: list[Conversation] = []

    def submit(self, request: Request) -> list[Answer]:
        """The answers, backwards: any order is allowed."""
        self.asked += request.conversations
        most = (request.options or GenerationOptions()).max_new_tokens
        found = []
        for place, one in enumerate(request.conversations):
            text = one.turns[-1].content.upper()
            finish: Any = "length" if len(text) > most else "stop"
            found.append(Answer(place, (), len(text[:most]), max(0, len(text) - 50), text=text[:most], finish=finish))
        return found[::-1]

    def stream(self, conversation: Conversation, options: GenerationOptions | None = None) -> Letters:
        """Letter by letter."""
        return Letters(conversation.turns[-1].content.upper())

    def refusals(self, conversations: Sequence[Conversation]) -> list[str | None]:
        """The reason where the last turn has `never`."""
        return ["it says never" if "never" in one.turns[-1].content else None for one in conversations]

    def close(self) -> None:
        """Nothing to free."""


@pytest.fixture
def model() -> LanguageModel:
    """A model whose training rows were repaired."""
    manifest = LanguageManifest.model_validate(
        {
            "task": "chat",
            "base": {"name": "echo", "digest": "0" * 64},
            "trainable": "full",
            "template": {"name": "chatml", "digest": "0" * 64},
            "tokenizer": "0" * 64,
            "num_vocabulary": 10,
            "length": {"max_tokens": 50, "policy": "drop"},
            "repair": {"unicode": True, "whitespace": True},
        }
    )
    return LanguageModel("echo@1", manifest, Echo())


def test_prompts_messages_and_conversations_are_answered_in_their_order(model: LanguageModel) -> None:
    messages = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "two"}]
    tools = [{"type": "function", "function": {"name": "f"}}]
    asked = ["one", messages, {"messages": messages, "tools": tools}, Conversation((Turn("user", "three"),))]
    found = model.generate(asked, max_new_tokens=4)
    assert [(one.text, one.finish) for one in found] == [
        ("ONE", "stop"),
        ("TWO", "stop"),
        ("TWO", "stop"),
        ("THRE", "length"),
    ]
    engine: Any = model._engine
    assert [len(one.turns) for one in engine.asked] == [1, 2, 2, 1]
    assert engine.asked[2].tools == tuple(tools)
    assert "".join(model.stream("one")) == "ONE"
    with pytest.raises(RecipeError, match="list of prompts"):
        model.generate("one")


def test_turns_are_read_as_training_rows_were(model: LanguageModel) -> None:
    """Trimmed and repaired, with line ends and indentation kept: as conversations are, not as texts for heads."""
    [one] = model.as_learned(
        [Conversation((Turn("system", "\n  a\r\n  b  \n"), Turn("user", " It\u00e2\u20ac\u2122s  fine ")))]
    )
    assert [turn.content for turn in one.turns] == ["  a\n  b", "It’s  fine"]
    assert [turn.role for turn in one.turns] == ["system", "user"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([], "no list of messages"),
        ({"tools": []}, "no list of messages"),
        ([["user", "x"]], "message 1 is no object"),
        ([{"role": "user", "content": "x"}, {"role": "boss", "content": "y"}], "message 2 has no role"),
        ([{"role": "user", "content": ["x"]}], "content of message 1 is no text"),
    ],
)
def test_what_is_no_conversation_is_named(wrong: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        conversation_of(wrong)


def test_calls_of_tools_may_have_no_content() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    found = conversation_of(
        [{"role": "user", "content": "x"}, {"role": "assistant", "content": None, "tool_calls": [call]}]
    )
    assert found.turns[1] == Turn("assistant", "", tool_calls=(call,))


def test_a_file_gets_an_answer_beside_each_row(session: Session, model: LanguageModel, tmp_path: Path) -> None:
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text('id,prompt,note\n1,hello,a\n2,,b\n3,"=sum(1)",c\n')
    told = predict_file(session, model, path, out)
    assert out.read_text() == "id,prompt,note,answer\n1,hello,a,HELLO\n2,,b,\n3,=sum(1),c,'=SUM(1)\n"
    assert (told.text_column, told.why_text_column, told.added_columns) == ("prompt", "by its name", ["answer"])
    assert told.rows == {"read": 3, "predicted": 2, "empty": 1, "refused": 0}


def test_messages_of_a_file_are_asked_without_their_last_answer(
    session: Session, model: LanguageModel, tmp_path: Path
) -> None:
    path, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    turns = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    rows: list[dict[str, Any]] = [
        {"messages": turns, "text": "not this"},
        {"messages": json.dumps([*turns, {"role": "user", "content": "three"}])},
        {"messages": "just a prompt"},
        {"messages": [{"role": "boss", "content": "x"}]},
        {"messages": [{"role": "user", "content": "never"}]},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = predict_file(session, model, path, out)
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [one["answer"] for one in found] == ["ONE", "THREE", "JUST A PROMPT", None, None]
    assert "no role" in found[3]["tunesmith_error"] and found[4]["tunesmith_error"] == "it says never"
    assert told.rows == {"read": 5, "predicted": 3, "empty": 0, "refused": 2}
    assert [{key: one[key] for key in row} for one, row in zip(found, rows, strict=True)] == rows


def test_cut_prompts_and_answers_are_counted(session: Session, model: LanguageModel, tmp_path: Path) -> None:
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text("text\n" + "x" * 60 + "\nshort\nabcdefgh\n")
    told = predict_file(session, model, path, out, options=GenerationOptions(6))
    assert (told.truncated_rows, told.num_truncated_tokens, told.num_cut_answers) == (1, 10, 2)


def test_more_rows_than_are_answered_together(session: Session, model: LanguageModel, tmp_path: Path) -> None:
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text("text\n" + "".join(f"row {row}\n" for row in range(150)))
    told = predict_file(session, model, path, out)
    assert out.read_text().splitlines()[1:] == [f"row {row},ROW {row}" for row in range(150)]
    assert told.rows["predicted"] == 150


def test_a_column_is_asked_for_by_name(session: Session, model: LanguageModel, tmp_path: Path) -> None:
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text("mr,prompt\nthis,that\n")
    assert predict_file(session, model, path, out, trained_on=["mr"]).text_column == "mr"
    assert predict_file(session, model, path, out, text_column="prompt", trained_on=["mr"]).text_column == "prompt"
    with pytest.raises(RecipeError, match="no column"):
        predict_file(session, model, path, out, text_column="promt")


CALLS = [
    {"from": "human", "value": "is it raining"},
    {"from": "function_call", "value": '{"name": "weather", "arguments": {}}'},
    {"from": "observation", "value": "rain"},
]
SHAREGPT: list[dict[str, Any]] = [
    {"id": 1, "conversations": [*CALLS, {"from": "gpt", "value": "yes"}], "system": "be brief"},
    {"id": 2, "conversations": [{"from": "human", "value": "one"}, {"from": "human", "value": "two"}]},
    {"id": 3, "conversations": [{"from": "wizard", "value": "x"}]},
    {"id": 4, "conversations": "a prompt"},
    {"id": 5, "conversations": None},
    {"id": 6, "conversations": [{"from": "gpt", "value": "only an answer"}]},
]
ALPACA: list[dict[str, Any]] = [
    {"instruction": "say", "input": "one", "output": "uno"},
    {"instruction": "tell", "input": "", "output": None},
    {"instruction": None, "input": None, "output": "x"},
]


@pytest.mark.parametrize(
    ("rows", "columns", "answers", "errors"),
    [
        (
            SHAREGPT,
            "conversations",
            ["RAIN", "ONE\n\nTWO", None, "A PROMPT", None, None],
            {2: "unknown role: wizard"},
        ),
        (ALPACA, "instruction, input", ["SAY\n\nONE", "TELL", None], {}),
        ([{key: row[key] for key in ("instruction", "input")} for row in ALPACA], "instruction, input",
         ["SAY\n\nONE", "TELL", None], {}),
        ([{"mr": "one", "ref": "uno"}, {"mr": "two", "ref": None}], "mr", ["ONE", "TWO"], {}),
        ([{"id": 1, "question": "one", "more words here": "x"}], "question", ["ONE"], {}),
        ([{"prompt": [{"role": "user", "content": "a"}], "completion": [{"role": "assistant", "content": "b"}]}],
         "prompt", ["A"], {}),
        ([{"prompt": "one", "chosen": "a", "rejected": "b"}], "prompt", ["ONE"], {}),
    ],
)  # fmt: skip
def test_every_form_that_is_learned_from_is_asked_too(
    rows: Any, columns: str, answers: Any, errors: Any, session: Session, model: LanguageModel, tmp_path: Path
) -> None:
    path, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = predict_file(session, model, path, out)
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [one["answer"] for one in found] == answers
    assert {place: one["tunesmith_error"] for place, one in enumerate(found) if one.get("tunesmith_error")} == errors
    assert told.text_column == columns
    assert told.rows["read"] == len(rows) == told.rows["predicted"] + told.rows["empty"] + told.rows["refused"]
    assert [{key: one[key] for key in row} for one, row in zip(found, rows, strict=True)] == rows


def test_rows_are_asked_as_they_were_learned(session: Session, model: LanguageModel, tmp_path: Path) -> None:
    """Several columns joined, speakers with names of their own; the answers' column lacks."""
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text("context,what\nsky,colour\n,nothing\n")
    told = FormatConfig(columns={"prompt": ("context", "what"), "completion": "said"})
    assert predict_file(session, model, path, out, learned_as=told).text_column == "context, what"
    assert out.read_text() == 'context,what,answer\nsky,colour,"SKY\n\nCOLOUR"\n,nothing,NOTHING\n'
    turns = [{"speaker": "VISITOR", "utterance": "hi"}, {"speaker": "AGENT", "utterance": "hello"}]
    (tmp_path / "in.jsonl").write_text(json.dumps({"talk": turns}) + "\n")
    keys = FormatConfig.model_validate(
        {"keys": {"role": "speaker", "content": "utterance"}, "roles": {"VISITOR": "user", "AGENT": "assistant"}}
    )
    predict_file(session, model, tmp_path / "in.jsonl", tmp_path / "out.jsonl", learned_as=keys)
    assert json.loads((tmp_path / "out.jsonl").read_text())["answer"] == "HI"
