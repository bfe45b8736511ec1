"""Expressions: right values, clear refusals, and nothing that could run as code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.errors import RecipeError
from tunesmith.data import changes as changes_of
from tunesmith.data.changes import Changes
from tunesmith.data.derive import derived
from tunesmith.data.expressions.functions import FUNCTIONS
from tunesmith.data.expressions.parse import columns_of, translated

ROWS = pl.DataFrame(
    {
        "row_id": ["1", "2", "3"],
        "source_id": ["s"] * 3,
        "title": ["Card Lost", None, "  "],
        "body": ["please help, order 17", "Where is it?", None],
        "n": [3, 4, None],
        "x": [1.5, -2.0, 0.0],
        "paid": [True, False, None],
        "when": ["2024-03-01", "2024-02-29T23:30:00", "soon"],
        "amount": ["12.5", "x", None],
        "order id": ["a", "b", "c"],
    }
)


def values(source: str) -> list[Any]:
    value = translated(source, ROWS.schema)
    return ROWS.select(value.expr.alias("made"), "row_id")["made"].to_list()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("concat(title, '. ', body)", ["Card Lost. please help, order 17", ". Where is it?", "  . "]),
        ("join(' | ', title, body)", ["Card Lost | please help, order 17", "Where is it?", None]),
        ("lower(title)", ["card lost", None, "  "]),
        ("upper(slice(body, 0, 3))", ["PLE", "WHE", None]),
        ("len(body)", [21, 12, None]),
        ("word_count(body)", [4, 3, None]),
        ("extract(body, 'order (\\\\d+)')", ["17", None, None]),
        ("replace(title, 'Card', 'Key')", ["Key Lost", None, "  "]),
        ("replace_pattern(body, '\\\\d+', '#')", ["please help, order #", "Where is it?", None]),
        ("contains(body, 'order')", [True, False, None]),
        ("matches(body, '^W')", [False, True, None]),
        ("starts_with(body, 'W') or ends_with(body, '17')", [True, True, None]),
        ("n + 1", [4, 5, None]),
        ("n / 2", [1.5, 2.0, None]),
        ("n // 2", [1, 2, None]),
        ("n % 2", [1, 0, None]),
        ("1 / x", [1 / 1.5, -0.5, None]),
        ("-n * 2 - 1", [-7, -9, None]),
        ("n > 3 and not paid", [False, True, None]),
        ("1 < n < 4", [True, False, None]),
        ("'big' if n > 3 else 'small'", ["small", "big", "small"]),
        ("n in [3, 5]", [True, False, None]),
        ("body not in ['a', 'Where is it?']", [True, False, None]),
        ("coalesce(title, body)", ["Card Lost", "Where is it?", "  "]),
        ("is_missing(title)", [False, True, True]),
        ("number(amount)", [12.5, None, None]),
        ("text(n)", ["3", "4", None]),
        ("concat(n, '/', x)", ["3/1.5", "4/-2", "/0"]),
        ("round(x)", [2.0, -2.0, 0.0]),
        ("max(n, x)", [3.0, 4.0, 0.0]),
        ("sqrt(x)", [1.5**0.5, None, 0.0]),
        ("year(when) * 100 + month(when)", [202403, 202402, None]),
        ("weekday(when)", [5, 4, None]),
        ("hour(when)", [0, 23, None]),
        ("days_between(when, '2024-03-02')", [1, 1, None]),
        ("col('order id') == 'b'", [False, True, False]),
        ("null if n == 3 else body", [None, "Where is it?", None]),
    ],
)
def test_values(source: str, expected: list[Any]) -> None:
    assert values(source) == expected


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("titel", ["column `titel`", "did you mean `title`?"]),
        ("hello_there_world", ["column `hello_there_world`", "quotation marks"]),
        ("lowr(title)", ["function `lowr`", "did you mean `lower`?"]),
        ("title + body", ["`+` adds numbers", "concat"]),
        ("title * 2", ["`title` is a text", "number("]),
        ("title > 3", ["a text cannot be compared with a number"]),
        ("n and paid", ["`n` is a number", "truth"]),
        ("1 if paid else 'a'", ["cannot be a number in some rows and a text"]),
        ("title == null", ["nothing equals a missing value", "is_missing"]),
        ("len(title, body)", ["is given 2 values", "len(text)"]),
        ("title in 'abc'", ["looks into a list"]),
        ("n in ['a']", ["needs values that are a number"]),
        ("matches(title, body)", ["must be a text in quotation marks"]),
        ("matches(title, '(?=x)')", ["not a usable regular expression"]),
        ("extract(title, 'a', 3)", ["no group 3"]),
        ("slice(title, n, 2)", ["must be a whole number"]),
        ("concat(title", ["cannot be read"]),
        ("title.upper()", ["function `title.upper`"]),
        ("n ** 9", ["cannot hold"]),
        ("[x for x in title]", ["cannot hold"]),
        ("lambda: 1", ["cannot hold"]),
        ("f'{title}'", ["cannot hold"]),
        ("title[0]", ["cannot hold"]),
        ("(n := 3)", ["cannot hold"]),
        ("__import__('os').system('x')", ["function `__import__('os').system`"]),
        ("__import__('os')", ["function `__import__`"]),
        ("open('/etc/passwd')", ["function `open`"]),
        ("len(title=1)", ["in order, without names"]),
        ("b'x'", ["cannot hold"]),
        ("99999999999999999999", ["cannot hold"]),
        ("1 if n > 1 else " * 30 + "2", ["too large"]),
        ("-" * 1500 + "n", ["expression"]),
        ("(" * 900 + "n" + ")" * 900, ["cannot be read"]),
        ("+".join(["n"] * 900), ["too large"]),
        ("n" * 3000, ["too long"]),
        ("", ["cannot be read"]),
    ],
)
def test_refusals(source: str, words: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        translated(source, ROWS.schema)
    for word in words:
        assert word in str(caught.value)


def test_columns_of_an_expression() -> None:
    source = "concat(title, lower(body)) if col('order id') == 'x' else null"
    assert set(columns_of(source)) == {"title", "body", "order id"}


def test_every_function_says_its_form() -> None:
    for name, function in FUNCTIONS.items():
        assert function.form.startswith(f"{name}(") and 1 <= function.least <= function.most


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_an_expression_or_a_clear_error(source: str) -> None:
    try:
        value = translated(source, ROWS.schema)
    except RecipeError as error:
        assert error.what
    else:
        assert ROWS.select(value.expr.alias("made"), "row_id").height == 3


def test_derived_columns_follow_each_other_and_can_be_undone(tmp_path: Path) -> None:
    changes = Changes(tmp_path)
    made = derived(ROWS, {"text": "concat(n)", "twice": "number(text) * 2", "body": "upper(body)"}, changes)
    assert made["text"].to_list() == ["3", "4", ""]
    assert made["twice"].to_list() == [6.0, 8.0, None]
    counts = {(one["column"], one["outcome"]): one["rows"] for one in changes.facts()}
    assert counts == {
        ("text", "made"): 3, ("twice", "made"): 2, ("twice", "missing"): 1,
        ("body", "changed"): 2, ("body", "missing"): 1,
    }  # fmt: skip
    assert changes_of.undone(made, tmp_path)["body"].to_list() == ROWS["body"].to_list()


def test_an_error_names_the_derived_column(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"derive: \{big: \.\.\}.*`titel`"):
        derived(ROWS, {"big": "titel"}, Changes(tmp_path))
    with pytest.raises(RecipeError, match="cannot make a column called `row_id`"):
        derived(ROWS, {"row_id": "title"}, Changes(tmp_path))
