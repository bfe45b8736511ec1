"""What a gate may ask beyond the metrics: gaps between groups, noise, calibration, latency, size."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from tunesmith.core.errors import RecipeError
from tunesmith.core.tasks import LANGUAGE_TASKS, Task
from tunesmith.metrics import table

Measure = Literal["fairness", "robustness", "cost", "calibration", "curves", "forgetting"]


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
_TEXTS = frozenset(LANGUAGE_TASKS)

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
    Criterion("forgetting", "what is lost of what was known before", "forgetting", _TEXTS | _EVERY),
]  # fmt: skip

CRITERIA: dict[str, Criterion] = {one.name: one for one in _ALL}
"""Every criterion by its name."""


def of_task(task: str) -> dict[str, Criterion]:
    """The criteria that a task can be asked for."""
    return {name: one for name, one in CRITERIA.items() if task in one.tasks}


def check_known(name: str, task: Task) -> None:
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


_INFINITY = float("inf")
_NUMBERS = {
    "r2": (-_INFINITY, 1.0),
    "pearson": (-1.0, 1.0),
    "spearman": (-1.0, 1.0),
    "bleu": (0.0, 100.0),
    "chrf": (0.0, 100.0),
    "bits_per_byte": (0.0, _INFINITY),
    "perplexity": (1.0, _INFINITY),
    "forgetting": (-1.0, _INFINITY),
}
_SHARES = ("calibration_error", "auroc_macro", "average_precision_macro", "selection_gap")


def reach(name: str, task: str) -> tuple[float, float]:
    """The least and the largest value that a metric or criterion of a task can have."""
    if name in _NUMBERS:
        return _NUMBERS[name]
    if name in CRITERIA and name not in _SHARES:
        # Those of groups and perturbed texts are in units of the metric they watch.
        watches = CRITERIA[name].measure in ("fairness", "robustness")
        return (0.0, 1.0) if watches and task != "regress" else (-_INFINITY if watches else 0.0, _INFINITY)
    return (0.0, 1.0) if task != "regress" or name in _SHARES else (0.0, _INFINITY)


def check_reachable(name: str, task: str, at_least: float | None, at_most: float | None) -> None:
    """Refuse a limit that no model can meet: everything before the gate would be for nothing.

    Raises: RecipeError with the values there can be.
    """
    least, most = reach(name, task)
    wrong = None
    if at_least is not None and at_least > most:
        wrong = f"at_least: {at_least:g}"
    elif at_most is not None and at_most < least:
        wrong = f"at_most: {at_most:g}"
    elif at_least is not None and at_most is not None and at_least > at_most:
        wrong = f"at_least: {at_least:g}, at_most: {at_most:g}"
    if wrong is not None:
        ends = [f"{words} {end:g}" for words, end in (("from", least), ("to", most)) if abs(end) < _INFINITY]
        raise RecipeError(
            f"no model can meet `gate.{name}`",
            seen=wrong,
            allowed=f"`{name}` goes {' '.join(ends)}" if ends else None,
            next=f"did you mean {at_least / 100:g}? Shares are written from 0 to 1"
            if at_least is not None and most == 1.0 and 1 < at_least <= 100
            else None,
        )
