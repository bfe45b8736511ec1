"""docs/expressions.md: every function is there, in the words of its errors, and every example gives what is written."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from tunesmith.data.expressions.functions import FUNCTIONS
from tunesmith.data.expressions.parse import syntax, translated

PAGE = (Path(__file__).parents[4] / "docs" / "expressions.md").read_text(encoding="utf-8")
LINES = re.findall(r"^\| `(.+?)`(: .+?)? \| `(.+?)` \| `(.+?)` \|$", PAGE, re.MULTILINE)
ROW = pl.DataFrame(
    {
        "title": ["Card Lost"],
        "body": ["please help, order 17"],
        "empty": [None],
        "n": [3],
        "x": [-1.5],
        "amount": ["12.5"],
        "when": ["2024-03-01T09:30:00"],
        "order id": ["a"],
    },
    schema_overrides={"empty": pl.String},
)


def made(source: str) -> object:
    return ROW.select(translated(source, ROW.schema).expr.alias("made"), "n")["made"].item()


def test_every_function_is_on_the_page_as_its_errors_name_it() -> None:
    assert {form + what for form, what, _, _ in LINES} == {one.form for one in FUNCTIONS.values()}
    assert len(LINES) == len(FUNCTIONS)


@pytest.mark.parametrize(("form", "source", "gives"), [(form, source, gives) for form, _, source, gives in LINES])
def test_examples_give_what_is_written(form: str, source: str, gives: str) -> None:
    assert form.partition("(")[0] + "(" in source
    expected = made(gives)
    assert made(source) == expected and type(made(source)) is type(expected)


def test_the_recipe_of_the_page_is_readable() -> None:
    sources = re.findall(r'^    \w+: "(.+)"$', PAGE, re.MULTILINE)
    assert len(sources) == 2 and all(syntax(source) for source in sources)
