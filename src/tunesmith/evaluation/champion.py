"""The stage `champion`: the model in production predicts its challenger's rows, as one baseline more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import polars as pl

from tunesmith.core.errors import DataError
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.evaluation.answering import OpenEngine, answered, open_transformers
from tunesmith.evaluation.baselines.stage import PREDICTED, PREDICTIONS
from tunesmith.evaluation.config import CHAMPION, BaselinesConfig
from tunesmith.evaluation.predictions import Predictions, decided
from tunesmith.evaluation.truth import NOT_GIVEN
from tunesmith.models.manifest import Decision


class Champion:
    """Adds the champion's predictions to those of the baselines."""

    makes: ClassVar[Mapping[str, str]] = {"baselines": "baselines"}

    def __init__(self, config: BaselinesConfig, open_engine: OpenEngine = open_transformers) -> None:
        self.config, self.open_engine = config, open_engine

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the baselines with the champion among them."""
        baselines, splits, model = given["baselines"], given["splits"], given["model"]
        table = pl.read_parquet(baselines.path / PREDICTIONS)
        texts = [pl.read_parquet(splits.path / f"{name}.parquet", columns=["text"])["text"] for name in PREDICTED]
        engine = self.open_engine(model.path, given["base"].path if "base" in given else model.path)
        try:
            found = answered(engine, pl.concat(texts).to_list(), context, "the champion predicts")
            labels = list(engine.labels)
        finally:
            engine.close()
        decision = Decision.model_validate(model.facts.get("decision", {}))
        targets = list(model.facts.get("targets") or {})
        names = targets if self.config.task == "regress" else labels
        wanted = splits.facts.get("targets" if self.config.task == "regress" else "labels", ())
        if self.config.task == "regress" and sorted(targets) != sorted(wanted):
            raise DataError(
                "the champion answers with other numbers than its challenger, so they cannot be compared",
                seen=", ".join(wanted) or "one number",
                allowed=", ".join(targets) or "one number",
                next="name the columns of `label` as they were, or train a new model by a recipe without `champion`",
            )
        answers = decided(self.config.task, names, decision, found.values_NC, found.num_cut_N, found.score_N)
        column = _column(self.config.task, answers, wanted)
        folder = context.out / "baselines"
        folder.mkdir(parents=True, exist_ok=True)
        table.with_columns(column.alias(CHAMPION)).write_parquet(folder / PREDICTIONS)
        facts: Facts = {**baselines.facts, "names": [*baselines.facts["names"], CHAMPION]}
        facts["settings"] = {**facts["settings"], CHAMPION: {"model": model.digest[:12], "labels": len(labels)}}
        return {"baselines": facts}


def _column(task: str, answers: Predictions, wanted: Sequence[str]) -> pl.Series:
    """The champion's predictions as the baselines write theirs; a label it does not know is never given."""
    if task == "classify":
        return pl.Series(answers.predicted_N.tolist(), dtype=pl.String)
    predicted_N: Any = answers.predicted_N
    if task == "regress":
        if len(wanted) < 2:
            return pl.Series(predicted_N.tolist(), dtype=pl.Float64)
        places = [answers.labels.index(name) for name in wanted]
        return pl.Series(predicted_N[:, places].tolist(), dtype=pl.List(pl.Float64))
    margins_NC = np.full((len(predicted_N), len(wanted)), NOT_GIVEN)
    for at, name in enumerate(wanted):
        if name in answers.labels:
            margins_NC[:, at] = predicted_N[:, answers.labels.index(name)]
    return pl.Series(margins_NC.tolist(), dtype=pl.List(pl.Float64))
