"""The gate: what the recipe asks of the test rows, checked one by one and put into words.

``passed`` says whether every check holds: the model may be released. ``verdict`` says what the comparisons with the
baselines show: better (in every one), worse (in any), or not shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tunesmith.core.tasks import Task
from tunesmith.evaluation.config import Gate, GateRule
from tunesmith.evaluation.significance import MODEL, Comparison, Interval, Resamples, Undefined, Verdict
from tunesmith.metrics import table


@dataclass(frozen=True)
class Check:
    """One thing asked by the gate, and what was seen."""

    criterion: str
    passed: bool
    seen: float | None
    required: str
    words: str


@dataclass(frozen=True)
class Judgement:
    """What the gate made of a model; ``comparisons`` are those the verdict rests on."""

    passed: bool
    verdict: Verdict
    checks: tuple[Check, ...]

    def to_facts(self) -> dict[str, Any]:
        """The judgement as JSON values."""
        return {"passed": self.passed, "verdict": self.verdict, "checks": [asdict(check) for check in self.checks]}


def judge(
    gate: Gate, scores: Resamples, confidence: float, leads: str | None = None
) -> tuple[Judgement, list[Comparison], dict[str, str]]:
    """The gate's judgement, every comparison made, and why those that could not be made were not.

    The primary metric is compared with every baseline in any case; where the gate names no comparison, the verdict
    rests on these. ``leads``: a metric that stands in for the task's own.
    """
    baselines = [name for name in scores.points if name != MODEL]
    not_measured: dict[str, str] = {}
    made: dict[tuple[str, str, float], Comparison | None] = {}

    def compare(metric: str, against: str, sure: float) -> Comparison | None:
        if (metric, against, sure) not in made:
            try:
                made[metric, against, sure] = scores.compare(metric, MODEL, against, sure)
            except Undefined as why:
                made[metric, against, sure] = None
                not_measured[f"{metric} against {against}"] = str(why)
        return made[metric, against, sure]

    checks: list[Check] = []
    asked: list[Comparison | None] = []
    for metric, rule in gate.items():
        for against in rule.better_than:
            comparison = compare(metric, against, rule.confidence or confidence)
            asked.append(comparison)
            checks.append(_better_than(metric, against, comparison, scores, not_measured))
        checks.extend(_limits(metric, rule, scores, confidence))
    usual = [compare(primary(gate, scores.task, leads), against, confidence) for against in baselines]
    judgement = Judgement(all(check.passed for check in checks), _verdict(asked or usual), tuple(checks))
    return judgement, [one for one in made.values() if one], not_measured


def primary(gate: Gate, task: Task, leads: str | None = None) -> str:
    """The metric a report leads with: the task's own (or what stands in for it), unless the gate names only others."""
    own = leads or table.PRIMARY[task]
    return own if own in gate or not gate else next(iter(gate))


def number(value: float, signed: bool = False) -> str:
    """A score in three significant decimals, as people write it: 0.913, +0.08, 1,240."""
    digits = 3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
    text = f"{value:{'+' if signed else ''},.{digits}f}"
    if value and not float(text.replace(",", "")):
        return f"{value:{'+' if signed else ''}.1e}"
    return text


def percent(confidence: float) -> str:
    """A confidence as words: 95 %."""
    return f"{100 * confidence:g} %"


def in_words(comparison: Comparison, value: float, other: float, unit: str = "test rows") -> str:
    """A comparison as a sentence."""
    text = (
        f"{comparison.metric} is {number(value)} against {number(other)} for {comparison.against}: "
        f"{number(comparison.difference, signed=True)}, {percent(comparison.confidence)} interval "
        f"{number(comparison.low, signed=True)} to {number(comparison.high, signed=True)} "
        f"on {comparison.num_rows:,} {unit} → {comparison.verdict}"
    )
    if comparison.verdict == "not shown":
        if comparison.low > 0 or comparison.high < 0:
            text += f" (by chance alone so large a difference has p = {comparison.p_value:.2g})"
        if comparison.smallest_detectable is not None:
            text += f"; this many rows can show a difference of about {number(comparison.smallest_detectable)} or more"
    return text


def _better_than(
    metric: str, against: str, comparison: Comparison | None, scores: Resamples, not_measured: dict[str, str]
) -> Check:
    criterion, required = f"{metric} better than {against}", "a difference for the better that is shown"
    if comparison is None:
        why = not_measured[f"{metric} against {against}"]
        return Check(criterion, False, None, required, f"{criterion} was not measured: {why}")
    words = in_words(comparison, scores.points[MODEL][metric], scores.points[against][metric], scores.unit)
    return Check(criterion, comparison.verdict == "better", comparison.difference, required, words)


def _limits(metric: str, rule: GateRule, scores: Resamples, confidence: float) -> list[Check]:
    """The checks of ``at_least`` and ``at_most``."""
    wanted = [
        (word, limit) for word, limit in (("at least", rule.at_least), ("at most", rule.at_most)) if limit is not None
    ]
    if not wanted:
        return []
    try:
        interval = scores.interval(MODEL, metric, rule.confidence or confidence)
    except Undefined as why:
        return [
            Check(f"{metric} {word} {limit:g}", False, None, f"{word} {limit:g}", f"{metric} was not measured: {why}")
            for word, limit in wanted
        ]
    rows = f"{scores.rows_of(metric):,} {scores.unit}"
    return [_limit(metric, word, limit, interval, rule.confidence, rows) for word, limit in wanted]


def _limit(metric: str, word: str, limit: float, seen: Interval, confidence: float | None, rows: str) -> Check:
    sign = 1 if word == "at least" else -1
    bound = seen.value if confidence is None else seen.low if sign > 0 else seen.high
    passed = sign * bound >= sign * limit
    words = f"{metric} is {number(seen.value)} on {rows}, and must be {word} {limit:g}"
    if confidence is not None:
        words += f" with {percent(confidence)} confidence ({number(seen.low)} to {number(seen.high)})"
    if passed:
        outcome = "passed"
    elif confidence is not None and sign * seen.value >= sign * limit:
        outcome = "failed: the value would do, but so few rows do not show it"
    else:
        outcome = "failed"
    return Check(f"{metric} {word} {limit:g}", passed, seen.value, f"{word} {limit:g}", f"{words} → {outcome}")


def _verdict(comparisons: Sequence[Comparison | None]) -> Verdict:
    seen = {comparison.verdict if comparison else "not shown" for comparison in comparisons}
    if "worse" in seen:
        return "worse"
    return "better" if seen == {"better"} else "not shown"
