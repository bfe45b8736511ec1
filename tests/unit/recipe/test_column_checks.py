"""Columns that preparation makes and names, checked before a row is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import RecipeError
from tunesmith.recipe.load import dump, load, validate
from tunesmith.recipe.yaml12 import read

SOURCE = {
    "kind": "csv",
    "path": "t.csv",
    "columns": {"title": "t", "body": "b", "label": "l", "customer": "c", "at": "d"},
}
TABLE = {"kind": "csv", "path": "c.csv", "columns": {"customer": "id", "tier": "tier"}}
TEXT = {"text": "concat(title, '. ', body)"}


def recipe(**data: Any) -> dict[str, Any]:
    return {"task": "classify", "data": {"sources": [SOURCE], "derive": TEXT, **data}}


def test_all_of_it_together() -> None:
    made = load(
        recipe(
            joins=[{"table": TABLE, "on": "customer"}],
            normalise={"at": {"kind": "date", "earliest": "2020-01-01"}, "tier": {"kind": "category"}},
            derive={**TEXT, "month": "month(at)", "late": "month > 6 and tier == 'gold'"},
            language={"keep": ["en"]},
            rules=[{"column": "late", "not_missing": True}],
            split={"by_time": "at", "group_by": "language"},
        )
    )
    assert made.for_prepare().joins[0].table == "table-1"
    # Relative paths count from the recipe, for joined tables too.
    assert made.data.joins[0].table.path == str(Path.cwd() / "c.csv")
    assert validate(read(dump(made), "recipe"), "recipe") == made


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"derive": {"text": "concat(title, bdy)"}}, ["data.derive.text", "column `bdy`", "did you mean `body`?"]),
        ({"derive": {"late": "len(text)", **TEXT}}, ["data.derive.late", "column `text`"]),
        ({"derive": {"text": "concat(title,"}}, ["the expression cannot be read", "was never closed"]),
        ({"derive": {"text": "cnocat(title)"}}, ["function `cnocat`", "did you mean `concat`?"]),
        ({"normalise": {"att": {"kind": "date"}}}, ["data.normalise.att", "column `att`"]),
        ({"normalise": {"at": {"kind": "dat"}}}, ["data.normalise.at", "date"]),
        ({"normalise": {"at": {"kind": "unit", "to": "USD"}}}, ["currency"]),
        ({"joins": [{"table": TABLE, "on": "client"}]}, ["has no key `client`"]),
        (
            {"joins": [{"table": {**TABLE, "columns": {"client": "id", "tier": "t"}}, "on": "client"}]},
            ["column `client`"],
        ),
        ({"joins": [{"table": {**TABLE, "name": "csv-1"}, "on": "customer"}]}, ["called `csv-1` too"]),
        ({"split": {"by_time": "when"}}, ["no source gives a column `when`"]),
        ({"split": {"by_time": "at", "stratify_by": "label"}}, ["cannot be kept"]),
        ({"language": {"keep": ["english"]}}, ["no language code"]),
        ({"noise": {"letters": 2}}, ["data.noise.letters"]),
        ({"derive": {}}, ["none of them is the text"]),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(data: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        load(recipe(**data))
    for word in words:
        assert word in str(caught.value)
