"""What a recipe may say about evaluation: baselines, metrics and the gate. Imports nothing heavy."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from tunesmith.core import wiring
from tunesmith.core.config import Config
from tunesmith.core.errors import RecipeError
from tunesmith.core.tasks import HeadTask, Task
from tunesmith.evaluation import criteria
from tunesmith.evaluation.measures_config import FairnessConfig
from tunesmith.metrics import table

Confidence = Annotated[float, Field(ge=0.5, lt=1)]
MOST_FORGOTTEN = 0.02
"""Of its score on the champion's test rows, what a challenger may lose where the recipe's gate does not say."""
CHAMPION = "champion"
"""What the model in production is called among the baselines of its challenger."""

BASELINES: dict[HeadTask, tuple[str, ...]] = {
    "classify": ("majority", "base_centroid", "tfidf"),
    "tag": ("majority", "base_logistic", "tfidf"),
    "regress": ("mean", "base_ridge", "tfidf"),
}
"""The baselines of a task: no model, the base model untrained, and what a data scientist tries first."""


class GateRule(Config):
    """What one metric or criterion must show on the test rows before the model may be released."""

    better_than: tuple[str, ...] = ()
    """Baselines the model must beat: the difference on the same rows must be shown, not only seen. Default: none."""
    at_least: float | None = None
    """The smallest value that passes, in units of the metric; null: none."""
    at_most: float | None = None
    """The largest value that passes, in units of the metric; null: none."""
    confidence: Confidence | None = None
    """How sure each check must be, from 0.5 to below 1. Null: `better_than` takes the evaluation's confidence (0.95),
    `at_least` and `at_most` take the measured value as it is. Given: the limits too must hold with this confidence,
    that is for the whole interval and not only for the measured value."""

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if not self.better_than and self.at_least is None and self.at_most is None:
            raise RecipeError(
                "a gate's rule asks for nothing",
                seen=self.model_dump(exclude_none=True),
                allowed="better_than, at_least, at_most",
                next="say what the metric must reach, or leave the metric out",
            )
        return self


Gate = dict[str, GateRule]
"""Metric or criterion → what it must show."""


def default_gate(task: Task, baselines: Sequence[str]) -> Gate:
    """The gate of a recipe that has none: the task's primary metric, better than every baseline that is run."""
    return {table.PRIMARY[task]: GateRule(better_than=tuple(baselines))} if baselines else {}


def challenging(gate: Gate, task: Task) -> Gate:
    """A gate as a challenger meets it: better than the champion too, and next to nothing forgotten."""
    leads = table.PRIMARY[task]
    rule = gate.get(leads)
    asked = () if rule is None else rule.better_than
    if any(CHAMPION in one.better_than for one in gate.values()):
        return {"forgetting": GateRule(at_most=MOST_FORGOTTEN), **gate}
    better = (
        GateRule(better_than=(CHAMPION,))
        if rule is None
        else rule.model_copy(update={"better_than": (*asked, CHAMPION)})
    )
    return {**gate, leads: better, "forgetting": gate.get("forgetting", GateRule(at_most=MOST_FORGOTTEN))}


def replacing(gate: Gate) -> Gate:
    """A gate as the model meets it that takes the place of a champion which has to go: next to nothing forgotten.

    With fewer rows than the champion had, it cannot be shown to be better, and need not be.
    """
    return {**gate, "forgetting": gate.get("forgetting", GateRule(at_most=MOST_FORGOTTEN))}


def check_gate(gate: Mapping[str, GateRule], task: Task, baselines: Sequence[str]) -> None:
    """Refuse a gate that names an unknown metric or criterion, or a baseline that is not run.

    Raises: RecipeError naming the nearest known name.
    """
    for metric, rule in gate.items():
        criteria.check_known(metric, task)
        if metric in criteria.CRITERIA:
            criteria.check_rule(metric, bool(rule.better_than), rule.confidence)
        criteria.check_reachable(metric, task, rule.at_least, rule.at_most)
        for name in rule.better_than:
            if name not in baselines:
                near = difflib.get_close_matches(name, baselines, n=1)
                raise RecipeError(
                    f"the gate asks for {metric} better than `{name}`, which is not run",
                    seen=name,
                    allowed=", ".join(baselines) or "none: no baseline is run",
                    next=f"did you mean `{near[0]}`?"
                    if near
                    else "add it to the baselines, or take it out of the gate",
                )


class BaselinesConfig(Config):
    """Which cheap baselines are fitted."""

    task: HeadTask
    """What is predicted: a label or a number."""
    names: list[str]
    """Baselines to fit, in the order shown; each must suit the task. The recipe's default: `BASELINES` of the task."""

    @model_validator(mode="after")
    def _names_suit_the_task(self) -> Self:
        for name in self.names:
            tasks = wiring.load(wiring.wire("baseline", name).make).tasks
            if self.task not in tasks:
                raise RecipeError(
                    f"the baseline `{name}` does not {self.task}", seen=name, allowed=", ".join(BASELINES[self.task])
                )
        if len(set(self.names)) < len(self.names):
            raise RecipeError("a baseline is named twice", seen=", ".join(self.names), next="name each once")
        return self


class EvaluateStageConfig(Config):
    """What is measured on the test rows, and what must be shown."""

    task: HeadTask
    """What is predicted: a label or a number."""
    gate: Gate | None = None
    """What each metric must show. Null: the primary metric (`f1_macro`; `mse` for numbers) better than every baseline;
    `{}`: nothing, every model passes."""
    confidence: Confidence = 0.95
    """Confidence of intervals and comparisons, from 0.5 to below 1. Default: the customary 0.95."""
    bootstrap_samples: Annotated[int, Field(ge=200, le=100_000, strict=True)] = 2000
    """Resamples behind each interval and p-value, 200 to 100,000. Default: 2000; Efron & Tibshirani 1993 advise at
    least 1000 for 95 % intervals."""
    fairness: FairnessConfig | None = None
    """Groups of rows that are compared; null: none."""

    @model_validator(mode="after")
    def _metrics_are_known(self) -> Self:
        for name, rule in (self.gate or {}).items():
            criteria.check_known(name, self.task)
            if name in criteria.CRITERIA:
                criteria.check_rule(name, bool(rule.better_than), rule.confidence, self.confidence)
        return self
