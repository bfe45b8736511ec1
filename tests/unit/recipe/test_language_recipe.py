"""Recipes of tasks that a language model answers: what they mean, and what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.tiny import write_decoder

from tunesmith.core.errors import RecipeError
from tunesmith.lifecycle.flows import flow_of
from tunesmith.recipe.language import LanguageRecipe
from tunesmith.recipe.load import dump, load
from tunesmith.recipe.recipe import Recipe

PAIRS = {"kind": "csv", "name": "pairs", "path": "pairs.csv", "columns": {"prompt": "question", "completion": "answer"}}
TEXTS = {"kind": "text", "name": "texts", "path": "texts.txt"}


def recipe(*sources: dict[str, Any], task: str = "generate", **more: Any) -> dict[str, Any]:
    data = {"sources": list(sources or (PAIRS,)), **more.pop("data", {})}
    return {"task": task, "data": data, "model": "./model", **more}


def opened(data: dict[str, Any]) -> LanguageRecipe:
    found = load(data)
    assert isinstance(found, LanguageRecipe)
    return found


def refusal(data: dict[str, Any]) -> str:
    with pytest.raises(RecipeError) as caught:
        load(data)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize("task", ["chat", "generate", "summarise", "translate", "extract"])
def test_the_task_picks_the_recipe(task: str) -> None:
    assert opened(recipe(task=task)).task == task
    assert isinstance(load({"task": "classify", "data": {"sources": [PAIRS | {"columns": {}}]}}), Recipe)


def test_a_dumped_recipe_is_the_same_recipe(tmp_path: Path) -> None:
    found = opened(recipe(train=[{"method": "continued_pretraining"}, {"trainable": "full"}]))
    (tmp_path / "recipe.yaml").write_text(dump(found))
    assert load(tmp_path / "recipe.yaml") == found


def test_one_phase_needs_no_dash() -> None:
    assert opened(recipe(train={"epochs": 2})).train == opened(recipe(train=[{"epochs": 2}])).train


def test_the_template_is_a_file_beside_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text("{{ messages }}")
    text = dump(opened(recipe(model=str(tmp_path))))
    (tmp_path / "recipe.yaml").write_text(text.replace("template: auto", "template: mine.jinja"))
    found = load(tmp_path / "recipe.yaml")
    assert isinstance(found, LanguageRecipe) and found.tokens.template == str(tmp_path / "mine.jinja")
    assert found.for_tokens(found.train[0]).template_text == "{{ messages }}"


def test_line_ends_of_texts_stay() -> None:
    found = opened(recipe())
    assert not found.for_prepare().clean.whitespace and found.for_format("pairs").whitespace


def test_phases_learn_from_their_own_sources(tmp_path: Path) -> None:
    write_decoder(tmp_path / "model")
    (tmp_path / "pairs.csv").write_text("question,answer\na,b\n")
    (tmp_path / "texts.txt").write_text("a\n")
    sources = [PAIRS | {"path": str(tmp_path / "pairs.csv")}, TEXTS | {"path": str(tmp_path / "texts.txt")}]
    train = [{"method": "continued_pretraining", "sources": ["texts"]}, {"sources": ["pairs"]}]
    found = opened(recipe(*sources, model=str(tmp_path / "model"), train=train))
    assert found.for_format("texts").method == "continued_pretraining" and found.for_format("pairs").method == "sft"
    flow = flow_of(found)
    names = [spec.name for spec in flow.specs]
    assert names[-5:] == ["tokens:1", "train:1", "tokens:2", "train:2", "evaluate"]
    second = next(spec for spec in flow.specs if spec.name == "train:2")
    assert second.given["parent"].step == "train:1" and second.given["tokens"].step == "tokens:2"
    assert flow.at["model"].step == "train:2"


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (recipe(model="embedded"), ["`model: embedded` is an encoder", "owner/name"]),
        (recipe(model="auto"), ["`model: auto` is an encoder"]),
        (recipe(train={"sources": ["pears"]}), ["there is no source `pears`", "did you mean `pairs`?"]),
        (recipe(PAIRS, TEXTS, train={"sources": ["pairs"]}), ["no phase learns from the source `texts`"]),
        (recipe(PAIRS, PAIRS), ["two sources are called `pairs`"]),
        (recipe(train={"optimizer": {"lr": "auto"}}), ["is not found by a range test"]),
        (recipe(train={"method": "classify"}), ["classify", "sft", "continued_pretraining"]),
        (recipe(train={"early_stopping": {"metric": "chrf"}}), ["watches the loss", "seen:    train.early_stopping"]),
        (recipe(train=[]), ["train"]),
        (recipe(data={"derive": {"prompt": "lower(prompt)"}}), ["`prompt` is what the model learns from"]),
        (recipe(data={"noise": {"boilerplate": {}}}), ["lines cannot be cut out of conversations", "in the source"]),
        (recipe(data={"format": {"columns": {"promt": "q"}}}), ["`promt`, which no format has", "`prompt`?"]),
        (recipe(data={"format": "alpacca"}), ["alpacca", "did you mean `alpaca`?"]),
        (recipe(gate={"f1_macro": {"at_least": 0.5}}), ["f1_macro"]),
        (recipe(tokens={"template": "chatmll"}), ["chatmll"]),
        (recipe(decision={"reject": {}}), ["there is no key `decision`"]),
    ],
)
def test_what_cannot_be_is_refused_with_cause_and_way_out(data: dict[str, Any], parts: list[str]) -> None:
    text = refusal(data)
    for part in parts:
        assert part in text
