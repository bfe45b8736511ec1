"""Where a recipe's explanations stand among its steps, and what stops them."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from tunesmith.core.errors import RecipeError
from tunesmith.explanation.config import ExplainStageConfig
from tunesmith.lifecycle import head_flow
from tunesmith.lifecycle.flow import Flow
from tunesmith.lifecycle.steps import From
from tunesmith.recipe.recipe import Recipe


def flow_with(recipe: Recipe, *more: str) -> Flow:
    flow = Flow()
    flow.at = {name: From(name, name) for name in ("model", "base", "splits", *more)}
    head_flow._explain(recipe, flow)
    return flow


def recipe_with(explain: Any, trainable: str = "full") -> Recipe:
    sources = [{"kind": "csv", "path": "rows.csv"}]
    train = {"trainable": trainable}
    return Recipe.model_validate(
        {"name": "desk", "task": "classify", "data": {"sources": sources}, "train": train, "explain": explain}
    )


def test_nothing_is_explained_unless_asked() -> None:
    assert flow_with(recipe_with(None)).specs == []


def test_vectors_come_first_and_a_head_takes_its_activations() -> None:
    vectors, explain = flow_with(recipe_with({"rows": 7}), "activations").specs
    assert (vectors.kind, list(vectors.given)) == ("vectors", ["model", "base", "splits"])
    assert list(explain.given) == ["model", "base", "splits", "vectors"]
    assert isinstance(explain.config, ExplainStageConfig)
    assert (explain.config.task, explain.config.explain.rows) == ("classify", 7)
    head, _ = flow_with(recipe_with({}, "head"), "activations").specs
    assert list(head.given) == ["model", "base", "splits", "activations"]


def test_without_captum_the_plan_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "captum" else find_spec(name))
    with pytest.raises(RecipeError) as told:
        flow_with(recipe_with({}))
    assert 'pip install "tunesmith[explain]"' in str(told.value)
    assert len(flow_with(recipe_with({"methods": ["occlusion"]})).specs) == 2


def test_a_method_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="stands twice"):
        recipe_with({"methods": ["ig", "ig"]})
