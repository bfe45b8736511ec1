"""JSON lines: objects become rows, everything else is refused with its reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import DataError
from tunesmith.data.sources import json_record, text
from tunesmith.data.sources.jsonl import JsonlConfig, JsonlSource


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rows.jsonl"


def source(path: Path, content: str | bytes, **more: Any) -> JsonlSource:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return JsonlSource(JsonlConfig(name="s", path=str(path), **more))


def test_values_keep_their_type_and_nested_ones_become_text(file: Path) -> None:
    row = {"text": "é", "n": 3, "x": 1.5, "is": True, "none": None, "tags": ["a", {"b": "ç"}], "who": {"id": 1}}
    (batch,) = source(file, json.dumps(row) + "\n").read()
    expected = row | {"tags": '["a",{"b":"ç"}]', "who": '{"id":1}'}
    assert batch.columns == {name: [value] for name, value in expected.items()}


def test_columns_are_the_union_of_keys_in_the_order_first_seen(file: Path) -> None:
    lines = [{"b": 1}, {"a": 2, "b": 3}] + [{"a": 0, "b": 0}] * 12_000 + [{"late": "x", "b": 4}]
    opened = source(file, "\n".join(map(json.dumps, lines)))
    assert opened.describe().columns == ("b", "a")
    first, last = opened.read()
    assert list(first.columns) == ["b", "a"] and first.columns["a"][:3] == [None, 2, 0]
    assert list(last.columns) == ["b", "a", "late"]
    assert {name: cells[-1] for name, cells in last.columns.items()} == {"b": 4, "a": None, "late": "x"}
    assert last.columns["late"][0] is None
    assert opened.describe().columns == ("b", "a", "late"), "what was read is described afterwards"
    mapped = JsonlSource(JsonlConfig(name="s", path=str(file), columns={"text": "late"}))
    assert "late" in mapped.describe().columns, "a mapped key is looked for beyond the head"


def test_bad_lines_are_refused_and_blank_ones_counted(file: Path) -> None:
    bad = ['{"a": 1', "[1, 2]", '"text"', "NaN", '{"a": NaN}', '{"a": "\\ud800"}', "{'a': 1}", "[" * 100_000]
    content = '{"a": 1}\n\n' + "\n".join(bad) + '\n{"a": 2}'
    opened = source(file, content)
    (batch,) = opened.read()
    assert batch.columns == {"a": [1, 2]}
    assert [one.position for one in batch.refused] == list(range(2, 2 + len(bad)))
    assert [one.reason for one in batch.refused] == [
        "invalid JSON", "not a JSON object", "not a JSON object", json_record.NOT_A_NUMBER, json_record.NOT_A_NUMBER,
        "half a surrogate pair", "invalid JSON", "invalid JSON",
    ]  # fmt: skip
    assert batch.refused[0].record == '{"a": 1' and len(batch.refused[-1].record) < 1100
    assert "1 blank lines passed over" in opened.describe().notes


def test_surrogate_pairs_and_line_separators_are_text(file: Path) -> None:
    (batch,) = source(file, '{"a": "\\ud83d\\ude42", "b": "x\u2028y\u0085z"}\r\n').read()
    assert batch.columns == {"a": ["🙂"], "b": ["x\u2028y\u0085z"]} and not batch.refused


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_are_tolerated(file: Path, codec: str) -> None:
    (batch,) = source(file, '{"a": "é"}\n'.encode(codec)).read()
    assert batch.columns == {"a": ["é"]}


def test_long_lines_are_refused_in_bounded_memory(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "LINE_BYTES", 2 * 1024 * 1024)
    long = json.dumps({"a": "x" * (5 * 1024 * 1024)})
    (batch,) = source(file, f'{{"a": 1}}\n{long}\n{{"a": 2}}\n').read()
    assert batch.columns == {"a": [1, 2]}
    assert [(one.position, one.reason) for one in batch.refused] == [(2, "line longer than 2 MB")]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ('[{"a": 1}, {"a": 2}]', "one JSON array"),
        ('[\n  {"a": 1},\n  {"a": 2}\n]\n', "one JSON array"),
        ('{\n  "a": 1\n}\n', "one JSON document over several lines"),
        ("text,label\na,b\n", "no line of the file is a JSON object"),
        ("\n\n", "no line of the file is a JSON object"),
    ],
)
def test_files_that_are_not_json_lines_say_what_they_are(file: Path, content: str, what: str) -> None:
    with pytest.raises(DataError, match=what) as caught:
        source(file, content).describe()
    assert caught.value.allowed and caught.value.next
