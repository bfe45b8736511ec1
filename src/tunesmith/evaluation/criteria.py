"""What a gate may ask beyond the metrics: gaps between groups, noise, calibration, latency, size."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from tunesmith.core.errors import RecipeError
from tunesmith.metrics import table

Measure = Literal["fairness", "robustness", "cost", "calibration", "curves"]


@dataclass(frozen=True)
class Criterion:
    """One such criterion; its value is a number of the report, not a metric of resampled rows."""

    name: str
    doc: str
    measure: Measure
    """What measures it."""
    tasks: frozenset[str]
    has_interval: bool = True
    """Whether it can be asked for with a confidence."""


_EVERY = frozenset({"classify", "tag", "regress"})
_LABELS = frozenset({"classify"})

_ALL = [
    Criterion("fairness_gap", "the largest difference of the metric between two groups", "fairness", _EVERY),
    Criterion("fairness_worst", "the metric of the group that is served worst", "fairness", _EVERY),
    Criterion("selection_gap", "the largest difference in how often groups get the good label", "fairness", _LABELS),
    Criterion("robustness_average", "the metric on perturbed texts, mean over the kinds", "robustness", _EVERY),
    Criterion("robustness_worst", "the metric where every row meets the kind that hurts it most", "robustness", _EVERY),
    Criterion("calibration_error", "how far probabilities are from how often they are right", "calibration", _LABELS),
    Criterion("auroc_macro", "area under the ROC curve, mean over the labels", "curves", _LABELS, False),
    Criterion("average_precision_macro", "average precision, mean over the labels", "curves", _LABELS, False),
    Criterion("latency_p50_ms", "the time of an answer to one text, median, in milliseconds", "cost", _EVERY, False),
    Criterion("latency_p95_ms", "the time within which 95 % of single texts are answered", "cost", _EVERY, False),
    Criterion("size_mb", "the files needed to answer, in megabytes of 10⁶ bytes", "cost", _EVERY, False),
    Criterion("peak_mb", "the most memory used while answering, in megabytes of 10⁶ bytes", "cost", _EVERY, False),
]  # fmt: skip

CRITERIA: dict[str, Criterion] = {one.name: one for one in _ALL}
"""Every criterion by its name."""


def of_task(task: str) -> dict[str, Criterion]:
    """The criteria that a task can be asked for."""
    return {name: one for name, one in CRITERIA.items() if task in one.tasks}


def check_known(name: str, task: table.Task) -> None:
    """Refuse what is neither a metric nor a criterion of the task.

    Raises: RecipeError naming the nearest of both.
    """
    known = [*table.of_task(task), *of_task(task)]
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=1)
    raise RecipeError(
        f"a gate cannot ask for `{name}` where the task is `{task}`"
        if name in CRITERIA
        else f"there is no metric `{name}` for `{task}`",
        seen=name,
        allowed=", ".join(known),
        next=f"did you mean `{near[0]}`?" if near else None,
    )


def check_rule(name: str, compares: bool, confidence: float | None, measured_with: float | None = None) -> None:
    """Refuse what a criterion cannot be asked: a comparison with baselines, a confidence where it has no interval."""
    one = CRITERIA[name]
    if compares:
        raise RecipeError(
            f"`{name}` is measured of the model alone and compared with no baseline",
            seen=f"{name}: better_than",
            allowed="at_least, at_most",
            next=f"write `gate: {{{name}: {{at_most: …}}}}`, or ask a metric to be better than the baselines",
        )
    if confidence is not None and not one.has_interval:
        raise RecipeError(
            f"`{name}` is one measured number without an interval",
            seen=f"confidence: {confidence:g}",
            next=f"leave `confidence` out of `gate.{name}`",
        )
    if None not in (confidence, measured_with) and confidence != measured_with:
        raise RecipeError(
            f"the interval of `{name}` is measured with the evaluation's confidence",
            seen=f"confidence: {confidence:g}",
            allowed=f"{measured_with:g}",
            next="set `evaluate.confidence`, or write the same here",
        )
