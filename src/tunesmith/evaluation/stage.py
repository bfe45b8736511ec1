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
from tunesmith.evaluation.detail import by_class, by_tag, by_target, label_gaps
from tunesmith.evaluation.limits import check_limits, divided, with_checks
from tunesmith.evaluation.measures import measure
from tunesmith.evaluation.predictions import Predictions, decided
from tunesmith.evaluation.rejection import rejection_facts
from tunesmith.evaluation.retained import retained
from tunesmith.evaluation.significance import MODEL, Resamples, intervals
from tunesmith.evaluation.truth import Truth, given_labels, truth_of
from tunesmith.models.manifest import Decision

OUTSIDE = "outside.parquet"


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

        truth, answers, aside = self._answers(given, test, context)
        predicted = {MODEL: answers.predicted_N, **{name: truth.comparable(one) for name, one in baselines.items()}}
        scores = Resamples(
            self.config.task,
            truth.targets_N,
            predicted,
            num_samples=self.config.bootstrap_samples,
            seed=context.seed,
        )
        more = measure(self.config, given, test, truth.targets_N, answers, context.seed)
        kept, more.values["forgetting"] = retained(
            self.config, given["splits"].path, test, truth.targets_N, predicted, context.seed
        )
        if kept is not None:
            more.facts["retained"] = kept
        rules, limits = divided(rules)
        judgement, comparisons, not_measured = gates.judge(rules, scores, self.config.confidence)
        judgement = with_checks(judgement, check_limits(limits, more.values, self.config.confidence))
        measured, gaps = intervals(scores, self.config.confidence)
        detail, more_gaps = self._detail(given, truth, answers, test, baselines, context.seed)
        if aside is not None:
            detail["rejection"] = aside
        facts: Facts = {
            "task": self.config.task,
            "num_rows": test.height,
            "primary": gates.primary(rules, self.config.task),
            "metrics": {"test": measured.pop(MODEL)},
            **detail,
            "baselines": measured,
            "comparisons": [asdict(comparison) for comparison in comparisons],
            "gate": judgement.to_facts(),
            "not_measured": {
                **gaps,
                **not_measured,
                **more_gaps,
                **label_gaps(truth, answers),
                **more.not_measured,
            },
            "truncated_rows": answers.truncated_rows,
            "num_truncated_tokens": answers.num_truncated_tokens,
            **more.facts,
        }
        decision = _decision(given)
        _write(context.out / "report", facts, _frame(test, truth, answers, decision, baselines))
        return {"report": facts}

    def _answers(
        self, given: Given, test: pl.DataFrame, context: StepContext
    ) -> tuple[Truth, Predictions, Facts | None]:
        """What the test rows say, what the model answers in the same form, and how it rejects where it does."""
        task, decision = self.config.task, _decision(given)
        outside = _outside(given["splits"].path)
        engine = self.open_engine(given["model"].path, given["base"].path)
        try:
            found = answered(engine, test["text"].to_list(), context, "predicting the test rows")
            beyond = None
            if decision.reject is not None and outside is not None and outside.height:
                beyond = answered(engine, outside["text"].to_list(), context, "predicting the rows out of scope")
            labels = list(engine.labels)
        finally:
            engine.close()
        names = list(given["splits"].facts.get("targets", ())) if task == "regress" else labels
        answers = decided(task, names, decision, found.values_NC, found.num_cut_N, found.score_N)
        scale = given["splits"].facts.get("scale") if task == "regress" else None
        truth = truth_of(task, test["label"].to_list(), labels, scale)
        if decision.reject is None or found.score_N is None:
            return truth, truth.answers(answers), None
        facts = rejection_facts(
            decision.reject,
            found.score_N,
            answers.predicted_N == truth.targets_N,
            found.values_NC.max(1),
            None if beyond is None or beyond.score_N is None else (beyond.score_N, beyond.values_NC.max(1)),
            confidence=self.config.confidence,
            seed=context.seed,
        )
        if beyond is not None and outside is not None:
            more = decided(task, labels, decision, beyond.values_NC, beyond.num_cut_N, beyond.score_N)
            folder = context.out / "report"
            folder.mkdir(parents=True, exist_ok=True)
            _answered(outside.select("row_id", "source_id", "text"), more, decision).write_parquet(folder / OUTSIDE)
        return truth, truth.answers(answers), facts

    def _detail(
        self,
        given: Given,
        truth: Truth,
        answers: Predictions,
        test: pl.DataFrame,
        baselines: Mapping[str, NDArray[Any]],
        seed: int,
    ) -> tuple[Facts, dict[str, str]]:
        """Scores by label or by target, and those that have no value."""
        if truth.task == "classify":
            return by_class(truth.targets_N, answers), {}
        if truth.task == "tag":
            return by_tag(truth, answers, _decision(given)), {}
        if truth.scale is None:
            return {}, {}
        facts, gaps = by_target(
            list(truth.scale),
            np.array(test["label"].to_list(), float),
            {MODEL: answers.values_NC, **baselines},
            confidence=self.config.confidence,
            num_samples=self.config.bootstrap_samples,
            seed=seed,
        )
        scale = {name: {"mean": one["mean"], "std": one["std"]} for name, one in truth.scale.items()}
        return {**facts, "scale": scale}, gaps


def _decision(given: Given) -> Decision:
    return Decision.model_validate(given["model"].facts.get("decision", {}))


def _outside(splits: Path) -> pl.DataFrame | None:
    """The test rows out of scope, where the splits keep some."""
    file = splits / OUTSIDE
    return pl.read_parquet(file).filter(pl.col("split") == "test") if file.is_file() else None


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


def _frame(
    test: pl.DataFrame,
    truth: Truth,
    answers: Predictions,
    decision: Decision,
    baselines: Mapping[str, NDArray[Any]],
) -> pl.DataFrame:
    """The test rows with what was predicted for them."""
    frame = _answered(test.select("row_id", "source_id", "text", "label"), answers, decision)
    if truth.task != "tag":
        return frame.with_columns(pl.Series(f"baseline_{name}", one.tolist()) for name, one in baselines.items())
    names = pl.List(pl.String)
    return frame.with_columns(
        pl.Series(f"baseline_{name}", given_labels(margins_NC, answers.labels), dtype=names)
        for name, margins_NC in baselines.items()
    )


def _answered(frame: pl.DataFrame, answers: Predictions, decision: Decision) -> pl.DataFrame:
    """Rows with the model's answers beside them."""
    values = answers.values_NC
    if answers.probability_N is not None:
        frame = frame.with_columns(
            pl.Series("predicted", answers.predicted_N.tolist()),
            pl.Series("probability", answers.probability_N.tolist()),
        )
        if decision.reject is not None and answers.score_N is not None:
            score = pl.Series("score", answers.score_N.tolist())
            frame = frame.with_columns(score, (score < decision.reject.threshold).alias("is_rejected"))
        return frame
    if len(answers.labels) and frame.schema.get("label") == pl.List(pl.String):
        given_ = given_labels(answers.predicted_N, answers.labels)
        return frame.with_columns(
            pl.Series("predicted", given_, dtype=pl.List(pl.String)),
            pl.Series("probabilities", values.tolist(), dtype=pl.List(pl.Float64)),
        )
    several = pl.Series("predicted", values.tolist(), dtype=pl.List(pl.Float64))
    return frame.with_columns(several if values.shape[1] > 1 else pl.Series("predicted", values[:, 0].tolist()))


def _write(folder: Path, facts: Facts, frame: pl.DataFrame) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(folder / "predictions.parquet")
    text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")
