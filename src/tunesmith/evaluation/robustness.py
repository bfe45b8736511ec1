"""Stage ``robustness``: the model on test texts as people really send them, beside the same texts as they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.evaluation.answering import OpenEngine, Predictor, answered, open_transformers
from tunesmith.evaluation.measures_config import WATCHED, RobustnessStageConfig
from tunesmith.evaluation.noise import Perturbed, chosen_rows, noise_facts, perturbed, watched
from tunesmith.evaluation.predictions import decided
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
        why = _unmeasurable(task, test)
        if why is not None:
            return settings | {"not_measured": why}, _frame(row_ids, texts, made, {})
        manifest = ModelManifest.read(given["model"].path)
        engine = self.open_engine(given["model"].path, given["base"].path)
        try:
            clean_N = _predicted(engine, manifest, texts, context, "the texts as they are")
            by_kind = {one.kind: _predicted(engine, manifest, one.texts, context, one.kind) for one in made}
        finally:
            engine.close()
        facts = noise_facts(
            task,
            metric,
            np.array(test["label"].to_list(), dtype=str if task == "classify" else float),
            clean_N,
            by_kind,
            {one.kind: one.num_changed for one in made},
            confidence=self.config.confidence,
            num_samples=self.config.bootstrap_samples,
            seed=context.seed,
        )
        return settings | facts, _frame(row_ids, texts, made, {"as it is": clean_N, **by_kind})


def _predicted(
    engine: Predictor, manifest: ModelManifest, texts: Sequence[str], context: StepContext, note: str
) -> NDArray[Any]:
    """What the model predicts for texts that come from outside: they are repaired first, as every text answered is."""
    repaired = _repaired(texts, manifest.repair)
    seen = answered(engine, repaired, context, note)
    return decided(
        manifest.task, tuple(engine.labels), manifest.decision, seen.values_NC, seen.num_cut_N, seen.score_N
    ).predicted_N


def _repaired(texts: Sequence[str], repair: TextRepair) -> list[str]:
    return repair_texts(texts, unicode=repair.unicode, whitespace=repair.whitespace)


def _unmeasurable(task: str, test: pl.DataFrame) -> str | None:
    """Why this cannot be measured here; None where it can."""
    if not test.height:
        return "there is no test row"
    if task == "tag" or test.schema["label"] not in (pl.String, pl.Float64):
        return "perturbed texts are measured for one label or one number a text"
    return None


def _frame(
    row_ids: list[str], texts: list[str], made: list[Perturbed], columns: dict[str, NDArray[Any]]
) -> pl.DataFrame:
    """Row, kind, text and answer, every kind below the texts as they are."""
    parts = [("as it is", texts), *((one.kind, one.texts) for one in made)]
    return pl.concat(
        pl.DataFrame({"row_id": row_ids, "kind": kind, "text": written}).with_columns(
            pl.Series("predicted", columns[kind].tolist() if kind in columns else [None] * len(row_ids))
        )
        for kind, written in parts
    )
