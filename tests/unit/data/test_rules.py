"""Rules say in words what they check, count what they saw, and quarantine what breaks them."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from tunesmith.core.errors import RecipeError
from tunesmith.data.prepare_config import PrepareConfig, Rule, SplitConfig, When
from tunesmith.data.rules import quarantine
from tunesmith.data.sift import Sifted


def sift(**columns: list[Any]) -> Sifted:
    size = len(next(iter(columns.values())))
    lineage = {"row_id": [f"r{i}" for i in range(size)], "source_id": ["s"] * size, "subject": [None] * size}
    frame = pl.DataFrame(
        {**lineage, "parents": [[]] * size, "text": ["t"] * size, "label": ["l"] * size, **columns},
        schema_overrides={"subject": pl.String, "parents": pl.List(pl.String)},
    )
    return Sifted(frame, [name for name in frame.columns if name not in (*lineage, "parents")])


@pytest.mark.parametrize(
    ("rule", "values", "broken"),
    [
        ({"min_chars": 3}, ["ab", "abc", "äöü", None, ""], [0]),
        ({"max_chars": 2}, ["ab", "abc", None], [1]),
        ({"pattern": r"^\d{5}$"}, ["12345", "1234", "x12345", None], [1, 2]),
        ({"one_of": ["yes", "no"]}, ["yes", "Yes", None, "no"], [1]),
        ({"not_missing": True}, ["x", None, "  "], [1, 2]),
        ({"minimum": 0, "maximum": 10}, ["0", "10", "-1", "11", "1e1", "ten", "nan", None], [2, 3, 5, 6]),
        ({"unique": True}, ["a", "b", "a", None, None, "a"], [2, 5]),
        ({"equals_column": "other"}, ["a", "b", None, "o"], [0, 1]),
        ({"differs_from": "other"}, ["a", "o", None], [1]),
    ],
)
def test_a_rule_finds_the_rows_that_break_it(rule: dict[str, Any], values: list[str], broken: list[int]) -> None:
    sifted = sift(x=values, other=["o"] * len(values))
    validity = quarantine(sifted, [Rule(column="x", **rule)])
    assert [entry["broken"] for entry in validity] == [len(broken)]
    assert validity[0]["checked"] == len(values)
    assert sifted.quarantined()["row_id"].to_list() == [f"r{i}" for i in broken]
    assert sifted.kept.height == len(values) - len(broken)


def test_numbers_are_compared_as_numbers() -> None:
    sifted = sift(x=[1.5, 2.5, None])
    quarantine(sifted, [Rule(column="x", maximum=2)])
    assert sifted.quarantined()["row_id"].to_list() == ["r1"]


def test_when_limits_a_rule_to_some_rows() -> None:
    sifted = sift(x=["a", "a", "a", None], kind=["big", "small", "big", "big"])
    rule = Rule(column="x", unique=True, not_missing=True, when=When(column="kind", one_of=("big",)))
    assert quarantine(sifted, [rule])[0] | {"rule": ""} == {"rule": "", "checked": 3, "broken": 2}
    assert sifted.quarantined()["row_id"].to_list() == ["r2", "r3"]


def test_every_rule_sees_every_row_and_the_reason_names_all_it_broke() -> None:
    sifted = sift(x=["a", "ab"], y=["1", "2"])
    rules = [Rule(column="x", min_chars=2, name="long enough"), Rule(column="y", one_of=("2",))]
    assert [(entry["checked"], entry["broken"]) for entry in quarantine(sifted, rules)] == [(2, 1), (2, 1)]
    out = sifted.quarantined()
    assert out["reason"].to_list() == ["rule long enough: `x` needs at least 2 characters; rule: `y` must be 2"]
    assert out["_why"].to_list() == ["rule long enough: `x` needs at least 2 characters"]
    assert out["record"].to_list() == ['{"text":"t","label":"l","x":"a","y":"1"}']


def test_a_long_record_is_cut_and_says_so() -> None:
    sifted = sift(x=["ä" * 5000])
    quarantine(sifted, [Rule(column="x", max_chars=10)])
    record = sifted.quarantined()["record"][0]
    assert len(record) == 2000
    assert record.endswith("ä…")


def test_an_unknown_column_is_refused_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean `city`"):
        quarantine(sift(city=["a"]), [Rule(column="citty", min_chars=1)])


@pytest.mark.parametrize("pattern", ["(", "(?=a)", r"(a)\1", "a" * 1001, "x{1000000}"])
def test_a_pattern_that_cannot_run_is_refused_in_the_recipe(pattern: str) -> None:
    with pytest.raises(ValidationError, match=r"pattern"):
        Rule(column="x", pattern=pattern)


def test_a_pattern_cannot_backtrack() -> None:
    # In a backtracking engine this takes longer than the age of the universe.
    sifted = sift(x=["a" * 50_000 + "!"])
    quarantine(sifted, [Rule(column="x", pattern="^(a+)+$")])
    assert sifted.kept.is_empty()


def test_rules_that_check_nothing_or_allow_nothing_are_refused() -> None:
    for wrong in ({}, {"min_chars": 3, "max_chars": 2}, {"minimum": 2, "maximum": 1}, {"equals_column": "x"}):
        with pytest.raises(ValidationError):
            Rule(column="x", **wrong)


def test_shares_that_prove_or_train_nothing_are_refused() -> None:
    with pytest.raises(ValidationError, match="nothing can be proven: give a share above 0"):
        SplitConfig(test=0)
    with pytest.raises(ValidationError, match="leave no rows to train on"):
        SplitConfig(test=0.5, validation=0.5)
    with pytest.raises(ValidationError, match="leave it out"):
        PrepareConfig(task="regress", split=SplitConfig(stratify_by="label"))
    assert SplitConfig(validation=0).validation == 0
