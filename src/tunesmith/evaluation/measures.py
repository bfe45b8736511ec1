"""Everything measured beyond the metrics, as facts for the report and as numbers that the gate can hold to a limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tunesmith.core.stage import Given
from tunesmith.evaluation.calibration import label_calibration, number_intervals, places
from tunesmith.evaluation.config import EvaluateStageConfig
from tunesmith.evaluation.criteria import CRITERIA
from tunesmith.evaluation.curves import label_curves
from tunesmith.evaluation.groups import Spread, spread
from tunesmith.evaluation.limits import Measured
from tunesmith.evaluation.measures_config import WATCHED, FairnessConfig
from tunesmith.evaluation.predictions import Predictions
from tunesmith.metrics import table
from tunesmith.metrics.classification import Tally
from tunesmith.metrics.table import Metric

Facts = dict[str, Any]


@dataclass
class Measures:
    """What was measured, for the report (``facts``), for the gate (``values``), and what could not be."""

    facts: Facts = field(default_factory=dict)
    values: dict[str, Measured | str] = field(default_factory=dict)
    """Criterion → what was measured, or why it was not."""
    not_measured: dict[str, str] = field(default_factory=dict)


def measure(
    config: EvaluateStageConfig,
    given: Given,
    test: pl.DataFrame,
    targets_N: NDArray[Any],
    answers: Predictions,
    seed: int,
) -> Measures:
    """Calibration, curves and groups of these answers, and what the steps ``robustness`` and ``cost`` found."""
    found = Measures()
    _calibration(found, config, given, targets_N, answers, seed)
    _curves(found, config, targets_N, answers)
    if config.fairness is not None:
        _fairness(found, config, config.fairness, test, targets_N, answers, seed)
    _robustness(found, given)
    _cost(found, given)
    return found


def _calibration(
    found: Measures,
    config: EvaluateStageConfig,
    given: Given,
    targets_N: NDArray[Any],
    answers: Predictions,
    seed: int,
) -> None:
    seen: Facts | str
    if config.task == "classify":
        temperature = float(given["model"].facts.get("decision", {}).get("temperature", 1.0))
        seen = label_calibration(
            answers.values_NC,
            places(targets_N, answers.labels),
            temperature,
            confidence=config.confidence,
            seed=seed,
        )
        value: Measured | str = seen if isinstance(seen, str) else _measured(seen["error"], _rows(len(targets_N)))
        found.values["calibration_error"] = value
    elif config.task == "regress" and targets_N.ndim == 1:
        seen = number_intervals(targets_N, answers.predicted_N, confidence=config.confidence, seed=seed)
    else:
        seen = "it is measured for one label or one number a text"
    _keep(found, "calibration", seen)


def _curves(found: Measures, config: EvaluateStageConfig, targets_N: NDArray[Any], answers: Predictions) -> None:
    if config.task == "regress":
        return
    belongs_NC = targets_N[:, None] == np.array(answers.labels) if config.task == "classify" else targets_N > 0
    # Labels that only test rows have come last, and have no ranking.
    belongs_NC = belongs_NC[:, : len(answers.labels)]
    seen = label_curves(answers.values_NC, belongs_NC, answers.labels)
    _keep(found, "curves", seen)
    for name in ("auroc_macro", "average_precision_macro"):
        found.values[name] = seen if isinstance(seen, str) else Measured(seen[name], _rows(len(targets_N)))


def _fairness(
    found: Measures,
    config: EvaluateStageConfig,
    asked: FairnessConfig,
    test: pl.DataFrame,
    targets_N: NDArray[Any],
    answers: Predictions,
    seed: int,
) -> None:
    metric = table.find(asked.metric or WATCHED[config.task], config.task)
    # Several columns are several looks: each gap takes its share of the error that is allowed.
    gap_confidence = 1 - (1 - config.confidence) / len(asked.by)
    columns: list[Facts] = []
    for column in asked.by:
        if column not in test.columns:
            found.not_measured[f"fairness by {column}"] = "the test rows have no such column"
            continue
        values: list[str | None] = test[column].cast(pl.String).to_list()

        def over_groups(what: Metric, values: list[str | None] = values) -> Spread:
            return spread(
                what,
                config.task,
                targets_N,
                answers.predicted_N,
                values,
                min_rows=asked.min_rows,
                confidence=config.confidence,
                gap_confidence=gap_confidence,
                num_samples=config.bootstrap_samples,
                seed=seed,
            )

        facts: Facts = {"by": column, "min_rows": asked.min_rows, **over_groups(metric).to_facts()}
        if asked.positive is not None:
            facts["positive"] = asked.positive
            facts["selection"] = over_groups(_selection(asked.positive)).to_facts()
        columns.append(facts)
    found.facts["groups"] = columns
    _fairness_values(found, columns, metric)


def _fairness_values(found: Measures, columns: list[Facts], metric: Metric) -> None:
    few = "fewer than two groups have enough test rows to be compared"
    found.values["fairness_gap"] = _largest_gap(columns) or few
    found.values["selection_gap"] = _largest_gap([one["selection"] for one in columns if "selection" in one]) or few
    groups = [(one["by"], group) for one in columns for group in one["groups"]]
    if groups:
        pick = min if metric.higher_is_better else max
        column, worst = pick(groups, key=lambda item: item[1]["value"])
        words = f"in the group {column} = {_named(worst['group'])} of {worst['num_rows']:,} test rows"
        found.values["fairness_worst"] = _measured(worst, f"{metric.name} {words}")
    else:
        found.values["fairness_worst"] = "no group has enough test rows"


def _largest_gap(columns: list[Facts]) -> Measured | None:
    gaps = [one["gap"] for one in columns if one["gap"]]
    if not gaps:
        return None
    largest = max(gaps, key=lambda gap: gap["value"])
    words = f"between {_named(largest['lowest'])} and {_named(largest['highest'])}, a gap that is {largest['verdict']}"
    # All intervals hold together, so the largest of their upper ends bounds every gap.
    low, high = max(gap["low"] for gap in gaps), max(gap["high"] for gap in gaps)
    return Measured(largest["value"], words, low, high)


def _selection(positive: str) -> Metric:
    """How often a label is given, as a metric of a group."""

    def given_rate(counts: Tally) -> NDArray[np.float64]:
        if positive not in counts.labels:
            return np.zeros(counts.support_XC.shape[:-1])
        rows = counts.support_XC.sum(-1)
        given = counts.predicted_XC[..., counts.labels.index(positive)]
        return np.asarray(np.divide(given, rows, out=np.zeros(np.shape(rows)), where=rows > 0))

    return Metric("selection_rate", "classify", given_rate)


def _robustness(found: Measures, given: Given) -> None:
    names = [name for name, one in CRITERIA.items() if one.measure == "robustness"]
    if "robustness" not in given:
        found.values |= dict.fromkeys(names, "`evaluate.robustness` is off")
        return
    facts = given["robustness"].facts
    if "not_measured" in facts:
        found.not_measured["robustness"] = str(facts["not_measured"])
        found.values |= dict.fromkeys(names, str(facts["not_measured"]))
        return
    for name in names:
        one = facts[name.removeprefix("robustness_")]
        words = f"{facts['metric']} {_rows(facts['num_rows'])}"
        found.values[name] = str(one["why"]) if one["value"] is None else _measured(one, words)


def _cost(found: Measures, given: Given) -> None:
    if "cost" not in given:
        names = [name for name, one in CRITERIA.items() if one.measure == "cost"]
        found.values |= dict.fromkeys(names, "`evaluate.latency` is off")
        return
    facts = given["cost"].facts
    where = f"over {facts['latency_ms']['num_answers']} answers on {facts['machine']['processor']}"
    for quantile in ("p50", "p95"):
        found.values[f"latency_{quantile}_ms"] = Measured(facts["latency_ms"][quantile], where)
    found.values["size_mb"] = Measured(facts["size_bytes"] / 1e6, "in all files that an answer needs")
    found.values["peak_mb"] = Measured(facts["peak_bytes"] / 1e6, "of the whole process that answered")


def _keep(found: Measures, name: str, seen: Facts | str) -> None:
    if isinstance(seen, str):
        found.not_measured[name] = seen
    else:
        found.facts[name] = seen


def _measured(one: Mapping[str, Any], words: str) -> Measured:
    return Measured(one["value"], words, one["low"], one["high"])


def _rows(num: int) -> str:
    return f"on {num:,} test rows"


def _named(group: str | None) -> str:
    return "rows without a value" if group is None else f"`{group}`"
