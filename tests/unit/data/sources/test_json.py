"""One JSON document: its shapes, what is refused, what ends the reading, and that its size costs no memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.core.errors import DataError, RecipeError
from tunesmith.core.source import Refused
from tunesmith.data.sources import json_record, json_stream
from tunesmith.data.sources.json import JsonConfig, JsonSource
from tunesmith.data.sources.json_stream import Document


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rows.json"


def source(path: Path, content: Any, **more: Any) -> JsonSource:
    content = content if isinstance(content, str | bytes) else json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return JsonSource(JsonConfig(name="s", path=str(path), **more))


def read(opened: JsonSource) -> tuple[list[dict[str, Any]], list[Refused]]:
    batches = list(opened.read())
    rows = [dict(zip(batch.columns, row, strict=True)) for batch in batches
            for row in zip(*batch.columns.values(), strict=True)]  # fmt: skip
    return rows, [one for batch in batches for one in batch.refused]


def test_values_keep_their_type_and_nested_ones_become_compact_text(file: Path) -> None:
    row = {"text": "é", "n": 3, "x": 1.5, "is": True, "none": None, "tags": ["a", {"b": "ç"}], "who": {"id": 1}}
    expected = row | {"tags": '["a",{"b":"ç"}]', "who": '{"id":1}'}
    assert read(source(file, [row])) == ([expected], [])


def test_ragged_rows_unite_their_keys(file: Path) -> None:
    opened = source(file, [{"a": 1}, {"b": 2}, {"a": 3, "b": None}])
    assert opened.describe().columns == ("a", "b")
    assert read(opened)[0] == [{"a": 1, "b": None}, {"a": None, "b": 2}, {"a": 3, "b": None}]


def test_an_object_of_objects_gives_its_keys_as_a_column(file: Path) -> None:
    opened = source(file, {"u1": {"text": "a"}, "u2": {"text": "b"}})
    assert opened.describe().format == "json (object of objects, utf-8)"
    assert read(opened)[0] == [{"key": "u1", "text": "a"}, {"key": "u2", "text": "b"}]
    named = source(file, {"u1": {"text": "a", "key": 5}}, key_column="uid")
    assert read(named)[0] == [{"uid": "u1", "text": "a", "key": 5}]
    with pytest.raises(RecipeError, match="a key `key` of their own"):
        source(file, {"u1": {"text": "a", "key": 5}}).describe()


def test_records_inside_are_reached_and_the_rest_is_passed_over(file: Path) -> None:
    document = {"a": [[{"x": '}]"\\'}]], "data": {"n": -1.5e3, "items": [{"t": 1}, {"t": 2}], "z": {}}, "end": [1, {}]}
    assert read(source(file, document, records="data.items"))[0] == [{"t": 1}, {"t": 2}]
    with pytest.raises(DataError, match=r"no `data\.item`") as caught:
        source(file, document, records="data.item").describe()
    assert caught.value.next == "did you mean `data.items`?"
    with pytest.raises(DataError, match="not a list of objects") as caught:
        source(file, {"version": "1", "data": [{"t": 1}]}).describe()
    assert caught.value.next == "records: data"


def test_records_that_are_no_rows_are_refused_with_their_reason(file: Path) -> None:
    content = (
        '[{"a": 1}, 5, {"a": NaN}, {"a": 1, "a": 2}, {"a": {"b": 1, "b": 2}}, {"a": 1e999}, {"a": [1e999]}, '
        f'{{"a": {"9" * 5000}}}, {{"a": "\\ud800"}}, null, {{"a": {10**30}}}]'
    )
    rows, refused = read(source(file, content))
    assert [row["a"] for row in rows] == [1, 10**30], "integers of any size are kept"
    assert [(one.position, one.reason) for one in refused] == [
        (2, json_record.NOT_AN_OBJECT), (3, json_record.NOT_A_NUMBER), (4, json_record.REPEATED_KEY),
        (5, json_record.REPEATED_KEY), (6, json_record.TOO_LARGE), (7, json_record.TOO_LARGE),
        (8, json_record.TOO_LARGE), (9, json_record.SURROGATE), (10, json_record.NOT_AN_OBJECT),
    ]  # fmt: skip
    assert refused[0].record == "5" and refused[2].record == '{"a": 1, "a": 2}'


def test_an_id_that_repeats_is_refused_and_not_overwritten(file: Path) -> None:
    rows, refused = read(source(file, '{"u1": {"a": 1}, "u2": {"a": 2}, "u1": {"a": 3}}'))
    assert [row["a"] for row in rows] == [1, 2]
    assert [(one.position, one.reason, one.record) for one in refused] == [(3, "an id that repeats", '"u1": {"a": 3}')]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ('[{"a": 1}, {"a": ', "cut short"),
        ('[{"a": 1}, {"a": "x', "ends in the middle|cut short"),
        ('[{"a": 1}', "cut short"),
        ('[{"a": 1},]', "a comma stands before"),
        ('[{"a": 1} {"a": 2}]', "a comma or"),
        ('[{"a": 1}, {"a" 2}, {"a": 3, "long": "enough to be sure"}]', "delimiter"),
        ('{"a": {"b": 1}, c: {}}', "a key in double quotes"),
        ('{"a": 1}\n{"a": 2}\n', "goes on after its end"),
        ("text,label\na,b\n", "a list or an object is expected"),
        ("[" * 100_000, "nested too deep|cut short"),
        ("[]", "no rows"),
        ("{}", "no rows"),
        ("  \n", "cut short|expected"),
        ("[1, 2, 3]", "not a list of objects"),
        ('{"text": "a", "label": "b"}', "not a list of objects"),
        ('{"text": {"0": "a", "1": "b"}, "label": {"0": "x", "1": "y"}}', "columns of rows"),
        (b"PAR1" + bytes(range(256)), "Parquet"),
        (b"", "empty"),
    ],
)
def test_documents_that_cannot_be_read_say_why_and_where(file: Path, content: str | bytes, what: str) -> None:
    with pytest.raises(DataError, match=what) as caught:
        read(source(file, content))
    assert caught.value.seen and caught.value.next


def test_json_lines_are_named(file: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(source(file, '{"a": {"x": 1}}\n{"a": {"x": 2}}\n'))
    assert "kind: jsonl" in str(caught.value.next) and "line 2" in str(caught.value.seen)


def test_the_line_of_an_error_is_counted_over_chunks(file: Path, tmp_path: Path) -> None:
    rows = ",\n".join(json.dumps({"text": "x" * 100, "n": number}) for number in range(30_000))
    with pytest.raises(DataError) as caught:
        read(source(file, f'[{rows},\n{{"text": oh no, this is no JSON}}]'))
    assert "line 30001" in str(caught.value.seen)


def test_a_long_one_line_document_takes_the_memory_of_one_record() -> None:
    peak = 0

    def chunks() -> Iterator[str]:
        nonlocal peak
        yield "["
        for number in range(20_000):
            peak = max(peak, len(document._buffer))
            yield json.dumps({"text": "y" * 500, "n": number}) + ","
        yield '{"text": "end"}]'

    document = Document(chunks(), Path("rows.json"), source="s")
    assert sum(1 for _ in document.items()) == 20_001
    document.leave(0)
    assert peak < 5_000, "of ten million characters"


def test_a_record_without_end_is_refused_in_bounded_memory(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "RECORD_CHARS", 1_000_000)
    with pytest.raises(DataError, match="longer than 1,000,000 characters"):
        read(source(file, '[{"a": "' + "x" * 5_000_000))


def test_byte_order_marks_utf16_and_cp1252_are_read(file: Path) -> None:
    for codec in ("utf-8-sig", "utf-16", "utf-16-le"):
        assert read(source(file, '[{"a": "é"}]'.encode(codec)))[0] == [{"a": "é"}]
    odd = source(file, '[{"a": "é"}, '.encode() + '{"a": "5 €, ï"}]'.encode("cp1252"))
    assert read(odd)[0] == [{"a": "é"}, {"a": "5 €, ï"}]
    assert odd.describe().notes == (
        "2 bytes are not valid UTF-8, read as cp1252; set `encoding` if letters look wrong",
    )
    with pytest.raises(DataError, match="not valid utf-8"):
        read(source(file, '[{"a": "ï"}]'.encode("cp1252"), encoding="utf-8"))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(
    records=st.lists(st.dictionaries(st.text(max_size=4), values, max_size=4), max_size=12),
    cuts=st.integers(1, 7),
    indent=st.sampled_from([None, 0, 2]),
)
def test_the_stream_reads_what_the_whole_document_says(records: list[Any], cuts: int, indent: int | None) -> None:
    text = json.dumps({"before": records, "rows": records, "after": records}, indent=indent, ensure_ascii=False)
    document = Document((text[at : at + cuts] for at in range(0, len(text), cuts)), Path("rows.json"), source="s")
    assert document.enter("rows") == []
    assert [item.value for item in document.items()] == records
    document.leave(1)


def test_real_documents_keyed_by_id(shared_data: Path) -> None:
    legal = JsonSource(JsonConfig(name="s", path=str(shared_data / "legal_summarization" / "all_v1.json")))
    rows, refused = read(legal)
    assert (len(rows), refused) == (446, []) and {"key", "original_text", "reference_summary"} <= set(rows[0])
    path = shared_data / "pubmedqa" / "ori_pqal.json"
    questions, refused = read(JsonSource(JsonConfig(name="s", path=str(path))))
    whole = json.loads(path.read_bytes())
    assert [row["key"] for row in questions] == list(whole) and not refused
    assert [json.loads(row["CONTEXTS"]) for row in questions] == [one["CONTEXTS"] for one in whole.values()]
