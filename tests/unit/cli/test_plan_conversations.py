"""A plan says what the rows of a source were read as."""

from __future__ import annotations

from pathlib import Path

from tests.unit.data.formats.formatted import chat, formatted

from tunesmith.cli.plan_conversations import read_as


def test_format_mapping_and_what_was_done_are_told(tmp_path: Path) -> None:
    rows = [[*chat("Hi "), *chat("Anyone?", "Yes")], chat("Hi", "Hello"), [{"role": "owl", "content": "Hu"}]]
    facts, _, _ = formatted(tmp_path, {"log": rows})
    assert [line.plain.strip() for line in read_as(facts)] == [
        "read as OpenAI messages: messages = log",
        "turns: 2 user · 2 assistant",
        "repaired: whitespace in 1 row",
        "1 user turns joined to the one before",
        "nobody is known as `owl` (1 row)",
    ]


def test_several_columns_and_what_the_recipe_says(tmp_path: Path) -> None:
    columns = {"prompt": ("a", "b"), "completion": "c"}
    facts, _, _ = formatted(tmp_path, {"a": ["x"], "b": ["y"], "c": ["z"]}, columns=columns)
    assert read_as(facts)[0].plain.strip() == (
        "read as prompt and completion, as the recipe says: prompt = a + b, completion = c"
    )


def test_rows_of_other_tasks_have_none() -> None:
    assert read_as({"source": "crm", "notes": []}) == []
