"""Rows become conversations or are refused with a countable reason; nothing changes uncounted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.data.context import FakeContext
from tests.unit.data.formats.formatted import chat, formatted, made, turns

from tunesmith.core.conversation import Conversation
from tunesmith.core.errors import DataError, Interrupted
from tunesmith.core.source import Batch, Refused
from tunesmith.data import dataset
from tunesmith.data.dataset import LINEAGE
from tunesmith.data.formats import stage
from tunesmith.data.formats.config import FormatConfig

CALL = {"id": "a", "type": "function", "function": {"name": "add", "arguments": '{"x": 1}'}}
FINE = chat("Hi", "Hello")


def said(role: str, content: Any = None, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def calls(*listed: Any, content: Any = None) -> dict[str, Any]:
    return said("assistant", content, tool_calls=list(listed))


def call(arguments: Any, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "add", "arguments": arguments}, **more}


FAULTS: list[tuple[str, Any]] = [
    ("unknown role", [said("narrator", "Once"), *FINE]),
    ("unknown role", [{"content": "Hi", "role": None}, *FINE]),
    ("no list of messages", []),
    ("no list of messages", ["Hi", *FINE]),
    ("no list of messages", {"role": "user"}),
    ("messages that are no JSON", '[{"role": "user", "content": NaN}]'),
    ("messages that are no JSON", "[" * 100_000),
    ("half a surrogate pair", '[{"role": "user", "content": "\\ud83d"}, {"role": "assistant", "content": "b"}]'),
    ("empty content of a turn: assistant", chat("Hi", "")),
    ("empty content of a turn: assistant", chat("Hi", " \n\t")),
    ("empty content of a turn: user", [said("user"), said("assistant", "Hello")]),
    ("content that is no text", [said("user", [{"type": "image_url", "image_url": {}}]), FINE[1]]),
    ("content that is no text", [said("user", {"a": 1}), FINE[1]]),
    ("content that is no text", [said("user", 7), FINE[1]]),
    ("no assistant turn", [said("system", "Be kind."), said("user", "Hi")]),
    ("no assistant turn with a weight above 0", [FINE[0], {**FINE[1], "weight": 0}]),
    ("a system turn that is not first", [*FINE, said("system", "Be kind."), *FINE]),
    ("a tool result without a call", [FINE[0], said("tool", "3"), FINE[1]]),
    ("a tool result without a call", [FINE[0], calls(CALL), said("tool", "3", tool_call_id="b"), FINE[1]]),
    ("a tool result without a call", [FINE[0], calls(CALL), said("tool", "3"), said("tool", "4"), FINE[1]]),
    ("a tool result without a call", [FINE[0], calls(CALL), *chat("Well?", "Hm"), said("tool", "3")]),
    ("tool call arguments that are no JSON object", [FINE[0], calls(call("{'x': 1}"))]),
    ("tool call arguments that are no JSON object", [FINE[0], calls(call("[1]"))]),
    ("tool call arguments that are no JSON object", [FINE[0], calls(call('{"x": NaN}'))]),
    ("tool call arguments that are no JSON object", [FINE[0], calls(call(7))]),
    ("a tool call without a function's name", [FINE[0], calls({"id": "a"})]),
    ("a tool call without a function's name", [FINE[0], calls("add")]),
    ("a tool call by another than the assistant", [{**FINE[0], "tool_calls": [CALL]}, FINE[1]]),
    ("a weight that is no number from 0 to 1", [FINE[0], {**FINE[1], "weight": 1.5}]),
    ("a weight that is no number from 0 to 1", [FINE[0], {**FINE[1], "weight": -1}]),
    ("a weight that is no number from 0 to 1", [FINE[0], {**FINE[1], "weight": "1"}]),
    ("a weight on a turn that is not the assistant's", [{**FINE[0], "weight": 1}, FINE[1]]),
    ("two turns in a row that cannot be joined: assistant", [FINE[0], {**FINE[1], "weight": 0}, FINE[1]]),
    ("two turns in a row that cannot be joined: user",
     [said("user", "Hi", name="Ann"), said("user", "Ho", name="Bob"), FINE[1]]),
    ("two turns in a row that cannot be joined: assistant", [FINE[0], calls(CALL), FINE[1]]),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "messages"), FAULTS, ids=[f"{at}-{one[0]}" for at, one in enumerate(FAULTS)])
def test_what_is_no_conversation_is_refused_with_its_reason(reason: str, messages: Any, tmp_path: Path) -> None:
    facts, rows, refused = formatted(tmp_path, {"messages": [FINE, messages, FINE], "topic": ["a", "b", "c"]})
    assert facts["refused"] == facts["conversations"]["refused"] == {reason: 1}
    assert rows["row_id"].to_list() == ["row-0", "row-2"] and rows["topic"].to_list() == ["a", "c"]
    assert refused["reason"].to_list() == [reason] and refused["position"].to_list() == [2]
    assert json.dumps({"row_id": "row-1"})[1:-1].replace(" ", "") in refused["record"][0]


def test_a_system_turn_that_is_not_first_is_so_wherever_it_stands(tmp_path: Path) -> None:
    rows = [[FINE[0], said("system", "Be kind."), FINE[1]], FINE]
    facts, _, _ = formatted(tmp_path, {"messages": rows})
    assert facts["refused"] == {"a system turn that is not first": 1}


def test_turns_of_one_speaker_are_joined_and_counted(tmp_path: Path) -> None:
    messages = [
        said("system", "Be kind."), said("developer", "Be brief."),
        said("user", "Hi"), said("user", "Anyone?"), said("user", "!"),
        said("assistant", "Let me see."), calls(CALL), calls({**CALL, "id": "b"}),
        said("tool", "1", tool_call_id="b"), said("tool", "", tool_call_id="a"),
        said("assistant", "Two."), said("assistant", "And one."),
    ]  # fmt: skip
    facts, rows, _ = formatted(tmp_path, {"messages": [messages]})
    read = Conversation.read(rows["messages"][0])
    assert turns(rows) == [
        ("system", "Be kind.\n\nBe brief."), ("user", "Hi\n\nAnyone?\n\n!"), ("assistant", "Let me see."),
        ("tool", "1"), ("tool", ""), ("assistant", "Two.\n\nAnd one."),
    ]  # fmt: skip
    assert [one["id"] for one in read.turns[2].tool_calls] == ["a", "b"]
    assert [turn.tool_call_id for turn in read.turns[3:5]] == ["b", "a"]
    assert facts["conversations"]["changed"] == {
        "assistant turns joined to the one before": 3,
        "system turns joined to the one before": 1,
        "user turns joined to the one before": 2,
    }
    assert facts["conversations"]["turns"] == {"system": 1, "user": 1, "assistant": 2, "tool": 2}
    assert facts["conversations"]["tool_calls"] == 2


def test_turns_of_one_speaker_are_refused_where_the_recipe_says_so(tmp_path: Path) -> None:
    twice = [said("user", "Hi"), said("user", "Anyone?"), FINE[1]]
    facts, _, _ = formatted(tmp_path, {"messages": [twice, [*FINE, FINE[1]], FINE]}, repeated_turns="refuse")
    assert facts["refused"] == {"two turns in a row: assistant": 1, "two turns in a row: user": 1}


def test_what_is_odd_stays_and_is_counted(tmp_path: Path) -> None:
    rows = [
        [said("system", ""), said("assistant", "Welcome!"), *FINE, said("user", "Bye")],
        [FINE[0], calls(CALL, {**CALL, "id": "b"}), said("tool", "1", tool_call_id="b"), said("assistant", "One.")],
        [FINE[0], {**FINE[1], "reasoning_content": "They greet.", "refusal": None, "annotations": []}],
    ]
    facts, table, _ = formatted(tmp_path, {"messages": rows})
    assert facts["conversations"]["changed"] == {
        "conversations that go on after the assistant's last turn": 1,
        "conversations that the assistant opens": 1,
        "empty system turns left out": 1,
        "key `reasoning_content` of a turn left out": 1,
        "tool calls without a result": 1,
    }
    assert turns(table)[0] == ("assistant", "Welcome!")


def test_what_was_done_to_a_refused_row_is_not_counted(tmp_path: Path) -> None:
    facts, _, _ = formatted(tmp_path, {"messages": [[said("user", "a"), said("user", "b")], FINE]})
    assert facts["conversations"]["changed"] == {}
    assert facts["conversations"]["turns"] == {"user": 1, "assistant": 1}


def test_calls_and_results_without_ids_find_each_other(tmp_path: Path) -> None:
    conversations = [
        {"from": "human", "value": "Add and double"},
        {"from": "function_call", "value": '{"name": "add", "arguments": {"x": 1, "y": [2]}}'},
        {"from": "observation", "value": "3"},
        {"from": "function_call", "value": '[{"name": "double", "arguments": "{}"}, {"name": "half"}]'},
        {"from": "observation", "value": "6"},
        {"from": "observation", "value": "1.5"},
        {"from": "gpt", "value": "6 and 1.5"},
    ]
    tools = [{"name": "add", "parameters": {"type": "object"}}]
    facts, rows, _ = formatted(tmp_path, {"conversations": [conversations], "tools": [tools]})
    read = Conversation.read(rows["messages"][0], rows["tools"][0])
    assert [turn.role for turn in read.turns] == ["user", "assistant", "tool", "assistant", "tool", "tool", "assistant"]
    assert [[one["id"] for one in turn.tool_calls] for turn in read.turns if turn.tool_calls] == [
        ["call00000"], ["call00001", "call00002"],
    ]  # fmt: skip
    assert [turn.tool_call_id for turn in read.turns if turn.role == "tool"] == ["call00000", "call00001", "call00002"]
    assert [one["function"] for turn in read.turns for one in turn.tool_calls] == [
        {"name": "add", "arguments": '{"x":1,"y":[2]}'},
        {"name": "double", "arguments": "{}"},
        {"name": "half", "arguments": "{}"},
    ]
    assert read.tools == ({"type": "function", "function": tools[0]},)
    assert facts["conversations"]["with_tools"] == 1
    assert rows["text"][0].split("\n\n")[:3] == [
        "user: Add and double", 'assistant: add({"x":1,"y":[2]})', "tool: 3",
    ]  # fmt: skip


def test_calls_may_stand_without_a_content(tmp_path: Path) -> None:
    messages = [FINE[0], {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "a"}]
    _, rows, _ = formatted(tmp_path, {"messages": [messages]})
    read = Conversation.read(rows["messages"][0])
    assert read.turns[1].tool_calls == (CALL,) and read.turns[2].tool_call_id == "a"


def test_older_forms_of_openai_are_read(tmp_path: Path) -> None:
    messages = [
        said("user", [{"type": "text", "text": "Add "}, {"type": "text", "text": "it."}]),
        said("assistant", function_call={"name": "add", "arguments": ""}),
        said("function", "3", name="add"),
        said("assistant", "3"),
    ]
    _, rows, _ = formatted(tmp_path, {"messages": [messages], "functions": [[{"name": "add"}]]})
    read = Conversation.read(rows["messages"][0], rows["tools"][0])
    assert read.turns[0].content == "Add it."
    assert read.turns[1].tool_calls[0]["function"] == {"name": "add", "arguments": "{}"}
    assert (read.turns[2].role, read.turns[2].name) == ("tool", "add")
    assert read.tools[0]["function"]["name"] == "add"


@pytest.mark.parametrize("tools", ['"add"', "{}", '[{"type": "function"}]', "[1]", "[{"])
def test_tools_that_are_none_are_refused(tools: str, tmp_path: Path) -> None:
    listed = [[{"name": "add"}]] * 2
    facts, _, _ = formatted(tmp_path, {"messages": [FINE] * 3, "tools": [*listed, tools]})
    assert facts["refused"] == {"tools that are no JSON list of functions": 1}


@pytest.mark.parametrize("tools", [None, "", "[]", "null"])
def test_no_tools_are_no_fault(tools: str | None, tmp_path: Path) -> None:
    _, rows, _ = formatted(tmp_path, {"messages": [FINE] * 3, "tools": [[{"name": "add"}], [{"name": "b"}], tools]})
    assert rows["tools"].is_null().to_list() == [False, False, True]


def test_weights_stay_with_their_turns(tmp_path: Path) -> None:
    messages = [
        *chat("Hi", "Hello", weight=0),
        FINE[0],
        {**FINE[1], "weight": 0.5},
        FINE[0],
        {**FINE[1], "train": True},
    ]
    facts, rows, _ = formatted(tmp_path, {"messages": [messages, FINE]})
    assert [turn.weight for turn in Conversation.read(rows["messages"][0]).turns] == [None, 0.0, None, 0.5, None, 1.0]
    assert facts["conversations"]["with_weights"] == 1


def test_only_the_completion_of_messages_is_learned(tmp_path: Path) -> None:
    prompt, completion = [*FINE, said("user", "And?")], [said("assistant", "So.")]
    _, rows, _ = formatted(tmp_path, {"prompt": [prompt], "completion": [completion]})
    assert [turn.weight for turn in Conversation.read(rows["messages"][0]).turns] == [None, 0.0, None, None]


def test_alpaca_puts_what_was_said_before_the_instruction(tmp_path: Path) -> None:
    columns = {
        "instruction": ["Translate", "", "Say hi", "Translate", "x"],
        "input": ["hello", "only this", " ", None, "y"],
        "output": ["bonjour", "yes", "hi", "salut", "z"],
        "system": ["You are a translator.", None, "", None, None],
        "history": [[["Hi", "Hello"]], None, "[]", "", [["only a question"]]],
    }
    facts, rows, _ = formatted(tmp_path, columns)
    assert turns(rows, 0) == [
        ("system", "You are a translator."), ("user", "Hi"), ("assistant", "Hello"),
        ("user", "Translate\n\nhello"), ("assistant", "bonjour"),
    ]  # fmt: skip
    assert [turns(rows, row)[0][1] for row in (1, 2, 3)] == ["only this", "Say hi", "Translate"]
    assert facts["refused"] == {"a history that is no list of questions with answers": 1}


def test_contents_are_repaired_and_counted_by_row(tmp_path: Path) -> None:
    code = "\n\n    def f():\n        return  1\n\n"
    messages = [*chat("caf\u00c3\u00a9 &amp; bar\u200b  ", code), *chat("plain", "text ")]
    facts, rows, _ = formatted(tmp_path, {"messages": [messages, FINE]})
    assert turns(rows) == [
        ("user", "caf\u00e9 & bar"), ("assistant", "    def f():\n        return  1"), ("user", "plain"),
        ("assistant", "text"),
    ]  # fmt: skip
    assert facts["conversations"]["repaired"] == {"unicode": 1, "whitespace": 1}
    assert facts["repair"] == {"unicode": True, "whitespace": True}
    assert all(content in rows["text"][0] for _, content in turns(rows))


def test_a_long_system_turn_is_shown_in_short_and_told_apart(tmp_path: Path) -> None:
    systems = ["You answer as short as you can.", "You answer as short as you should.", "You answer."]
    rows = [[said("system", one), *FINE] for one in systems]
    _, table, _ = formatted(tmp_path, {"messages": rows})
    assert [Conversation.read(one).turns[0].content for one in table["messages"]] == systems
    first, second, third = (text.split("\n\n")[0] for text in table["text"])
    assert first.startswith("system: You answer as short as you … [") and third == "system: You answer."
    assert first != second and second.startswith(first[:-9])


def test_contents_stay_as_they_are_where_nothing_is_to_be_repaired(tmp_path: Path) -> None:
    messages = chat("caf\u00c3\u00a9 ", "\n b")
    facts, rows, _ = formatted(tmp_path, {"messages": [messages]}, unicode=False, whitespace=False)
    assert turns(rows) == [("user", "caf\u00c3\u00a9 "), ("assistant", "\n b")]
    assert facts["conversations"]["repaired"] == {}


def test_arguments_and_tools_are_not_touched_by_repairs(tmp_path: Path) -> None:
    arguments = '{"q": "a &amp;  b"}'
    messages = [FINE[0], calls(call(arguments, id="a"))]
    _, rows, _ = formatted(tmp_path, {"messages": [messages], "tools": [[{"name": "add", "description": "x  &amp; "}]]})
    read = Conversation.read(rows["messages"][0], rows["tools"][0])
    assert read.turns[1].tool_calls[0]["function"]["arguments"] == arguments
    assert read.tools[0]["function"]["description"] == "x  &amp; "


def test_lineage_other_columns_and_what_was_refused_before_are_kept(tmp_path: Path) -> None:
    before = [Refused("invalid JSON", "{", 1), Refused("invalid JSON", "[", 3)]
    columns = {"prompt": ["a", "", "c"], "completion": ["d", "e", "f"], "stars": [1, 2, 3], "tools": ["x", "y", None]}
    facts, rows, refused = formatted(tmp_path, columns, before)
    assert facts["refused"] == {"empty content of a turn: user": 1, "invalid JSON": 2} and facts["rows_read"] == 5
    # The rows of the source are its records 2, 4 and 5.
    assert refused["position"].to_list() == [1, 3, 4]
    assert rows.columns == [*LINEAGE, "text", "messages", "tools", "stars", "source_tools"]
    assert facts["columns"] == ["text", "messages", "tools", "stars", "source_tools"]
    assert rows["parents"].to_list() == [["parent-0"], ["parent-2"]]
    assert rows["subject"].to_list() == ["person-0", "person-2"]
    assert rows["stars"].to_list() == [1, 3] and rows["tools"].to_list() == [None, None]
    assert facts["notes"] == ["as it was", "columns called like those of conversations: `tools` → `source_tools`"]


def test_nothing_left_says_why_and_what_to_do(tmp_path: Path) -> None:
    rows = [[said("Narrator", "Once"), said("assistant", "upon")]] * 3
    with pytest.raises(DataError, match="no row of source `chats`, read as OpenAI messages") as caught:
        formatted(tmp_path, {"messages": rows})
    assert caught.value.seen == "unknown role: 3"
    assert "roles: {Narrator: user}" in (caught.value.next or "")
    _, table, _ = formatted(tmp_path / "told", {"messages": rows}, roles={"Narrator": "user"})
    assert turns(table) == [("user", "Once"), ("assistant", "upon")]


def test_a_source_of_refused_records_only_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no record of source `chats` could be read as a row") as caught:
        formatted(tmp_path, {"messages": []}, [Refused("invalid JSON", "{", 1)])
    assert caught.value.seen == "invalid JSON: 1"


def test_many_slices_are_as_one_and_bytes_repeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {"prompt": [f"q{at}" if at % 5 else "" for at in range(30)], "completion": ["a"] * 30}
    whole = formatted(tmp_path / "whole", columns)
    monkeypatch.setattr(stage, "SLICE_ROWS", 7)
    parts = formatted(tmp_path / "parts", columns)
    again = formatted(tmp_path / "again", columns)
    assert whole[0] == parts[0] and whole[1].equals(parts[1]) and whole[2].equals(parts[2])
    files = [
        {one.name: one.read_bytes() for one in (tmp_path / name / "out/dataset").iterdir()}
        for name in ("parts", "again")
    ]
    assert files[0] == files[1] and parts[0] == again[0]


def test_shards_are_read_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "SHARD_BYTES", 1)
    batches = [
        Batch({**{name: [f"{name}-{at}"] for name in LINEAGE[:3]}, "parents": [[]], "text": [f"text {at}"]})
        for at in range(5)
    ]
    manifest = dataset.write_dataset(tmp_path / "given", batches)
    assert len(manifest.shards) == 5
    given = made(tmp_path / "other", {"text": ["a"]})
    facts = {**given.facts, "rows": 5, "rows_read": 5}
    given = replace(given, path=tmp_path / "given", facts=facts)
    context = FakeContext(tmp_path)
    done = stage.Format(FormatConfig(source="chats")).run({"dataset": given}, context)["dataset"]
    rows = dataset.scan(context.artifact("dataset", "dataset", done)).collect()
    assert rows["text"].to_list() == [f"text {at}" for at in range(5)]
    assert [told[:2] for told in context.told] == [(at, 5) for at in range(5)]


def test_a_cancelled_step_ends(tmp_path: Path) -> None:
    context = FakeContext(tmp_path, cancel=Interrupted("stop"))
    given = made(tmp_path / "given", {"text": ["a"]})
    with pytest.raises(Interrupted):
        stage.Format(FormatConfig(source="chats")).run({"dataset": given}, context)


def test_other_forms_among_refused_rows_are_named(tmp_path: Path) -> None:
    talk = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "n/a"}]
    facts, _, _ = formatted(
        tmp_path,
        {
            "messages": [talk, talk, None, None],
            "question": [None, None, "x", None],
            "answer": [None, None, "y", None],
            "conversations": [None, None, None, [{"from": "human", "value": "h"}, {"from": "gpt", "value": "g"}]],
        },
    )
    assert facts["conversations"]["refused"] == {"no list of messages": 2}
    assert facts["conversations"]["changed"] == {"turns that read like a missing value": 2}
    assert facts["notes"][-1].startswith(
        "read as OpenAI messages; rows that were refused hold ShareGPT (conversations) and prompt and completion "
        "(question, answer): a source has one form"
    )
