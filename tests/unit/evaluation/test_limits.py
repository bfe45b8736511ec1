"""Criteria of the gate that are not metrics: what is asked, what is refused, what was not measured."""

from __future__ import annotations

import pytest

from tunesmith.core.errors import RecipeError
from tunesmith.evaluation.config import EvaluateStageConfig, GateRule, check_gate
from tunesmith.evaluation.criteria import CRITERIA
from tunesmith.evaluation.gate import Judgement
from tunesmith.evaluation.limits import Measured, check_limits, divided, with_checks
from tunesmith.metrics import table

LATENCY = {"latency_p95_ms": Measured(31.4, "over 200 answers on a processor")}
GAP = {"fairness_gap": Measured(0.08, "between `x` and `y`, a gap that is shown", 0.02, 0.14)}


def test_a_number_is_held_to_its_limit() -> None:
    [check] = check_limits({"latency_p95_ms": GateRule(at_most=50)}, LATENCY, 0.95)
    assert check.passed and check.seen == 31.4 and check.criterion == "latency_p95_ms at most 50"
    assert check.words.endswith("is 31.4 over 200 answers on a processor, and must be at most 50 → passed")
    [check] = check_limits({"latency_p95_ms": GateRule(at_most=30)}, LATENCY, 0.95)
    assert not check.passed and check.words.endswith("→ failed")


def test_with_a_confidence_the_whole_interval_must_hold() -> None:
    [check] = check_limits({"fairness_gap": GateRule(at_most=0.1)}, GAP, 0.95)
    assert check.passed
    [check] = check_limits({"fairness_gap": GateRule(at_most=0.1, confidence=0.95)}, GAP, 0.95)
    assert not check.passed and "(0.020 to 0.140)" in check.words
    assert check.words.endswith("failed: the value would do, but so few rows do not show it")
    [check] = check_limits({"fairness_gap": GateRule(at_most=0.2, confidence=0.95)}, GAP, 0.95)
    assert check.passed


def test_what_was_not_measured_does_not_pass_and_says_why() -> None:
    rules = {"robustness_worst": GateRule(at_least=0.5), "size_mb": GateRule(at_most=100)}
    checks = check_limits(rules, {"robustness_worst": "`evaluate.robustness` is off"}, 0.95)
    assert [check.passed for check in checks] == [False, False] and [check.seen for check in checks] == [None, None]
    assert checks[0].words == "robustness_worst was not measured: `evaluate.robustness` is off"
    assert "nothing in this run measures it" in checks[1].words


def test_the_verdict_on_baselines_stays_and_one_broken_limit_denies() -> None:
    judgement = Judgement(True, "better", ())
    failed = check_limits({"latency_p95_ms": GateRule(at_most=1)}, LATENCY, 0.95)
    both = with_checks(judgement, failed)
    assert (both.passed, both.verdict, len(both.checks)) == (False, "better", 1)
    assert with_checks(judgement, []) == judgement


def test_rules_are_divided_by_what_measures_them() -> None:
    metrics, limits = divided({"f1_macro": GateRule(at_least=0.5), "size_mb": GateRule(at_most=9)})
    assert (list(metrics), list(limits)) == (["f1_macro"], ["size_mb"])


@pytest.mark.parametrize(
    ("name", "near"),
    [("latency_p95", "latency_p95_ms"), ("fairness_gab", "fairness_gap"), ("f1_marco", "f1_macro")],
)
def test_an_unknown_name_is_answered_with_the_nearest_of_both(name: str, near: str) -> None:
    with pytest.raises(RecipeError, match=f"did you mean `{near}`"):
        check_gate({name: GateRule(at_most=1)}, "classify", [])


def test_what_a_criterion_cannot_be_asked_is_refused() -> None:
    with pytest.raises(RecipeError, match="compared with no baseline"):
        check_gate({"size_mb": GateRule(better_than=("tfidf",))}, "classify", ["tfidf"])
    with pytest.raises(RecipeError, match="without an interval"):
        check_gate({"size_mb": GateRule(at_most=1, confidence=0.9)}, "classify", [])
    with pytest.raises(RecipeError, match="cannot ask for `calibration_error` where the task is `regress`"):
        check_gate({"calibration_error": GateRule(at_most=0.1)}, "regress", [])
    with pytest.raises(RecipeError, match="measured with the evaluation's confidence"):
        EvaluateStageConfig(task="classify", gate={"fairness_gap": GateRule(at_most=1, confidence=0.9)})


def test_no_criterion_is_called_like_a_metric() -> None:
    assert not set(CRITERIA) & set(table.METRICS)
