"""What cannot be said together, and what this version does not have: refused with the cause and the way out."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tunesmith.core import wiring
from tunesmith.core.errors import RecipeError
from tunesmith.recipe.load import load
from tunesmith.recipe.recipe import Recipe

COLUMNS = {"text": "body", "label": "intent", "subject": "customer"}


def recipe(task: str = "classify", **more: Any) -> dict[str, Any]:
    source = {"kind": "csv", "path": "rows.csv", "columns": COLUMNS}
    return {"task": task, "data": {"sources": [source], **more.pop("data", {})}, **more}


def refusal(data: dict[str, Any]) -> str:
    with pytest.raises(RecipeError) as caught:
        load(data)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_the_recipe_these_tests_break_is_right() -> None:
    assert load(recipe()).task == "classify"
    assert load(recipe("regress")).task == "regress"


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (
            recipe("regress", train={"method": {"class_weights": "balanced"}}),
            ["there is no key `train.method.class_weights`", "belongs to the kind `classify`"],
        ),
        (
            recipe("regress", train={"method": {"kind": "classify", "class_weights": "balanced"}}),
            ["`classify` does not answer the task `regress`", "leave `train.method` out"],
        ),
        (
            recipe(data={"split": {"validation": 0}}, train={"early_stopping": {}}),
            ["there are none", "data.split.validation: 0", "validation: 0.1"],
        ),
        (recipe(train={"early_stopping": {"metric": "f1_makro"}}), ["f1_makro", "did you mean `f1_macro`?"]),
        (recipe("regress", train={"early_stopping": {"metric": "accuracy"}}), ["accuracy", "pearson"]),
        (recipe(gate={"f1_marco": {"at_least": 0.8}}), ["f1_marco", "did you mean `f1_macro`?"]),
        (recipe("regress", gate={"f1_macro": {"at_least": 0.8}}), ["f1_macro", "pearson"]),
        (recipe(gate={"accuracy": {"better_than": ["tfid"]}}), ["`tfid`, which is not run", "did you mean `tfidf`?"]),
        (recipe(gate={"accuracy": {}}), ["asks for nothing"]),
        (recipe(evaluate={"baselines": ["majorty"]}), ["there is no baseline `majorty`", "did you mean `majority`?"]),
        (recipe("regress", evaluate={"baselines": ["majority"]}), ["`majority` does not regress", "base_ridge"]),
        (recipe(evaluate={"baselines": ["tfidf", "tfidf"]}), ["`tfidf` stands twice"]),
        (
            recipe(data={"split": {"group_by": "custmer"}}),
            ["no source gives a column `custmer`", "text, label, subject"],
        ),
        (recipe(data={"rules": [{"column": "txt", "min_chars": 1}]}), ["column `txt`", "did you mean `text`?"]),
        (recipe("regress", data={"split": {"stratify_by": "label"}}), ["`stratify_by: label` needs names"]),
        (recipe(data={"split": {"validation": 0.5, "test": 0.5}}), ["no rows to train on"]),
        (recipe("clasify"), ["there is no task `clasify`", "did you mean `classify`?"]),
        (recipe(model=["auto", "b"]), ["`auto` stands alone", "write `model: auto`"]),
        (recipe(model=["a", "a"]), ["a model is named twice", "name each once"]),
        (recipe(train=[{"epochs": 1}, {"epochs": 2}]), ["phase 1 of 2 is a head's", "continued_pretraining"]),
        (recipe(tune={"trails": 20}), ["there is no key `tune.trails`", "did you mean `trials`?"]),
        (recipe(track={}), ["(`track`) is not in this version"]),
        (
            recipe(data={"privacy": {"on_pi": "redact"}}),
            ["there is no key `data.privacy.on_pi`", "did you mean `on_pii`?"],
        ),
        (recipe(evaluate={"robustnes": True}), ["there is no key `evaluate.robustnes`", "did you mean `robustness`?"]),
        (recipe(train={"trainable": "ia3"}), ["there is no trainable of kind `ia3`", "full, head"]),
        (recipe("regress", train={"mixup": {}}), ["`train.mixup` mixes classes", "task: classify"]),
        (recipe("regress", train={"rdrop": {}}), ["`train.rdrop` compares", "leave `train.rdrop` out"]),
        (recipe(train={"mixup": {}, "rdrop": {}}), ["are not done together", "train.mixup"]),
        (
            recipe(train={"trainable": "lora", "penalty": {"l2": 0.1, "on": "all", "towards": "base"}}),
            ["no pre-trained weight moves", "train.penalty"],
        ),
        (recipe(train={"optimizer": {"lr": "auto"}, "head_lr": 0.1}), ["finds the head's rate", "train.head_lr"]),
        (recipe(train={"penalty": {}}), ["needs `l1` or `l2` above 0"]),
        (recipe(train={"penalty": {"l1": 0.1, "towards": "base"}}), ["the head is new"]),
        (recipe(name="Nicht so"), ["`name` does not fit", "Nicht so"]),
    ],
)
def test_what_cannot_be_is_refused_with_cause_and_way_out(data: dict[str, Any], parts: list[str]) -> None:
    text = refusal(data)
    for part in parts:
        assert part in text


def source(**fields: Any) -> dict[str, Any]:
    return {"kind": "csv", "path": "rows.csv", **fields}


@pytest.mark.parametrize(
    ("sources", "parts"),
    [
        ([source(name="a"), source(name="a")], ["two sources are called `a`"]),
        ([source(name="csv-2"), source()], ["two sources are called `csv-2`"]),
        ([source(columns={"text": "body"})], ["none of them is the label", "add `label:"]),
        ([], ["`data.sources` does not fit", "at least one"]),
        ([{"path": "rows.csv"}], ["does not say of which `kind`", "csv, jsonl, json, parquet"]),
        ([source(kind="excel")], ["there is no source of kind `excel`"]),
        ([source(pth="x")], ["there is no key `data.sources[0].pth`", "did you mean `path`?"]),
        ([{"kind": "csv"}], ["`data.sources[0].path` is missing"]),
    ],
)
def test_sources_that_cannot_be(sources: list[Any], parts: list[str]) -> None:
    text = refusal({"task": "classify", "data": {"sources": sources}})
    for part in parts:
        assert part in text


def test_a_password_is_refused_and_not_shown() -> None:
    text = refusal(
        {
            "task": "classify",
            "data": {"sources": [{"kind": "sql", "url": "postgresql://me:hunter2@db/x", "table": "t"}]},
        }
    )
    assert "${env:" in text
    assert "hunter2" not in text


def test_early_stopping_accepts_validation_rows_that_a_source_gives() -> None:
    data = recipe(data={"split": {"validation": 0}}, train={"early_stopping": {}})
    data["data"]["sources"].append({"kind": "jsonl", "path": "v.jsonl", "split": "validation"})
    assert load(data).train.early_stopping is not None


def test_columns_are_unknown_where_a_source_gives_all_it_has() -> None:
    data = {"task": "classify", "data": {"sources": [source()], "split": {"group_by": "customer"}}}
    assert load(data).data.split.group_by == "customer"


def test_a_recipe_made_in_python_is_checked_too() -> None:
    with pytest.raises(ValidationError, match="`tfidf` stands twice"):
        Recipe.model_validate(recipe(evaluate={"baselines": ["tfidf", "tfidf"]}))


class Coin:
    """A baseline from outside."""

    tasks = ("classify",)


def test_a_baseline_that_was_added_says_itself_what_it_answers() -> None:
    with wiring.added(wiring.Wire("baseline", "coin", f"{__name__}:Coin", doc="Heads or tails")):
        assert load(recipe(evaluate={"baselines": ["coin"]})).baselines == ("coin",)
        assert "`coin` does not regress" in refusal(recipe("regress", evaluate={"baselines": ["coin"]}))
