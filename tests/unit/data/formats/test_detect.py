"""Formats are seen from names and values; what is none of them is answered with the mapping to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.unit.data.formats.formatted import chat, formatted, turns

from tunesmith.core.errors import DataError, RecipeError
from tunesmith.data.formats.config import FormatConfig, FormatSection
from tunesmith.data.formats.table import FORMATS, PAIRS

SHAREGPT = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
TOOLS = [{"name": "look_up", "parameters": {}}]
SEEN: list[tuple[dict[str, Any], str, dict[str, list[str]]]] = [
    ({"messages": chat("Hi", "Hello")}, "messages", {"messages": ["messages"]}),
    ({"messages": chat("Hi", "Hello"), "tools": TOOLS}, "messages", {"messages": ["messages"], "tools": ["tools"]}),
    # A column of conversations may have any name, where it is the only one.
    ({"id": "1", "log of today": chat("Hi", "Hello")}, "messages", {"messages": ["log of today"]}),
    ({"conversations": chat("Hi", "Hello")}, "messages", {"messages": ["conversations"]}),
    ({"conversations": SHAREGPT, "system": "Be kind."}, "sharegpt",
     {"messages": ["conversations"], "system": ["system"]}),
    ({"Instruction": "Say hi", "Input": "", "Output": "Hi"}, "alpaca",
     {"instruction": ["Instruction"], "output": ["Output"], "input": ["Input"]}),
    ({"instruction": "Say hi", "context": "", "response": "Hi", "text": "Below is"}, "alpaca",
     {"instruction": ["instruction"], "output": ["response"], "input": ["context"]}),
    ({"prompt": "Say hi", "completion": "Hi", "system": "Linux"}, "prompt_completion",
     {"prompt": ["prompt"], "completion": ["completion"]}),
    ({"QUESTION": "Why?", "Long Answer": "So."}, "prompt_completion",
     {"prompt": ["QUESTION"], "completion": ["Long Answer"]}),
    ({"text": "Long text", "summary": "Short"}, "prompt_completion", {"prompt": ["text"], "completion": ["summary"]}),
    ({"text": "Sales rose", "label": "good"}, "prompt_completion", {"prompt": ["text"], "completion": ["label"]}),
    ({"prompt": chat("Hi"), "completion": [{"role": "assistant", "content": "Hello"}]}, "prompt_completion",
     {"prompt": ["prompt"], "completion": ["completion"]}),
    ({"text": "Once upon a time", "author": "B"}, "text", {"text": ["text"]}),
    # A list of tools that is no list is not the tools.
    ({"messages": chat("Hi", "Hello"), "tools": "hammer"}, "messages", {"messages": ["messages"]}),
]  # fmt: skip


@pytest.mark.parametrize(("row", "kind", "mapping"), SEEN, ids=lambda value: value if isinstance(value, str) else "")
def test_formats_are_seen(row: dict[str, Any], kind: str, mapping: dict[str, list[str]], tmp_path: Path) -> None:
    facts, _, _ = formatted(tmp_path, {name: [cell] * 3 for name, cell in row.items()})
    seen = facts["conversations"]
    assert (seen["format"], seen["mapping"], seen["how"]) == (kind, mapping, "detected")
    assert seen["title"] == FORMATS[kind].title


@pytest.mark.parametrize("pair", PAIRS)
def test_every_pair_of_names_is_seen(pair: tuple[str, str], tmp_path: Path) -> None:
    facts, rows, _ = formatted(tmp_path, {pair[1]: ["This."], "id": ["7"], pair[0]: ["What?"]})
    assert facts["conversations"]["mapping"] == {"prompt": [pair[0]], "completion": [pair[1]]}
    assert turns(rows) == [("user", "What?"), ("assistant", "This.")]


def test_some_rows_may_be_broken(tmp_path: Path) -> None:
    cells = ["[{", *[chat("Hi", "Hello")] * 3, None]
    facts, rows, _ = formatted(tmp_path, {"messages": cells})
    assert rows.height == 3
    assert facts["refused"] == {"messages that are no JSON": 1, "no list of messages": 1}


def test_a_column_is_known_by_its_first_values_however_late_they_come(tmp_path: Path) -> None:
    tools: list[Any] = [None] * 400 + [""] * 100 + [TOOLS]
    facts, rows, _ = formatted(tmp_path, {"messages": [chat("Hi", "Hello")] * 501, "tools": tools})
    assert facts["conversations"]["mapping"] == {"messages": ["messages"], "tools": ["tools"]}
    assert facts["conversations"]["with_tools"] == 1 and rows["tools"].null_count() == 500


def test_pretraining_takes_texts_where_a_source_has_answers_too(tmp_path: Path) -> None:
    columns = {"text": ["A long text"], "summary": ["Short"]}
    facts, rows, _ = formatted(tmp_path, columns, method="continued_pretraining")
    assert facts["conversations"]["format"] == "text"
    assert turns(rows) == [("assistant", "A long text")]
    assert rows["text"].to_list() == ["A long text"] and rows["summary"].to_list() == ["Short"]


def test_texts_for_answers_are_pointed_out(tmp_path: Path) -> None:
    facts, _, _ = formatted(tmp_path, {"text": ["A text"]})
    assert facts["notes"][-1].startswith("the rows are texts without questions")


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"prompt": "Hi", "chosen": "Hello", "rejected": "Go"}, "preference pairs",
     "`data: {format: {columns: {prompt: prompt, completion: chosen}}}`"),
    ({"chosen": chat("Hi", "Hello"), "rejected": chat("Hi", "Go")}, "preference pairs", "columns: {messages: chosen}"),
    ({"input": {"messages": []}, "preferred_output": [], "non_preferred_output": []}, "preference pairs in OpenAI's",
     "as `messages`"),
    ({"input": "Hi", "output_1": "Hello", "output_2": "Go", "label": 1}, "two answers with a verdict", "`completion`"),
    ({"prompt": "Hi", "completion": "Hello", "label": True}, "KTO", "keep their rows"),
    ({"message_tree_id": "1", "prompt": {"text": "Hi", "replies": []}}, "trees of replies", "each path"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "what", "way_out"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_known_forms_of_later_versions_are_named_and_refused(
    row: dict[str, Any], what: str, way_out: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=what) as caught:
        formatted(tmp_path, {name: [cell] for name, cell in row.items()})
    assert "not in this version" in caught.value.what
    assert way_out in (caught.value.next or "")


def test_what_is_told_goes_before_a_form_of_later_versions(tmp_path: Path) -> None:
    columns = {"prompt": ["Hi"], "chosen": ["Hello"], "rejected": ["Go"]}
    facts, rows, _ = formatted(tmp_path, columns, columns={"prompt": "prompt", "completion": "chosen"})
    assert turns(rows) == [("user", "Hi"), ("assistant", "Hello")]
    assert rows["rejected"].to_list() == ["Go"] and facts["conversations"]["how"] == "told"


def test_a_prompt_with_a_label_that_is_a_word_is_no_kto(tmp_path: Path) -> None:
    facts, rows, _ = formatted(tmp_path, {"prompt": ["Hi"], "completion": ["Hello"], "label": ["greeting"]})
    assert facts["conversations"]["format"] == "prompt_completion"
    assert rows["source_label"].to_list() == ["greeting"] and "label" not in rows.columns
    assert facts["notes"][-1] == "columns called like those of conversations: `label` → `source_label`"


SUGGESTED: list[tuple[dict[str, Any], str]] = [
    ({"id": "1", "user_question": "Why?", "bot_reply": "So."},
     "columns: {prompt: user_question, completion: bot_reply}"),
    ({"promt": "Why?", "completions": "So."}, "columns: {prompt: promt, completion: completions}"),
    ({"frage": "Warum?", "antwort": "Darum."}, "columns: {prompt: frage, completion: antwort}"),
    ({"instruction": "Say hi", "ouput": "Hi"}, "columns: {prompt: instruction, completion: ouput}"),
    ({"prompt": "Say hi"}, "map the answers beside `prompt`"),
    ({"turns": [{"speaker": "USER", "utterance": "Hi"}, {"speaker": "BOT", "utterance": "Hello"}]},
     "columns: {messages: turns}, keys: {role: speaker, content: utterance}"),
    ({"n": 1, "m": 2}, "write which column is what"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "mapping"), SUGGESTED, ids=lambda value: value if isinstance(value, str) else "")
def test_other_columns_get_the_mapping_to_write(row: dict[str, Any], mapping: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of the known formats") as caught:
        formatted(tmp_path, {name: [cell] * 2 for name, cell in row.items()})
    assert mapping in (caught.value.next or "")
    assert all(name in str(caught.value.seen) for name in row)


def test_a_suggestion_is_what_can_be_written(tmp_path: Path) -> None:
    turn = [{"speaker": "USER", "utterance": "Hi"}, {"speaker": "BOT", "utterance": "Hello"}]
    keys = {"role": "speaker", "content": "utterance"}
    _, rows, _ = formatted(tmp_path, {"turns": [turn]}, keys=keys)
    assert turns(rows) == [("user", "Hi"), ("assistant", "Hello")]


def test_a_kind_that_is_told_asks_for_its_columns(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column for `output` of the format `alpaca`") as caught:
        formatted(tmp_path, {"instruction": ["Say hi"], "ouput": ["Hi"]}, kind="alpaca")
    assert caught.value.next == "write `data: {format: {columns: {instruction: instruction, output: ouput}}}`"


def test_several_columns_of_conversations_are_ambiguous(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="several columns of conversations") as caught:
        formatted(tmp_path, {"one": [chat("Hi", "Hello")], "two": [chat("Hi", "Hello")]})
    assert "{messages: one}" in (caught.value.next or "")


@pytest.mark.parametrize(
    ("config", "what", "way_out"),
    [
        (
            {"columns": {"promt": "q", "completion": "a"}},
            "names `promt`, which no format has",
            "did you mean `prompt`?",
        ),
        ({"columns": {"prompt": "Q", "completion": "a"}}, "has no column `Q`", "did you mean `q`?"),
        ({"kind": "text", "columns": {"prompt": "q"}}, "which the format `text` has not", "on the left"),
        (
            {"columns": {"prompt": "q", "completion": "a"}, "lists": ("b",)},
            "has no column `b`",
            "name one that is there",
        ),
    ],
)
def test_a_wrong_mapping_is_a_mistake_of_the_recipe(
    config: dict[str, Any], what: str, way_out: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=what) as caught:
        formatted(tmp_path, {"q": ["Why?"], "a": ["So."]}, **config)
    assert way_out in (caught.value.next or "")


def test_several_columns_and_lists_of_texts_are_joined(tmp_path: Path) -> None:
    columns = {"contexts": [["One.", "Two."]], "question": ["Why?"], "answer": [3], "year": [2020]}
    told = {"prompt": ("contexts", "question"), "completion": "answer"}
    _, rows, _ = formatted(tmp_path, columns, columns=told, lists=("contexts",))
    assert turns(rows) == [("user", "One.\n\nTwo.\n\nWhy?"), ("assistant", "3")]
    assert rows["year"].to_list() == [2020]


def test_a_list_that_is_not_told_stays_and_is_pointed_out(tmp_path: Path) -> None:
    facts, rows, _ = formatted(tmp_path, {"question": ["Name two."], "answer": [["a", "b"]]})
    assert turns(rows)[1] == ("assistant", '["a", "b"]')
    assert (
        facts["notes"][-1]
        == "`answer` holds lists of texts, taken as they stand: `lists: [answer]` makes them paragraphs"
    )


def test_a_kind_alone_stands_for_the_section() -> None:
    assert FormatSection.model_validate("alpaca") == FormatSection(kind="alpaca")
    with pytest.raises(ValidationError, match="kind"):
        FormatSection.model_validate("alpacca")
    assert FormatConfig(**FormatSection(kind="text").model_dump(), source="a").kind == "text"
