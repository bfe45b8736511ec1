"""Stage ``explain``: the words and the training rows behind answers to test rows, and how far to trust them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.engines.transformers import TransformersEngine
from tunesmith.explanation.attribution import Attribution, Floats
from tunesmith.explanation.config import ExplainStageConfig, Method
from tunesmith.explanation.curves import curve_facts, row_curves
from tunesmith.explanation.explainer import Explainer
from tunesmith.explanation.given_labels import Answered, answered_rows, explained_places
from tunesmith.explanation.top_words import top_words
from tunesmith.explanation.training_rows import TrainingRows

PROGRESS_ROWS = 4
"""Rows explained between two reports of progress."""


@dataclass(frozen=True)
class _Chosen:
    """The rows that are explained."""

    frame: pl.DataFrame
    """``row_id, text, label`` of test rows."""
    values_NC: Floats
    targets: list[int]
    """The output that is explained of each row."""
    answers: Answered

    @property
    def texts(self) -> list[str]:
        found: list[str] = self.frame["text"].to_list()
        return found


class Explain:
    """Explains test rows by words and by training rows."""

    makes: ClassVar[Mapping[str, str]] = {"explanation": "explanation"}

    def __init__(self, config: ExplainStageConfig) -> None:
        self.config, self.asked = config, config.explain

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the explanation; rows lie in Parquet files beside ``explanation.json``."""
        folder = context.out / "explanation"
        folder.mkdir(parents=True, exist_ok=True)
        engine = TransformersEngine.open(given["model"].path, given["base"].path)
        explainer = Explainer(engine, self.asked)
        chosen = self._chosen(given, explainer, context.seed)
        found = self._attributions(chosen, explainer, context)
        training = TrainingRows.read(given["splits"], given["vectors"], engine)
        row_ids, asked_QD = chosen.frame["row_id"].to_list(), training.features_of(chosen.texts)
        neighbours = training.neighbours(row_ids, asked_QD, self.asked.neighbours)
        influences = training.influences(
            chosen.frame["row_id"].to_list(), asked_QD, chosen.answers, self.asked.influences
        )
        suspects, checked = training.suspects(self.asked.suspects, self.asked.neighbours, context.seed)
        words = top_words([one for each in found.values() for one in each], self.asked.top_words, self.asked.least_rows)
        frames = {
            "attributions": _attribution_frame(chosen, found),
            "neighbours": neighbours,
            "influences": influences,
            "suspects": suspects,
            "top_words": words,
        }
        for name, frame in frames.items():
            frame.write_parquet(folder / f"{name}.parquet")
        facts: Facts = {
            "task": self.config.task,
            "targets": list(explainer.manifest.targets),
            "rows": len(chosen.targets),
            "num_wrong": sum(chosen.answers.is_off),
            "truncated_rows": sum(one.num_truncated_tokens > 0 for one in next(iter(found.values()))),
            **_unknown(next(iter(found.values()))),
            "methods": {method: self._method_facts(method, each, explainer) for method, each in found.items()},
            "curves": self._curves(chosen, found, explainer, context),
            "neighbours": self.asked.neighbours,
            "influences": self.asked.influences,
            "suspects": {"checked": checked, "listed": suspects.height, "neighbours": self.asked.neighbours or None},
            "top_words": words.height,
        }
        text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False)
        (folder / "explanation.json").write_text(text + "\n", encoding="utf-8")
        return {"explanation": facts}

    def _chosen(self, given: Given, explainer: Explainer, seed: int) -> _Chosen:
        test = pl.read_parquet(given["splits"].path / "test.parquet", columns=["row_id", "text", "label"])
        if test.height > self.asked.rows:
            places = np.random.default_rng(seed).choice(test.height, self.asked.rows, replace=False)
            test = test[np.sort(places)]
        values_NC = explainer.predict(test["text"].to_list())
        manifest = explainer.manifest
        answers = answered_rows(manifest, values_NC, test["label"].to_list())
        return _Chosen(test, values_NC, explained_places(manifest, values_NC, answers) if test.height else [], answers)

    def _attributions(
        self, chosen: _Chosen, explainer: Explainer, context: StepContext
    ) -> dict[Method, list[Attribution]]:
        found: dict[Method, list[Attribution]] = {}
        for method in self.asked.methods:
            found[method] = []
            for start in range(0, len(chosen.targets), PROGRESS_ROWS):
                context.check_cancelled()
                part = slice(start, start + PROGRESS_ROWS)
                found[method] += explainer.attribute(chosen.texts[part], method, chosen.targets[part])
                context.progress(len(found[method]), len(chosen.targets), "rows", method)
        return found

    def _curves(
        self, chosen: _Chosen, found: Mapping[Method, Sequence[Attribution]], explainer: Explainer, context: StepContext
    ) -> Facts:
        """The curves of the first rows of at least two words."""
        places = [
            row for row, one in enumerate(zip(*found.values(), strict=True)) if min(len(a.words) for a in one) > 1
        ]
        places = places[: self.asked.curve_rows]

        def told(done: int) -> None:
            context.check_cancelled()
            context.progress(done, len(places), "rows", "curves")

        made = row_curves(
            explainer.predict,
            [{method: each[row] for method, each in found.items()} for row in places],
            [chosen.targets[row] for row in places],
            random_orders=self.asked.random_orders,
            seed=context.seed,
            told=told,
        )
        facts = curve_facts(
            made, confidence=self.config.confidence, num_samples=self.config.bootstrap_samples, seed=context.seed
        )
        return {**facts, "unit": "value" if self.config.task == "regress" else "probability"}

    def _method_facts(self, method: Method, found: Sequence[Attribution], explainer: Explainer) -> Facts:
        if method != "ig" or not found:
            return {"unit": found[0].unit if found else None}
        errors = np.array([one.error for one in found], float)
        return {
            "unit": found[0].unit,
            "baseline": explainer.baseline_name,
            "error": {"median": float(np.median(errors)), "largest": float(errors.max())},
            "most_error": self.asked.most_error,
            "rows_above": int((errors > self.asked.most_error).sum()),
            "steps": {str(steps): int(rows) for steps, rows in _counted([one.steps or 0 for one in found])},
        }


def _unknown(found: Sequence[Attribution]) -> Facts:
    """How many words the model does not know, and in how many rows."""
    counts = [sum(word.unknown is not None for word in one.words) for one in found]
    return {"unknown_words": sum(counts), "unknown_rows": sum(count > 0 for count in counts)}


def _counted(values: Sequence[int]) -> list[tuple[int, int]]:
    return sorted((value, values.count(value)) for value in set(values))


def _attribution_frame(chosen: _Chosen, found: Mapping[Method, Sequence[Attribution]]) -> pl.DataFrame:
    """Every explained row by method: the answer, and its words with their places and values."""
    rows: list[dict[str, Any]] = []
    answers = chosen.answers
    for method, each in found.items():
        for row, (row_id, one) in enumerate(zip(chosen.frame["row_id"], each, strict=True)):
            rows.append(
                {
                    "row_id": str(row_id),
                    "method": method,
                    "target": one.target,
                    "text": one.text,
                    "true": answers.true[row],
                    "predicted": answers.predicted[row],
                    "is_off": answers.is_off[row],
                    "probability": None if one.unit == "value" else float(chosen.values_NC[row, chosen.targets[row]]),
                    "starts": [word.start for word in one.words],
                    "ends": [word.end for word in one.words],
                    "values": [word.value for word in one.words],
                    "unknown": [word.unknown for word in one.words],
                    "unit": one.unit,
                    "full": one.full,
                    "baseline": one.baseline,
                    "error": one.error,
                    "steps": one.steps,
                }
            )
    schema = {
        **dict.fromkeys(("row_id", "method", "target", "text", "true", "predicted"), pl.String()),
        "is_off": pl.Boolean(),
        "probability": pl.Float64(),
        "starts": pl.List(pl.Int64()),
        "ends": pl.List(pl.Int64()),
        "values": pl.List(pl.Float64()),
        "unknown": pl.List(pl.String()),
        "unit": pl.String(),
        "full": pl.Float64(),
        "baseline": pl.Float64(),
        "error": pl.Float64(),
        "steps": pl.Int64(),
    }
    return pl.DataFrame(rows, schema=schema)
