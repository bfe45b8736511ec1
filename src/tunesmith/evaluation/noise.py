"""Predictions of perturbed texts beside those of the texts as they are: the drop by kind, on average and at worst.

Everything is scored on the same resamples of the same rows, so that a drop is a paired difference. The p-values of the
kinds are corrected for their number (Holm 1979).

Shapes: N rows.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.tasks import Task
from tunesmith.evaluation.measures_config import RobustnessConfig
from tunesmith.evaluation.significance import Resamples, Undefined
from tunesmith.metrics import table
from tunesmith.metrics.table import Metric
from tunesmith.texts.perturb import perturb

Facts = dict[str, Any]
Column = NDArray[Any]

AS_IT_IS = "as it is"
WORST = "worst"


@dataclass(frozen=True)
class Perturbed:
    """The texts of one kind of perturbation, in the order of the rows."""

    kind: str
    texts: list[str]
    num_changed: int


def chosen_rows(num_rows: int, most: int, seed: int) -> NDArray[np.int64]:
    """The places of the rows that are perturbed, in their order: all, or ``most`` of them drawn by the seed."""
    if num_rows <= most:
        return np.arange(num_rows)
    return np.sort(np.random.default_rng([seed, 7]).choice(num_rows, most, replace=False))


def perturbed(texts: Sequence[str], row_ids: Sequence[str], config: RobustnessConfig, seed: int) -> list[Perturbed]:
    """Every text perturbed by every kind; what happens to a row depends on seed, kind and row alone."""
    made = []
    for kind in config.kinds:
        changed = [
            perturb(kind, text, random.Random(f"{seed}:{kind}:{row_id}"), config.strength)
            for text, row_id in zip(texts, row_ids, strict=True)
        ]
        num_changed = sum(before != after for before, after in zip(texts, changed, strict=True))
        made.append(Perturbed(kind, changed, num_changed))
    return made


def noise_facts(
    task: Task,
    metric: Metric,
    targets_N: Column,
    clean_N: Column,
    by_kind: Mapping[str, Column],
    num_changed: Mapping[str, int],
    *,
    confidence: float,
    num_samples: int,
    seed: int,
) -> Facts:
    """What perturbations do to a metric; JSON values."""
    worst_N = _worst(task, targets_N, [clean_N, *by_kind.values()])
    columns = {AS_IT_IS: clean_N, **by_kind, WORST: worst_N}
    scores = Resamples(task, targets_N, columns, num_samples=num_samples, seed=seed)
    p_values: dict[str, float] = {}
    kinds: dict[str, Facts] = {}
    for kind, column in by_kind.items():
        kinds[kind] = _against_clean(scores, metric, kind, confidence, p_values)
        kinds[kind] |= {"flipped": float(_differs(task, clean_N, column).mean()), "num_changed": num_changed[kind]}
    adjusted = holm(p_values)
    for kind, one in kinds.items():
        if "drop" in one:
            one["drop"]["p_value"] = adjusted[kind]
            one["drop"]["verdict"] = _verdict(one["drop"], adjusted[kind], confidence)
    return {
        "task": task,
        "metric": metric.name,
        "num_rows": len(targets_N),
        "confidence": confidence,
        "clean": _score(scores, metric, AS_IT_IS, confidence),
        "kinds": kinds,
        "average": _average(scores, metric, list(by_kind), confidence),
        "worst": _against_clean(scores, metric, WORST, confidence, {})
        | {"flipped": float(np.any([_differs(task, clean_N, one) for one in by_kind.values()], axis=0).mean())},
    }


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """The p-values corrected for how many there are, so that together they err as rarely as one. Source: Holm 1979."""
    adjusted: dict[str, float] = {}
    largest = 0.0
    for place, (name, p_value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_value))
        adjusted[name] = largest
    return adjusted


def _score(scores: Resamples, metric: Metric, name: str, confidence: float) -> Facts:
    value = scores.points[name][metric.name]
    try:
        seen = scores.interval(name, metric.name, confidence)
    except Undefined as why:
        return {"value": None, "why": str(why)}
    return {"value": value, "low": seen.low, "high": seen.high}


def _against_clean(
    scores: Resamples, metric: Metric, name: str, confidence: float, p_values: dict[str, float]
) -> Facts:
    """A column's score, and what it lost against the texts as they are; a loss is positive whatever the metric."""
    facts = _score(scores, metric, name, confidence)
    try:
        seen = scores.compare(metric.name, name, AS_IT_IS, confidence)
    except Undefined:
        return facts
    p_values[name] = seen.p_value
    ends = (-seen.low, -seen.high) if metric.higher_is_better else (seen.low, seen.high)
    drop = -seen.difference if metric.higher_is_better else seen.difference
    lost: Facts = {"value": drop + 0.0, "low": min(ends) + 0.0, "high": max(ends) + 0.0, "p_value": seen.p_value}
    lost["verdict"] = _verdict(lost, seen.p_value, confidence)
    return facts | {"drop": lost}


def _verdict(drop: Facts, p_value: float, confidence: float) -> str:
    return "shown" if drop["low"] > 0 and p_value < 1 - confidence else "not shown"


def _average(scores: Resamples, metric: Metric, kinds: Sequence[str], confidence: float) -> Facts:
    """The mean over the kinds."""
    value = float(np.mean([scores.points[kind][metric.name] for kind in kinds]))
    draws_S = np.mean([scores.draws[kind][metric.name] for kind in kinds], axis=0)
    if np.isnan(value) or np.isnan(draws_S).mean() > 0.1:
        return {"value": None, "why": metric.undefined or "the metric has no value"}
    low, high = np.nanpercentile(draws_S, [50 * (1 - confidence), 50 * (1 + confidence)])
    return {"value": value, "low": float(low), "high": float(high)}


def _worst(task: Task, targets_N: Column, columns: Sequence[Column]) -> Column:
    """For each row the answer that is farthest from the truth; the earliest of equals."""
    off_KN = np.stack([_off(task, targets_N, column) for column in columns])
    worst_N = off_KN.argmax(0)
    return np.asarray(np.stack(columns)[worst_N, np.arange(len(targets_N))])


def _off(task: Task, targets_N: Column, column: Column) -> Column:
    if task == "classify":
        return np.asarray(column != targets_N, float)
    wrong = (column >= 0) != (targets_N > 0) if task == "tag" else np.abs(column - targets_N)
    return np.asarray(wrong.reshape(len(wrong), -1).sum(1), float)


def _differs(task: Task, first_N: Column, second_N: Column) -> Column:
    """Rows whose answer changed; numbers by a tenth of their own spread or more."""
    if task == "classify":
        return np.asarray(first_N != second_N)
    if task == "tag":
        return np.asarray(((first_N >= 0) != (second_N >= 0)).any(1))
    change = np.abs(second_N - first_N) > 0.1 * first_N.std(0)
    return np.asarray(change.reshape(len(change), -1).any(1))


def watched(name: str | None, task: Task, usual: str) -> Metric:
    """The metric that was asked for, or the usual one of the task."""
    return table.find(name or usual, task)
