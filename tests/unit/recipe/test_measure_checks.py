"""Recipes that ask for groups, robustness and latency: what is measured, and what does not go together."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.core.errors import RecipeError
from tunesmith.lifecycle import head_flow
from tunesmith.lifecycle.flow import Flow
from tunesmith.lifecycle.steps import From
from tunesmith.recipe.load import load
from tunesmith.recipe.recipe import Recipe

COLUMNS = {"text": "body", "label": "intent", "segment": "tier"}


def recipe(evaluate: dict[str, Any] | None = None, **more: Any) -> Recipe:
    source = {"kind": "csv", "path": "tickets.csv", "columns": COLUMNS}
    return load({"task": "classify", "data": {"sources": [source]}, "evaluate": evaluate or {}} | more)


def test_nothing_is_measured_that_nobody_asked_for() -> None:
    plain = recipe()
    assert plain.for_robustness() is None and plain.for_cost() is None and plain.for_evaluate().fairness is None


def test_the_gate_switches_on_what_it_asks_for() -> None:
    asked = recipe(gate={"latency_p95_ms": {"at_most": 50}, "robustness_worst": {"at_least": 0.5}})
    robustness = asked.for_robustness()
    assert asked.for_cost() is not None and robustness is not None and len(robustness.robustness.kinds) == 6


def test_true_means_every_default_and_false_means_no() -> None:
    assert recipe({"robustness": True}).for_robustness() is not None
    assert recipe({"robustness": False, "latency": False}).for_cost() is None
    some = recipe({"robustness": {"kinds": ["typos"], "strength": 0.2, "rows": 50}}).for_robustness()
    assert some is not None and some.robustness.kinds == ("typos",) and some.robustness.rows == 50


def test_one_column_or_several() -> None:
    one = recipe({"fairness": {"by": "segment"}}).for_evaluate().fairness
    assert one is not None and one.by == ("segment",) and one.min_rows == 30


def test_the_largest_gap_that_passes_joins_the_gate() -> None:
    gate = recipe({"fairness": {"by": "segment", "max_gap": 0.1}}).for_evaluate().gate
    assert gate is not None and gate["fairness_gap"].at_most == 0.1 and "f1_macro" in gate


@pytest.mark.parametrize(
    ("evaluate", "gate", "says"),
    [
        ({"fairness": {"by": "segmnt"}}, None, "did you mean `segment`"),
        ({"fairness": {"by": "segment", "metric": "f1_marco"}}, None, "did you mean `f1_macro`"),
        ({"robustness": {"metric": "mae"}}, None, "no metric `mae` for `classify`"),
        ({"robustness": {"kinds": ["typo"]}}, None, "typos"),
        ({"robustness": {"kinds": ["typos", "typos"]}}, None, "stands twice"),
        ({"fairness": {"by": "segment", "max_gap": 0.1}}, {"fairness_gap": {"at_most": 0.1}}, "is said twice"),
        ({}, {"fairness_gap": {"at_most": 0.1}}, "nothing says which groups are meant"),
        ({"fairness": {"by": "segment"}}, {"selection_gap": {"at_most": 0.1}}, "nothing says which label is good"),
        ({"robustness": False}, {"robustness_worst": {"at_least": 0.1}}, "`evaluate.robustness` is off"),
        ({"latency": False}, {"size_mb": {"at_most": 10}}, "`evaluate.latency` is off"),
        ({}, {"latency_p95": {"at_most": 10}}, "did you mean `latency_p95_ms`"),
        ({}, {"size_mb": {"better_than": ["tfidf"]}}, "compared with no baseline"),
    ],
)
def test_what_does_not_go_together_is_said(evaluate: dict[str, Any], gate: dict[str, Any] | None, says: str) -> None:
    with pytest.raises(RecipeError) as error:
        recipe(evaluate, **({} if gate is None else {"gate": gate}))
    assert says in error.value.render()


def test_a_good_label_is_one_of_classify() -> None:
    with pytest.raises(RecipeError, match="a good label is one of `classify`"):
        recipe({"fairness": {"by": "segment", "positive": "yes"}}, task="regress")


def test_measures_are_steps_before_the_evaluation_and_times_know_their_machine() -> None:
    flow = Flow()
    flow.at = {name: From(name, name) for name in ("model", "base", "splits", "baselines")}
    asked = recipe({"robustness": True, "latency": True})
    head_flow._measures(asked, flow)
    head_flow._evaluate(asked, flow)
    assert [spec.name for spec in flow.specs] == ["robustness", "cost", "evaluate"]
    assert "cores" in flow.specs[1].fingerprint and not flow.specs[0].fingerprint
    assert {"robustness", "cost"} <= set(flow.specs[2].given)
