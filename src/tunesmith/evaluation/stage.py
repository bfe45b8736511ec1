"""Stage ``evaluate``: the model on the test rows, beside the baselines, and the gate's judgement."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tunesmith.core.errors import DataError
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.evaluation import gate as gates
from tunesmith.evaluation.answering import OpenEngine, answered, open_transformers
from tunesmith.evaluation.config import EvaluateStageConfig, check_gate, default_gate
from tunesmith.evaluation.gate import MODEL
from tunesmith.evaluation.limits import check_limits, divided, with_checks
from tunesmith.evaluation.measures import measure
from tunesmith.evaluation.predictions import Predictions, decided
from tunesmith.evaluation.significance import Resamples, Undefined
from tunesmith.metrics import classification, table
from tunesmith.models.manifest import Decision


class Evaluate:
    """Measures a model on the test rows and judges it by the gate."""

    makes: ClassVar[dict[str, str]] = {"report": "report"}

    def __init__(self, config: EvaluateStageConfig, open_engine: OpenEngine = open_transformers) -> None:
        self.config, self.open_engine = config, open_engine

    def run(self, given: Given, context: StepContext) -> dict[str, Facts]:
        """The report's facts; ``metrics.json`` and ``predictions.parquet`` lie beside each other."""
        test = pl.read_parquet(given["splits"].path / "test.parquet")
        if not test.height:
            raise DataError(
                "there is no test row, so nothing can be measured", next="give `split.test` a share, or add test rows"
            )
        baselines = _baselines(given["baselines"].path / "predictions.parquet", test)
        rules = self.config.gate
        if rules is None:
            rules = default_gate(self.config.task, list(baselines))
        check_gate(rules, self.config.task, list(baselines))

        decision = Decision.model_validate(given["model"].facts.get("decision", {}))
        engine = self.open_engine(given["model"].path, given["base"].path)
        try:
            texts = test["text"].to_list()
            given_answers = answered(engine, texts, context, "predicting the test rows")
            labels = engine.labels
        finally:
            engine.close()
        answers = decided(
            self.config.task,
            labels,
            decision,
            given_answers.values_NC,
            given_answers.num_cut_N,
            given_answers.score_N,
        )
        targets_N = np.array(test["label"].to_list(), dtype=str if self.config.task == "classify" else float)
        scores = Resamples(
            self.config.task,
            targets_N,
            {MODEL: answers.predicted_N, **baselines},
            num_samples=self.config.bootstrap_samples,
            seed=context.seed,
        )
        more = measure(self.config, given, test, targets_N, answers, context.seed)
        rules, limits = divided(rules)
        judgement, comparisons, not_measured = gates.judge(rules, scores, self.config.confidence)
        judgement = with_checks(judgement, check_limits(limits, more.values, self.config.confidence))
        measured, gaps = intervals(scores, self.config.confidence)
        facts: Facts = {
            "task": self.config.task,
            "num_rows": test.height,
            "primary": gates.primary(rules, self.config.task),
            "metrics": {"test": measured.pop(MODEL)},
            **(by_class(targets_N, answers) if self.config.task == "classify" else {}),
            "baselines": measured,
            "comparisons": [asdict(comparison) for comparison in comparisons],
            "gate": judgement.to_facts(),
            "not_measured": {
                **gaps,
                **not_measured,
                **label_gaps(self.config.task, targets_N, answers),
                **more.not_measured,
            },
            "truncated_rows": answers.truncated_rows,
            "num_truncated_tokens": answers.num_truncated_tokens,
            **more.facts,
        }
        _write(context.out / "report", facts, _frame(test, answers, baselines))
        return {"report": facts}


def _baselines(path: Path, test: pl.DataFrame) -> dict[str, NDArray[Any]]:
    """Each baseline's predictions of the test rows, in their order."""
    table_ = pl.read_parquet(path).filter(pl.col("split") == "test")
    if table_["row_id"].to_list() != test["row_id"].cast(pl.String).to_list():
        raise DataError(
            "the baselines predicted other rows than the test rows",
            seen=f"{table_.height} predictions, {test.height} rows",
            next="run the step `baselines` again on these splits",
        )
    return {name: np.array(table_[name].to_list()) for name in table_.columns if name not in ("split", "row_id")}


def intervals(scores: Resamples, confidence: float) -> tuple[dict[str, dict[str, Facts]], dict[str, str]]:
    """Every metric of every predictor with its interval, and why some have none."""
    measured: dict[str, dict[str, Facts]] = {name: {} for name in scores.points}
    gaps: dict[str, str] = {}
    for predictor in scores.points:
        for metric in table.of_task(scores.task):
            try:
                measured[predictor][metric] = asdict(scores.interval(predictor, metric, confidence))
            except Undefined as why:
                gaps[metric if predictor == MODEL else f"{metric} of {predictor}"] = str(why)
    return measured, gaps


def by_class(targets_N: NDArray[Any], answers: Predictions) -> Facts:
    """Scores by label and the confusion matrix, over the labels of the model and of the test rows."""
    labels = sorted({*answers.labels, *targets_N.tolist()})
    counts = classification.tally(targets_N, answers.predicted_N)
    columns = {
        "precision": classification.precision_per_class(counts),
        "recall": classification.recall_per_class(counts),
        "f1": classification.f1_per_class(counts),
    }
    place = {label: at for at, label in enumerate(counts.labels)}
    per_class: dict[str, Facts] = {}
    for label in labels:
        at = place.get(label)
        per_class[label] = {name: 0.0 if at is None else float(column[at]) for name, column in columns.items()}
        per_class[label]["support"] = 0 if at is None else int(counts.support_XC[at])
    confusion_CC = classification.confusion(targets_N.tolist(), answers.predicted_N.tolist(), labels)
    return {"per_class": per_class, "confusion": {"labels": labels, "counts": confusion_CC.tolist()}}


def label_gaps(task: table.Task, targets_N: NDArray[Any], answers: Predictions) -> dict[str, str]:
    """Labels that only the test rows or only the model know: the first count as errors, the second are not tested."""
    if task != "classify":
        return {}
    seen, counts = np.unique(targets_N, return_counts=True)
    support = dict(zip(seen.tolist(), counts.tolist(), strict=True))
    gaps = {
        f"label {label}": f"the model never saw it in training; its {support[label]:,} test rows count as errors"
        for label in support
        if label not in answers.labels
    }
    untested = [label for label in sorted(answers.labels) if label not in support]
    gaps.update({f"label {label}": "no test row has it, so its scores of 0 say nothing" for label in untested})
    return gaps


def _frame(test: pl.DataFrame, answers: Predictions, baselines: Mapping[str, NDArray[Any]]) -> pl.DataFrame:
    """The test rows with what was predicted for them."""
    frame = test.select("row_id", "source_id", "text", "label").with_columns(
        pl.Series("predicted", answers.predicted_N.tolist())
    )
    if answers.probability_N is not None:
        frame = frame.with_columns(pl.Series("probability", answers.probability_N.tolist()))
    return frame.with_columns(pl.Series(f"baseline_{name}", column.tolist()) for name, column in baselines.items())


def _write(folder: Path, facts: Facts, frame: pl.DataFrame) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(folder / "predictions.parquet")
    text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")
