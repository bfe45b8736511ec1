"""Stage ``robustness``: the model on test texts as people really send them, beside the same texts as they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

import polars as pl

from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.core.tasks import Task
from tunesmith.evaluation.answering import OpenEngine, Predictor, answered, open_transformers
from tunesmith.evaluation.measures_config import WATCHED, RobustnessStageConfig
from tunesmith.evaluation.noise import AS_IT_IS, Perturbed, chosen_rows, noise_facts, perturbed, watched
from tunesmith.evaluation.predictions import Predictions, decided
from tunesmith.evaluation.truth import given_labels, truth_of
from tunesmith.models.manifest import ModelManifest, TextRepair
from tunesmith.texts.repair import repair_texts


class Robustness:
    """Answers every chosen test row once as it is and once for each kind of perturbation."""

    makes: ClassVar[dict[str, str]] = {"robustness": "robustness"}

    def __init__(self, config: RobustnessStageConfig, open_engine: OpenEngine = open_transformers) -> None:
        self.config, self.open_engine = config, open_engine

    def run(self, given: Given, context: StepContext) -> dict[str, Facts]:
        """The facts of the robustness; the perturbed rows with their answers lie in ``perturbed.parquet``."""
        test = pl.read_parquet(given["splits"].path / "test.parquet")
        asked = self.config.robustness
        test = test[chosen_rows(test.height, asked.rows, context.seed)]
        facts, frame = self._measured(given, context, test)
        folder = context.out / "robustness"
        folder.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(folder / "perturbed.parquet")
        text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False)
        (folder / "robustness.json").write_text(text + "\n", encoding="utf-8")
        return {"robustness": facts}

    def _measured(self, given: Given, context: StepContext, test: pl.DataFrame) -> tuple[Facts, pl.DataFrame]:
        task, asked = self.config.task, self.config.robustness
        metric = watched(asked.metric, task, WATCHED[task])
        settings: Facts = {"task": task, "metric": metric.name, "num_rows": test.height, "strength": asked.strength}
        texts, row_ids = test["text"].to_list(), test["row_id"].cast(pl.String).to_list()
        made = perturbed(texts, row_ids, asked, context.seed)
        if not test.height:
            return settings | {"not_measured": "there is no test row"}, _frame(task, row_ids, texts, made, {})
        manifest = ModelManifest.read(given["model"].path)
        engine = self.open_engine(given["model"].path, given["base"].path)
        try:
            answers = {AS_IT_IS: _predicted(engine, manifest, texts, context, AS_IT_IS)}
            answers |= {one.kind: _predicted(engine, manifest, one.texts, context, one.kind) for one in made}
            scale = given["splits"].facts.get("scale") if task == "regress" else None
            truth = truth_of(task, test["label"].to_list(), engine.labels, scale)
        finally:
            engine.close()
        columns = {kind: truth.answers(one).predicted_N for kind, one in answers.items()}
        facts = noise_facts(
            task,
            metric,
            truth.targets_N,
            columns[AS_IT_IS],
            {one.kind: columns[one.kind] for one in made},
            {one.kind: one.num_changed for one in made},
            confidence=self.config.confidence,
            num_samples=self.config.bootstrap_samples,
            seed=context.seed,
        )
        return settings | facts, _frame(
            task, row_ids, texts, made, {kind: _shown(task, one) for kind, one in answers.items()}
        )


def _predicted(
    engine: Predictor, manifest: ModelManifest, texts: Sequence[str], context: StepContext, note: str
) -> Predictions:
    """What the model predicts for texts that come from outside: they are repaired first, as every text answered is."""
    repaired = _repaired(texts, manifest.repair)
    seen = answered(engine, repaired, context, note)
    names = list(manifest.targets) if manifest.task == "regress" else list(engine.labels)
    return decided(manifest.task, names, manifest.decision, seen.values_NC, seen.num_cut_N, seen.score_N)


def _repaired(texts: Sequence[str], repair: TextRepair) -> list[str]:
    return repair_texts(texts, unicode=repair.unicode, whitespace=repair.whitespace)


def _shown(task: Task, answers: Predictions) -> list[Any]:
    """The answers as a table holds them."""
    predicted: list[Any] = answers.predicted_N.tolist()
    return given_labels(answers.predicted_N, answers.labels) if task == "tag" else predicted


def _frame(
    task: Task, row_ids: list[str], texts: list[str], made: list[Perturbed], columns: dict[str, list[Any]]
) -> pl.DataFrame:
    """Row, kind, text and answer, every kind below the texts as they are."""
    # Named, because a kind under which no row is given any label would else have no type.
    first = next((one[0] for one in columns.values() if one), "")
    dtype: Any = pl.String if isinstance(first, str) else pl.Float64
    if isinstance(first, list):
        dtype = pl.List(pl.Float64 if task == "regress" else pl.String)
    parts = [(AS_IT_IS, texts), *((one.kind, one.texts) for one in made)]
    return pl.concat(
        pl.DataFrame({"row_id": row_ids, "kind": kind, "text": written}).with_columns(
            pl.Series("predicted", columns.get(kind, []), dtype=dtype)
        )
        for kind, written in parts
    )
