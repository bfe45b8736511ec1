"""The gate's checks of criteria: measured numbers against limits, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tunesmith.evaluation.config import Gate, GateRule
from tunesmith.evaluation.criteria import CRITERIA
from tunesmith.evaluation.gate import Check, Judgement, number, percent


@dataclass(frozen=True)
class Measured:
    """A criterion's value, with its interval where it has one."""

    value: float
    words: str
    """What it was measured on, and what is known of it: "on 500 test rows, the largest gap is shown"."""
    low: float | None = None
    high: float | None = None


Values = Mapping[str, Measured | str]
"""Criterion → what was measured, or why it was not."""


def divided(gate: Gate) -> tuple[Gate, Gate]:
    """The gate's rules about metrics, and those about criteria."""
    return (
        {name: rule for name, rule in gate.items() if name not in CRITERIA},
        {name: rule for name, rule in gate.items() if name in CRITERIA},
    )


def with_checks(judgement: Judgement, checks: Sequence[Check]) -> Judgement:
    """The judgement with further checks: it passes only if all hold; what it says of the baselines stays."""
    return replace(
        judgement,
        passed=judgement.passed and all(check.passed for check in checks),
        checks=(*judgement.checks, *checks),
    )


def check_limits(gate: Gate, measures: Values, confidence: float) -> list[Check]:
    """The checks of every criterion that the gate asks for; one that was not measured does not hold."""
    return [check for name, rule in gate.items() for check in _checks(name, rule, measures.get(name), confidence)]


def gaps(gate: Gate, measures: Values) -> dict[str, str]:
    """Criteria that the gate asks for and nothing measured, with the reason."""
    return {name: _why(measures.get(name)) for name in gate if not isinstance(measures.get(name), Measured)}


def _checks(name: str, rule: GateRule, seen: Measured | str | None, confidence: float) -> list[Check]:
    wanted = [("at least", rule.at_least, 1), ("at most", rule.at_most, -1)]
    return [_check(name, rule, word, limit, sign, seen) for word, limit, sign in wanted if limit is not None]


def _check(name: str, rule: GateRule, word: str, limit: float, sign: int, seen: Measured | str | None) -> Check:
    criterion, required = f"{name} {word} {limit:g}", f"{word} {limit:g}"
    if not isinstance(seen, Measured):
        return Check(criterion, False, None, required, f"{name} was not measured: {_why(seen)}")
    words = f"{name} ({CRITERIA[name].doc}) is {number(seen.value)} {seen.words}, and must be {required}"
    bound = seen.value
    if rule.confidence is not None and seen.low is not None and seen.high is not None:
        bound = seen.low if sign > 0 else seen.high
        words += f" with {percent(rule.confidence)} confidence ({number(seen.low)} to {number(seen.high)})"
    passed = sign * bound >= sign * limit
    outcome = "passed" if passed else "failed"
    if not passed and sign * seen.value >= sign * limit:
        outcome = "failed: the value would do, but so few rows do not show it"
    return Check(criterion, passed, seen.value, required, f"{words} → {outcome}")


def _why(seen: Measured | str | None) -> str:
    return seen if isinstance(seen, str) else "nothing in this run measures it"
