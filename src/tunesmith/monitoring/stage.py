"""The stage `drift`: a window of observations against the rows a model was made with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tunesmith.core.artifact import Artifact
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.metrics import table
from tunesmith.models.manifest import ModelManifest
from tunesmith.monitoring import performance
from tunesmith.monitoring.answers import columns_of, predicted_of
from tunesmith.monitoring.config import DriftStageConfig
from tunesmith.monitoring.drift import NEAREST, VECTORS, Columns, Outcome, compared, judge
from tunesmith.monitoring.reference import (
    OpenEngine,
    answered,
    embedded,
    measured,
    nearest_to,
    open_transformers,
    read_reference,
)

MANIFEST = "manifest.json"
STRANGEST = 12
"""Texts shown that are least like any reference row."""


@dataclass(frozen=True)
class _Window:
    """The observations, and what was measured of them."""

    rows: pl.DataFrame
    answers: list[dict[str, Any]]
    columns: Columns
    texts: pl.DataFrame
    """The rows with a text, with ``nearest`` and ``nearest_at``."""


class Drift:
    """Compares a window of observations with a reference, and its scores with the release's."""

    makes: ClassVar[Mapping[str, str]] = {"report": "report"}

    def __init__(self, config: DriftStageConfig, open_engine: OpenEngine = open_transformers) -> None:
        self.config, self.open_engine = config, open_engine

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the report; ``metrics.json`` and ``strangest.parquet`` lie beside each other."""
        rng = np.random.default_rng([context.seed, 32])
        manifest = ModelManifest.read(given["model"].path)
        reference = read_reference(given["reference"], manifest)
        window = self._window(given, manifest, reference, context)
        outcomes = compared(reference, window.columns, self.config.drift, rng)
        scores, more = self._performance(given, manifest, window, rng)
        outcomes += more
        judge(outcomes, self.config.drift)
        for one in more:  # a score that rose is no alarm
            one.is_alert = one.is_alert and scores["primary"]["verdict"] == "worse"
        folder = context.out / "report"
        folder.mkdir(parents=True, exist_ok=True)
        _strangest(window.texts, given["reference"].path).write_parquet(folder / "strangest.parquet")
        facts: Facts = {
            "task": self.config.task,
            "rows": {
                "window": window.rows.height,
                "with_text": window.texts.height,
                "labelled": int(window.rows["truth"].is_not_null().sum()),
            },
            "reference": dict(given["reference"].facts),
            "alert_at": self.config.drift.alert_at,
            "min_effect": self.config.drift.min_effect,
            "min_ratio": self.config.drift.min_ratio,
            "min_rows": self.config.drift.min_rows,
            "tests": [one.to_facts() for one in outcomes],
            "is_alert": any(one.is_alert for one in outcomes),
            "performance": scores,
            "notes": _notes(window),
        }
        text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False)
        (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")
        return {"report": facts}

    def _window(self, given: Given, manifest: ModelManifest, reference: Columns, context: StepContext) -> _Window:
        rows = read_observations(given["observations"])
        texts = rows.filter(pl.col("text") != "")
        vectors, tokens, answers = np.zeros((0, 1), np.float32), [0] * 0, rows["answer"].to_list()
        is_asked = [one is None for one in answers]
        if texts.height or any(is_asked):
            engine = self.open_engine(given["model"].path, given["base"].path)
            try:
                vectors, tokens = embedded(engine, texts["text"].to_list(), context, "reading the window")
                unanswered = [text for text, is_open in zip(rows["text"], is_asked, strict=True) if is_open]
                made = iter(answered(engine, manifest, unanswered, context, "answering the window"))
            finally:
                engine.close()
            answers = [json.dumps(next(made)) if one is None else one for one in answers]
        told = [json.loads(one) for one in answers]
        found = columns_of(manifest.task, told) if told else Columns()
        if not texts.height:
            return _Window(rows, told, found, texts.with_columns(pl.lit(0.0).alias(NEAREST), pl.lit(0).alias("at")))
        frequency = pl.read_parquet(given["reference"].path / "words.parquet")
        frame = measured(texts["text"].to_list(), tokens, frequency)
        nearest, places = nearest_to(vectors, reference.vectors[VECTORS])
        numbers = {name: frame[name].to_numpy() for name in frame.columns if name != "language"}
        columns = Columns(
            {**_ordered(numbers), NEAREST: nearest, **found.numbers},
            {"language": frame["language"].to_list(), **found.categories},
            found.sets,
            {VECTORS: vectors},
        )
        return _Window(rows, told, columns, texts.with_columns(pl.Series(NEAREST, nearest), pl.Series("at", places)))

    def _performance(
        self, given: Given, manifest: ModelManifest, window: _Window, rng: np.random.Generator
    ) -> tuple[dict[str, Any], list[Outcome]]:
        """The scores of labelled rows against the release's, and the main one of them as a test."""
        task = self.config.task
        primary = self.config.metric or table.PRIMARY[task]
        name = primary if primary in performance.metrics_of(task) else table.PRIMARY[task]
        pairs = [
            (json.loads(truth), predicted_of(task, answer))
            for truth, answer in zip(window.rows["truth"], window.answers, strict=True)
            if truth is not None and not answer.get("is_rejected")
        ]
        num_rejected = int(window.rows["truth"].is_not_null().sum()) - len(pairs)
        facts: dict[str, Any] = {"rows": len(pairs), "rejected": num_rejected, "scores": [], "primary": None}
        outcome = Outcome(name, "performance", "rows exchanged", 0, len(pairs), "not enough")
        if "report" not in given:
            facts["why"] = "the release's test predictions are gone"
            return facts, []
        known, test = _test_rows(task, given["report"].path)
        outcome.num_reference = len(test)
        if len(pairs) < self.config.min_labelled:
            facts["why"] = outcome.why = (
                f"not enough: {len(pairs)} of {self.config.min_labelled} rows with a true label"
            )
            return facts, [outcome] if pairs else []
        if task == "classify":
            facts["unknown_labels"] = len([truth for truth, _ in pairs if truth not in manifest.labels])
        truths, predictions = zip(*pairs, strict=True)
        labels = sorted({*known, *(one for row in (*truths, *predictions) for one in row)}) if task == "tag" else []
        production = performance.rows_of(task, truths, predictions, labels)
        tested = performance.rows_of(task, [truth for truth, _ in test], [said for _, said in test], labels)
        if manifest.targets:
            scale = [(one.mean, one.std) for one in manifest.scales]
            production, tested = production.standardized(scale), tested.standardized(scale)
        for metric in performance.metrics_of(task):
            found = performance.against(task, metric, production, tested, self.config.confidence, rng)
            if found is not None:
                facts["scores"].append(found.to_facts())
                if metric == name:
                    facts["primary"] = found.to_facts()
                    outcome.statistic, outcome.p_value, outcome.effect = found.difference, found.p_value, found.effect
        return facts, [outcome] if outcome.p_value is not None else []


def read_observations(observations: Artifact) -> pl.DataFrame:
    """The rows of a dataset of observations: ``row_id, text, answer, truth`` (JSON, or null), in their order."""
    shards = json.loads((observations.path / MANIFEST).read_text(encoding="utf-8"))["shards"]
    columns = ["row_id", "text", "answer", "truth"]
    frame = pl.concat([pl.read_parquet(observations.path / shard, columns=columns) for shard in shards])
    return frame.with_columns(
        pl.col("text").cast(pl.String).fill_null(""), pl.col("answer", "truth").cast(pl.String)
    ).select(columns)


def _ordered(numbers: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """What people ask for first stands first."""
    first = [name for name in ("characters", "tokens", "unseen_words") if name in numbers]
    return {name: numbers[name] for name in (*first, *(one for one in numbers if one not in first))}


def _test_rows(task: str, report: Path) -> tuple[set[str], list[tuple[Any, Any]]]:
    """Truth and prediction of the release's test rows that it answered, and every label among them (`tag`)."""
    frame = pl.read_parquet(report / "predictions.parquet")
    if "is_rejected" in frame.columns:
        frame = frame.filter(~pl.col("is_rejected"))
    pairs = list(zip(frame["label"].to_list(), frame["predicted"].to_list(), strict=True))
    return {one for pair in pairs for row in pair for one in row} if task == "tag" else set(), pairs


def _strangest(texts: pl.DataFrame, reference: Path) -> pl.DataFrame:
    """The texts least like any reference row, the strangest first, with the row that is nearest."""
    known = pl.read_parquet(reference / "rows.parquet")
    found = texts.sort(NEAREST, "row_id").head(STRANGEST)
    at = found["at"].to_list()
    return found.select("row_id", "text", NEAREST, "answer").with_columns(
        pl.Series("nearest_row_id", [known["row_id"][one] for one in at], dtype=pl.String),
        pl.Series("nearest_text", [known["text"][one] for one in at], dtype=pl.String),
    )


def _notes(window: _Window) -> list[str]:
    without = window.rows.height - window.texts.height
    return (
        [f"{without} of {window.rows.height} observations hold no text: only their answers are tested"]
        if without
        else []
    )
