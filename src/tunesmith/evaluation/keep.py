"""The stage ``keep``: of a model trained on the rows as they came and one trained on more rows made from them, the
second only if the validation rows show a gain beyond noise."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import polars as pl

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import DataError
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.evaluation.answering import OpenEngine, answered, open_transformers
from tunesmith.evaluation.keep_config import KeepConfig
from tunesmith.evaluation.predictions import Predictions, decided
from tunesmith.evaluation.significance import Resamples, Undefined
from tunesmith.metrics import table
from tunesmith.models.manifest import Decision

PLAIN, AUGMENTED = "plain", "augmented"


class Keep:
    """Compares the two models on the validation rows and hands on the one that is kept."""

    makes: ClassVar[Mapping[str, str]] = {"model": "model", "history": "history", "augmentation": "report"}

    def __init__(self, config: KeepConfig, open_engine: OpenEngine = open_transformers) -> None:
        self.config, self.open_engine = config, open_engine

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the model that is kept, of its history, and of the comparison."""
        rows = pl.read_parquet(given["splits"].path / "validation.parquet")
        if not rows.height:
            raise DataError(
                "there is no validation row, so nothing can be said of the rows that were made",
                next="give `split.validation` a share, or leave `data.augment` out",
            )
        facts = self._compared(rows, given, context)
        kept = AUGMENTED if facts["is_kept"] else PLAIN
        shutil.copytree(given[kept].path, context.out / "model", dirs_exist_ok=True)
        shutil.copytree(given[f"{kept}_history"].path, context.out / "history", dirs_exist_ok=True)
        folder = context.out / "augmentation"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "augmentation.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False), "utf-8")
        return {
            "model": dict(given[kept].facts),
            "history": dict(given[f"{kept}_history"].facts),
            "augmentation": facts,
        }

    def _compared(self, rows: pl.DataFrame, given: Given, context: StepContext) -> dict[str, Any]:
        config = self.config
        metric = table.PRIMARY[config.task]
        answers = {name: self._answers(given[name], given["base"], rows, context) for name in (PLAIN, AUGMENTED)}
        targets = np.array(rows["label"].to_list(), dtype=str if config.task == "classify" else float)
        predicted = {name: one.predicted_N for name, one in answers.items()}
        scores = Resamples(config.task, targets, predicted, num_samples=config.bootstrap_samples, seed=context.seed)
        facts: dict[str, Any] = {
            "metric": metric,
            "num_rows": rows.height,
            "made": given["splits"].facts["augmented"],
            "values": {name: points[metric] for name, points in scores.points.items()},
        }
        try:
            comparison = scores.compare(metric, AUGMENTED, PLAIN, config.confidence)
        except Undefined as why:
            return {**facts, "is_kept": False, "comparison": None, "why": str(why)}
        is_kept = comparison.verdict == "better"
        return {**facts, "is_kept": is_kept, "comparison": asdict(comparison), "why": comparison.verdict}

    def _answers(self, model: Artifact, base: Artifact, rows: pl.DataFrame, context: StepContext) -> Predictions:
        decision = Decision.model_validate(model.facts.get("decision", {}))
        engine = self.open_engine(model.path, base.path)
        try:
            answers = answered(engine, rows["text"].to_list(), context, "predicting the validation rows")
            labels = engine.labels
        finally:
            engine.close()
        return decided(self.config.task, labels, decision, answers.values_NC, answers.num_cut_N, answers.score_N)
