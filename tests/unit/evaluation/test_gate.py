"""The gate: what passes, what is said, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from tunesmith.core.errors import RecipeError
from tunesmith.evaluation import gate as gates
from tunesmith.evaluation.config import BaselinesConfig, EvaluateStageConfig, GateRule, check_gate, default_gate
from tunesmith.evaluation.significance import Resamples

TARGETS = np.array(["a", "b"] * 80)


def right_on(share: float, seed: int) -> np.ndarray:
    """Predictions of TARGETS that are right on a share of the rows."""
    is_wrong = np.random.default_rng(seed).permutation(len(TARGETS)) >= share * len(TARGETS)
    return np.where(is_wrong, np.where(TARGETS == "a", "b", "a"), TARGETS)


@pytest.fixture(scope="module")
def scores() -> Resamples:
    columns = {"model": right_on(0.9, 0), "majority": np.full(160, "a"), "tfidf": right_on(0.88, 1)}
    return Resamples("classify", TARGETS, columns)


def judged(scores: Resamples, **rules: GateRule) -> gates.Judgement:
    return gates.judge(rules, scores, 0.95)[0]


def test_better_than_every_baseline_passes(scores: Resamples) -> None:
    found = judged(scores, f1_macro=GateRule(better_than=("majority",)))
    assert (found.passed, found.verdict) == (True, "better")
    [check] = found.checks
    assert check.criterion == "f1_macro better than majority" and check.seen > 0.5
    assert check.words.startswith("f1_macro is 0.900 against 0.333 for majority: +0.567, 95 % interval +0.")
    assert check.words.endswith("on 160 test rows → better")


def test_a_difference_that_is_not_shown_fails_and_says_what_could_be_seen(scores: Resamples) -> None:
    found = judged(scores, f1_macro=GateRule(better_than=("majority", "tfidf")))
    assert (found.passed, found.verdict) == (False, "not shown")
    assert [check.passed for check in found.checks] == [True, False]
    assert "→ not shown; this many rows can show a difference of about 0." in found.checks[1].words


def test_worse_than_one_baseline_is_worse() -> None:
    scores = Resamples(
        "classify", TARGETS, {"model": right_on(0.7, 0), "majority": np.full(160, "b"), "tfidf": TARGETS}
    )
    found = judged(scores, f1_macro=GateRule(better_than=("majority", "tfidf")))
    assert (found.passed, found.verdict) == (False, "worse")


@pytest.mark.parametrize(
    ("rule", "passed", "ending"),
    [
        (GateRule(at_least=0.9), True, "must be at least 0.9 → passed"),
        (GateRule(at_least=0.91), False, "→ failed"),
        (
            GateRule(at_least=0.89, confidence=0.95),
            False,
            "→ failed: the value would do, but so few rows do not show it",
        ),
        (GateRule(at_least=0.8, confidence=0.95), True, "→ passed"),
        (GateRule(at_most=0.95), True, "must be at most 0.95 → passed"),
        (GateRule(at_most=0.92, confidence=0.95), False, "so few rows do not show it"),
    ],
)
def test_limits_take_the_value_or_with_a_confidence_the_whole_interval(
    scores: Resamples, rule: GateRule, passed: bool, ending: str
) -> None:
    [check] = judged(scores, accuracy=rule).checks
    assert check.passed is passed and check.words.endswith(ending) and check.seen == 0.9


def test_a_gate_of_limits_takes_its_verdict_from_the_usual_comparisons(scores: Resamples) -> None:
    judgement, comparisons, _ = gates.judge({"accuracy": GateRule(at_least=0.5)}, scores, 0.95)
    assert judgement.passed and judgement.verdict == "not shown"
    assert [(one.metric, one.against) for one in comparisons] == [("accuracy", "majority"), ("accuracy", "tfidf")]


def test_an_empty_gate_passes_and_still_compares(scores: Resamples) -> None:
    judgement, comparisons, _ = gates.judge({}, scores, 0.95)
    assert judgement.passed and not judgement.checks
    assert [one.metric for one in comparisons] == ["f1_macro", "f1_macro"]


def test_no_baseline_shows_nothing() -> None:
    judgement, comparisons, _ = gates.judge({}, Resamples("classify", TARGETS, {"model": TARGETS}), 0.95)
    assert judgement.verdict == "not shown" and not comparisons


def test_what_cannot_be_compared_fails_with_the_reason() -> None:
    targets = np.arange(20.0)
    scores = Resamples("regress", targets, {"model": targets + 0.1, "mean": np.full(20, 9.5)})
    rule = GateRule(better_than=("mean",))
    judgement, _, gaps = gates.judge({"pearson": rule, "mse": rule}, scores, 0.95)
    assert (judgement.passed, judgement.verdict) == (False, "not shown")
    assert "was not measured: pearson of mean: all targets or all predictions are equal" in judgement.checks[0].words
    assert judgement.checks[1].passed and list(gaps) == ["pearson against mean"]


def test_the_default_gate_is_the_primary_metric_against_every_baseline() -> None:
    assert default_gate("classify", ["majority", "tfidf"]) == {"f1_macro": GateRule(better_than=("majority", "tfidf"))}
    assert default_gate("regress", ["mean"]) == {"mse": GateRule(better_than=("mean",))}
    assert default_gate("regress", []) == {}


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(RecipeError) as caught:
        check_gate({"f1_macro": GateRule(better_than=("tfdif",))}, "classify", ["majority", "tfidf"])
    assert caught.value.next == "did you mean `tfidf`?" and caught.value.allowed == "majority, tfidf"
    with pytest.raises(RecipeError, match="no metric `f1`"):
        EvaluateStageConfig(task="classify", gate={"f1": GateRule(at_least=0.5)})
    with pytest.raises(RecipeError, match="asks for nothing"):
        GateRule(confidence=0.9)
    with pytest.raises(ValidationError):
        GateRule(at_least=0.5, confidence=1.0)


def test_baselines_must_be_known_suit_the_task_and_be_named_once() -> None:
    assert BaselinesConfig(task="regress", names=["mean", "base_ridge", "tfidf"]).names[1] == "base_ridge"
    for names, words in ([["majorty"], "no baseline"], [["mean"], "does not classify"], [["tfidf"] * 2, "twice"]):
        with pytest.raises(RecipeError, match=words):
            BaselinesConfig(task="classify", names=names)


def test_numbers_are_written_as_people_write_them() -> None:
    assert [gates.number(value) for value in (0.9127, 12.34, 1240.4, 0.0, 0.00012)] == [
        "0.913",
        "12.3",
        "1,240",
        "0.000",
        "1.2e-04",
    ]
    assert gates.number(0.08, signed=True) == "+0.080" and gates.percent(0.975) == "97.5 %"
