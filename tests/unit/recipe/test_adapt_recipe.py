"""Recipes whose head starts from an encoder that read on: what the list of phases means, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import RecipeError
from tunesmith.recipe.load import dump, load
from tunesmith.recipe.recipe import Recipe

LABELLED = {"kind": "csv", "name": "few", "path": "few.csv", "columns": {"text": "body", "label": "intent"}}
TEXTS = {"kind": "csv", "name": "log", "path": "log.csv", "columns": {"text": "body"}}
READ_ON = {"method": "continued_pretraining"}


def recipe(train: Any, *sources: dict[str, Any], task: str = "classify", **data: Any) -> dict[str, Any]:
    return {"task": task, "data": {"sources": list(sources or (LABELLED, TEXTS)), **data}, "train": train}


def opened(given: dict[str, Any]) -> Recipe:
    found = load(given)
    assert isinstance(found, Recipe)
    return found


def test_the_phases_before_the_last_read_texts_and_the_last_is_the_heads() -> None:
    phases = [READ_ON | {"sources": ["few", "log"], "max_tokens": 64, "epochs": 2}, {"trainable": "lora", "epochs": 3}]
    found = opened(recipe(phases))
    assert (found.head_phase.trainable.kind, found.head_phase.epochs) == ("lora", 3)
    (tokens,), (adapt,) = found.for_tokens(), found.for_adapt()
    assert (tokens.method, tokens.sources, tokens.max_tokens) == ("continued_pretraining", ("few", "log"), 64)
    assert (tokens.policy, tokens.held_out) == ("split", "validation")
    assert (adapt.method.kind, adapt.trainable.kind, adapt.epochs, adapt.task) == (
        "continued_pretraining",
        "full",
        2,
        "classify",
    )
    assert found.for_train().epochs == 3
    assert found.settings()["trainable"]["kind"] == "lora"


def test_a_method_may_say_how_much_is_masked() -> None:
    found = opened(recipe([{"method": {"kind": "continued_pretraining", "mask": 0.3}, "sources": ["log"]}, {}]))
    assert found.for_adapt()[0].method.mask == 0.3
    assert found.head_phase.method is None


def test_the_heads_method_needs_no_kind_in_a_list_either() -> None:
    found = opened(recipe([READ_ON | {"sources": ["log"]}, {"method": {"label_smoothing": 0.1}}]))
    assert found.for_train().method.label_smoothing == 0.1


def test_a_source_without_label_that_a_phase_names_is_texts_alone() -> None:
    found = opened(recipe([READ_ON | {"sources": ["log"]}, {}]))
    assert found.text_sources == ("log",)
    assert found.for_texts().task == "generate"
    files = {"kind": "text", "name": "log", "path": "log/*.txt"}
    assert opened(recipe([READ_ON | {"sources": ["log"]}, {}], LABELLED, files)).text_sources == ("log",)
    assert opened(recipe([READ_ON, {}], LABELLED)).text_sources == ()


def test_the_texts_are_grouped_as_the_rows_and_never_by_time() -> None:
    source = LABELLED | {"columns": LABELLED["columns"] | {"day": "day", "who": "who"}}
    by_time = opened(recipe([READ_ON, {}], source, split={"by_time": "day", "group_by": "who"})).for_texts().split
    assert (by_time.by_time, by_time.group_by) == (None, "who")


@pytest.mark.parametrize("train", [[READ_ON | {"sources": ["log"], "epochs": 1}, {"epochs": 2}], {"epochs": 2}])
def test_a_dumped_recipe_is_the_same_recipe(train: Any, tmp_path: Path) -> None:
    found = opened(recipe(train, *((LABELLED, TEXTS) if isinstance(train, list) else (LABELLED,))))
    (tmp_path / "recipe.yaml").write_text(dump(found))
    assert load(tmp_path / "recipe.yaml").model_dump() | {"data": None} == found.model_dump() | {"data": None}


@pytest.mark.parametrize(
    ("train", "parts"),
    [
        ([], ["the list of phases is empty"]),
        ([{"epochs": 1}, {}], ["phase 1 of 2 is a head's", "method: continued_pretraining", "without a dash"]),
        ([{"method": "classify"}, {}], ["phase 1 of 2 is a head's", "method: classify"]),
        ([READ_ON, READ_ON], ["nothing learns to answer", "`- {}` for the head"]),
        (READ_ON, ["nothing learns to answer", "write a list under `train:`"]),
        ([READ_ON | {"sources": ["lgo"]}, {}], ["there is no source `lgo`", "did you mean `log`?"]),
        ([READ_ON | {"sources": ["log"], "packing": True}, {}], ["rows are not packed"]),
        ([READ_ON | {"sources": ["log"], "trainable": "head"}, {}], ["the encoder would stay as it is"]),
        ([READ_ON | {"sources": ["log"], "samples": {"rows": 2}}, {}], ["nothing is written"]),
        ([READ_ON | {"sources": ["log"], "optimizer": {"lr": "auto"}}, {}], ["range test"]),
        ([READ_ON | {"sources": ["log"], "early_stopping": {"metric": "accuracy"}}, {}], ["watches the loss"]),
        ([READ_ON | {"sources": ["log"], "epoch": 2}, {}], ["no key `train[0].epoch`", "did you mean `epochs`?"]),
        ([READ_ON | {"sources": ["log"]}, {"epoch": 2}], ["no key `train[1].epoch`", "did you mean `epochs`?"]),
        ([READ_ON, {}], ["`log` says which columns to read, and none of them is the label"]),
        ([READ_ON | {"sources": ["log"]}, {"early_stopping": {"metric": "nope"}}], ["no metric `nope`"]),
    ],
)
def test_what_cannot_be_is_refused_with_a_way_out(train: Any, parts: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        load(recipe(train))
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("sources", "data", "part"),
    [
        ([TEXTS], {}, "no source gives labels"),
        ([LABELLED, TEXTS | {"split": "test"}], {}, "its rows prove nothing"),
        ([LABELLED, TEXTS | {"columns": {"text": "body", "split": "part"}}], {}, "its rows prove nothing"),
        ([LABELLED, TEXTS | {"columns": {"title": "body"}}], {}, "none of its columns is the text"),
        ([LABELLED, TEXTS | {"columns": {"text": "body", "messages": "m"}}], {}, "a column of conversations"),
        ([LABELLED, TEXTS], {"derive": {"label": "lower(text)"}}, "whether the source `log` has labels"),
        ([LABELLED, TEXTS], {"split": {"validation": 0}}, "early stopping looks at validation rows"),
    ],
)
def test_texts_alone_are_refused_what_only_rows_with_labels_have(
    sources: list[dict[str, Any]], data: dict[str, Any], part: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        load(recipe([READ_ON | {"sources": ["log"], "early_stopping": {}}, {}], *sources, **data))
    assert part in str(caught.value)
