"""Two models on the test rows they share: which is better, by how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import DataError, RecipeError
from tunesmith.core.tasks import Task, is_language
from tunesmith.evaluation.language.shared import have_same_tokens, num_changed, shared_rows, shared_statistics
from tunesmith.evaluation.significance import Resamples, Undefined
from tunesmith.evaluation.truth import NOT_GIVEN, Truth, truth_of
from tunesmith.lifecycle.reports import report_of, task_of
from tunesmith.lifecycle.session import Session
from tunesmith.metrics import table

FIRST, SECOND = "a", "b"


@dataclass(frozen=True)
class ModelComparison:
    """The first model against the second; a difference is the first less the second."""

    a: str
    b: str
    task: str
    primary: str
    """The metric the first model's gate rests on."""
    verdict: str
    """better, not shown or worse: of the first, by the primary metric."""
    rows: dict[str, int]
    """Test rows of ``a``, of ``b``, and ``shared``, on which both are compared."""
    metrics: dict[str, dict[str, Any]]
    """Metric → both values with intervals, difference with interval, p-value and verdict."""
    not_measured: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON values."""
        return asdict(self)


def compare(
    session: Session, a: str, b: str, *, confidence: float = 0.95, num_samples: int = 2000, seed: int = 0
) -> ModelComparison:
    """The first model against the second, by every metric, on the test rows that both were measured on.

    Raises: DataError where they share no test row, RecipeError where they answer different questions.
    """
    reports = {FIRST: report_of(session, a), SECOND: report_of(session, b)}
    task: Any = task_of(*reports.values())
    not_measured: dict[str, str] = {}
    if is_language(task):
        rows, columns = _written(task, reports, a, b, not_measured)
        targets: Any = range(len(columns[FIRST]))
    else:
        shared, rows = _shared(reports, a, b)
        truth, columns = _comparable(task, reports, shared)
        targets = truth.targets_N
    scores = Resamples(task, targets, columns, num_samples=num_samples, seed=seed)
    metrics: dict[str, dict[str, Any]] = {}
    for metric in table.of_task(task):
        if metric in not_measured:
            continue
        try:
            paired = asdict(scores.compare(metric, FIRST, SECOND, confidence))
            intervals = {name: asdict(scores.interval(name, metric, confidence)) for name in (FIRST, SECOND)}
        except Undefined as why:
            not_measured[metric] = str(why)
            continue
        del paired["metric"], paired["against"]
        metrics[metric] = intervals | paired
    primary = str(reports[FIRST].facts["primary"])
    verdict = metrics[primary]["verdict"] if primary in metrics else "not shown"
    return ModelComparison(a, b, task, primary, verdict, rows, metrics, not_measured)


def _shared(reports: Mapping[str, Artifact], a: str, b: str) -> tuple[pl.DataFrame, dict[str, int]]:
    """The rows that both reports hold, in the first one's order, with both predictions."""
    first, second = (pl.read_parquet(one.path / "predictions.parquet") for one in reports.values())
    answer = "probabilities" if "probabilities" in first.columns else "predicted"
    both = first.select("row_id", "label", pl.col(answer).alias("predicted_a")).join(
        second.select("row_id", pl.col("label").alias("label_b"), pl.col(answer).alias("predicted_b")),
        on="row_id",
        maintain_order="left",
    )
    rows = {FIRST: first.height, SECOND: second.height, "shared": both.height}
    changed = both.filter(pl.col("label") != pl.col("label_b")).height
    measure_both = f"measure both on one labelled file: tunesmith evaluate {b} FILE --label-column COLUMN"
    _check_shared(rows, changed, a, b, what="label", measure_both=measure_both)
    return both, rows


def _written(
    task: str, reports: Mapping[str, Artifact], a: str, b: str, not_measured: dict[str, str]
) -> tuple[dict[str, int], dict[str, NDArray[Any]]]:
    """How many test rows both language models were measured on, and the statistics of their prompts."""
    frames = {name: pl.read_parquet(one.path / "predictions.parquet") for name, one in reports.items()}
    shared = shared_rows(frames)
    rows = {name: frame["weight"].count() for name, frame in frames.items()} | {"shared": shared[FIRST].height}
    measure_both = "run both recipes on the same sources, with the same split"
    _check_shared(rows, num_changed(shared), a, b, what="answer", measure_both=measure_both)
    if not have_same_tokens(shared):
        not_measured["perplexity"] = "the models have other tokens; bits per byte compares them"
    return rows, shared_statistics(shared, task)


def _check_shared(rows: Mapping[str, int], changed: int, a: str, b: str, *, what: str, measure_both: str) -> None:
    """Raise where two models share no test row, or a row has another label or answer in the second run."""
    if not rows["shared"]:
        raise DataError(
            "these models were not measured on the same test rows",
            seen=f"{rows[FIRST]} test rows of {a}, {rows[SECOND]} of {b}, 0 shared",
            next=measure_both,
        )
    if changed:
        raise DataError(
            f"the {what}s of the shared test rows were changed between the two runs",
            seen=f"{changed} of {rows['shared']} rows have another {what}",
            next=f"run the recipe of {b} again on today's {what}s",
        )


def _comparable(
    task: Task, reports: Mapping[str, Artifact], shared: pl.DataFrame
) -> tuple[Truth, dict[str, NDArray[Any]]]:
    """What the shared rows say, and what each model answered to them in the same form.

    Raises: RecipeError where the models have other targets.
    """
    labels = shared["label"].to_list()
    answers = {name: np.array(shared[f"predicted_{name}"].to_list()) for name in (FIRST, SECOND)}
    if task == "tag":
        known = {name: _thresholds(one) for name, one in reports.items()}
        truth = truth_of(task, labels, sorted({label for one in known.values() for label in one}), None)
        return truth, {name: _margins(answers[name], known[name], truth.labels) for name in answers}
    first, second = (one.facts.get("targets") for one in reports.values())
    if first != second:
        raise RecipeError("these models predict other targets", seen=f"{first} and {second}")
    truth = truth_of(task, labels, (), reports[FIRST].facts.get("scale"))
    return truth, {name: truth.comparable(column) for name, column in answers.items()}


def _thresholds(report: Artifact) -> dict[str, float]:
    """The labels that a model knows, each with the probability from which it is given."""
    per_class: Mapping[str, Any] = report.facts["per_class"]
    return {label: one["threshold"] for label, one in per_class.items() if one["threshold"] is not None}


def _margins(probability_NC: NDArray[Any], known: Mapping[str, float], labels: Sequence[str]) -> NDArray[np.float64]:
    """Margins by label; a label the model does not know is never given."""
    margins_NC = np.full((len(probability_NC), len(labels)), NOT_GIVEN)
    place = [list(labels).index(label) for label in known]
    margins_NC[:, place] = probability_NC - np.array(list(known.values()))
    return margins_NC
