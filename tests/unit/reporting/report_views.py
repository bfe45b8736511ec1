"""Views of runs that never were: the facts are measured by the real evaluation on made-up predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tunesmith.core.tasks import Task
from tunesmith.evaluation import gate as gates
from tunesmith.evaluation.config import GateRule
from tunesmith.evaluation.detail import by_class
from tunesmith.evaluation.predictions import Predictions
from tunesmith.evaluation.significance import MODEL, Resamples, intervals
from tunesmith.reporting.view import RunView, StepView

DIGEST = "ab12cd34ef" * 6 + "0123"


def classify_view(
    folder: Path,
    *,
    num_labels: int = 4,
    num_rows: int = 200,
    right: Mapping[str, float] | None = None,
    labels: list[str] | None = None,
    texts: list[str] | None = None,
    gate: Mapping[str, GateRule] | None = None,
) -> RunView:
    """A view of a classification; ``right`` is how often each predictor is right."""
    rng = np.random.default_rng(0)
    names = np.array(labels or [f"class_{place:02d}" for place in range(num_labels)])
    truth = np.arange(num_rows) % len(names)

    def guess(share: float) -> Any:
        return names[np.where(rng.random(num_rows) < share, truth, rng.integers(len(names), size=num_rows))]

    shares = {MODEL: 0.9, "majority": 0.0, "tfidf": 0.6, **(right or {})}
    predicted = {name: guess(share) for name, share in shares.items()}
    probability = np.round(rng.uniform(0.3, 1.0, num_rows), 4)
    rules = gate if gate is not None else {"f1_macro": GateRule(better_than=["majority", "tfidf"])}
    return _view(folder, "classify", names[truth], predicted, rules, probability, texts, sorted(names.tolist()))


def regress_view(folder: Path, *, num_rows: int = 120, noise: float = 0.3) -> RunView:
    """A view of a regression."""
    rng = np.random.default_rng(1)
    truth = rng.normal(3, 1, num_rows)
    predicted = {
        MODEL: truth + rng.normal(0, noise, num_rows),
        "mean": np.full(num_rows, 3.0),
        "tfidf": truth + rng.normal(0, 0.8, num_rows),
    }
    return _view(folder, "regress", truth, predicted, {"mse": GateRule(better_than=["mean", "tfidf"])}, None, None, [])


def with_comparison(view: RunView, **changes: Any) -> RunView:
    """The view with its first comparison by the primary metric changed."""
    first, *rest = view.report["comparisons"]
    return replace(view, report={**view.report, "comparisons": [{**first, **changes}, *rest]})


def denied(view: RunView) -> RunView:
    """The view of a run that the gate denied."""
    return replace(view, status="denied", reference=None, version=None)


def _view(
    folder: Path,
    task: Task,
    targets: Any,
    predicted: Mapping[str, Any],
    rules: Mapping[str, GateRule],
    probability: Any,
    texts: list[str] | None,
    labels: list[str],
) -> RunView:
    folder.mkdir(parents=True, exist_ok=True)
    num_rows = len(targets)
    scores = Resamples(task, targets, predicted, num_samples=200, seed=0)
    judgement, comparisons, gaps = gates.judge(dict(rules), scores, 0.95)
    measured, more_gaps = intervals(scores, 0.95)
    answers = Predictions(tuple(labels), predicted[MODEL], probability, 0, 0, np.zeros((num_rows, 0)))
    report = {
        "task": task,
        "num_rows": num_rows,
        "primary": gates.primary(dict(rules), task),
        "metrics": {"test": measured.pop(MODEL)},
        **(by_class(targets, answers) if task == "classify" else {}),
        "baselines": measured,
        "comparisons": [asdict(one) for one in comparisons],
        "gate": judgement.to_facts(),
        "not_measured": {**gaps, **more_gaps},
        "truncated_rows": 0,
        "num_truncated_tokens": 0,
    }
    words = texts or [f"message number {place}" for place in range(num_rows)]
    frame = pl.DataFrame(
        {
            "row_id": [f"{place:032x}" for place in range(num_rows)],
            "source_id": ["crm"] * num_rows,
            "text": [words[place % len(words)] for place in range(num_rows)],
            "label": targets.tolist(),
            "predicted": predicted[MODEL].tolist(),
            **({} if probability is None else {"probability": probability.tolist()}),
            **{f"baseline_{name}": column.tolist() for name, column in predicted.items() if name != MODEL},
        }
    )
    frame.write_parquet(folder / "predictions.parquet")
    frame.select("row_id", "text").write_parquet(folder / "test.parquet")
    _write_losses(folder, words[0], frame["row_id"][0])
    _write_history(folder, task)
    counts = {label: int((targets == label).sum()) for label in labels}
    return RunView(
        run_id="desk-0101-1200-ab12",
        name="desk",
        task=task,
        created="2026-01-02T03:04:05+00:00",
        status="done" if judgement.passed else "denied",
        reference="desk@production" if judgement.passed else None,
        version=3 if judgement.passed else None,
        sources=[_source()],
        splits=_splits(task, num_rows, counts, labels),
        quality=_quality(),
        base={
            "name": "embedded",
            "model_type": "bert",
            "num_parameters": 22_713_728,
            "num_layers": 6,
            "max_tokens": 256,
        },
        model=_model(task, labels),
        report=report,
        baselines={"names": list(measured), "settings": {}},
        history=folder / "history.jsonl",
        predictions=folder / "predictions.parquet",
        removed=folder / "removed.parquet",
        quarantine=folder / "quarantine.parquet",
        steps=[
            StepView("prepare", "prepare", "cached", DIGEST, {"splits": DIGEST}, {"wall_s": 0.5, "peak_bytes": 1.5e8}),
            StepView("train", "train", "done", DIGEST, {"model": DIGEST}, {"wall_s": 130.0, "cpu_s": 240.0}),
        ],
        versions={"tunesmith": "0.1.0", "torch": "2.13.0"},
        hardware={"processor": "a processor", "cores": 2, "memory_bytes": 2.5e10, "system": "Linux", "python": "3.11"},
        recipe_yaml=f"name: desk\ntask: {task}\n",
        settings={"batch": 32, "optimizer": {"kind": "adamw", "lr": 3e-4}, "clip": None},
        split_files={"test": folder / "test.parquet"},
    )


def _source() -> dict[str, Any]:
    return {
        "source": "crm",
        "kind": "csv",
        "format": "csv (comma, utf-8, header)",
        "columns": ["text", "label"],
        "notes": [],
        "rows_read": 320,
        "rows": 318,
        "refused": {"unclosed quote": 2},
        "purpose": "support",
        "licence": None,
    }


def _splits(task: str, num_rows: int, counts: Mapping[str, int], labels: list[str]) -> dict[str, Any]:
    rows = {"read": 11 * num_rows + 20, "kept": 11 * num_rows, "removed": 8, "quarantined": 12}
    return {
        "task": task,
        "rows": rows,
        "removed": {"exact duplicate": 8},
        "quarantined": {"label is missing": 12},
        "by_source": {"crm": rows},
        "splits": {"train": 10 * num_rows, "validation": 0, "test": num_rows},
        "split_by": "given",
        "labels": labels,
        "label_counts": {"train": {label: 10 * num for label, num in counts.items()}, "test": dict(counts)},
        "notes": [],
        "repaired": {"unicode": 3},
        **({} if labels else {"target": {"mean": 3.0, "std": 1.0, "min": 0.0, "max": 6.0}}),
    }


def _quality() -> dict[str, Any]:
    return {
        "completeness": {"label": {"missing": 12, "share": 0.05}},
        "validity": [],
        "consistency": [{"what": "same text, different labels", "rows": 0}],
        "uniqueness": {"exact_duplicates": 8, "near_duplicates": 0, "across_splits": 0},
        "balance": {},
        "text": {"chars": {"p50": 20, "p95": 40, "max": 90}},
        "notes": ["5 % of the rows have no `label`"],
    }


def _model(task: str, labels: list[str]) -> dict[str, Any]:
    return {
        "task": task,
        "labels": labels,
        "trainable": "full",
        "length": {"max_tokens": 128, "policy": "truncate_right"},
        "steps": 40,
        "epochs": 4.0,
        "best_step": 30,
        "best": 0.9,
        "watched": "f1_macro" if task == "classify" else "mse",
        "stopped": "after the last step",
        "num_trained_parameters": 22_718_348,
        "rows": 300,
        "truncated_rows": 0,
        "num_truncated_tokens": 0,
        "precision": "float32",
    }


def _write_losses(folder: Path, text: str, kept: str) -> None:
    lost = {"row_id": "f" * 32, "source_id": "crm", "text": text, "label": "a", "reason": "exact duplicate"}
    pl.DataFrame([{**lost, "because_of": kept}] * 8).write_parquet(folder / "removed.parquet")
    record = {"source_id": "crm", "position": 7, "row_id": None, "record": text, "reason": "label is missing"}
    pl.DataFrame([record] * 12).write_parquet(folder / "quarantine.parquet")


def _write_history(folder: Path, task: str) -> None:
    watched = "f1_macro" if task == "classify" else "mse"
    lines: list[dict[str, Any]] = []
    for step in range(1, 41):
        lines.append({"step": step, "epoch": step / 10, "loss": 2 / step, "lr": 1e-4, "grad_norm": 1.0})
        if step % 10 == 0:
            values = {"loss": 2.2 / step, watched: 1 - 3 / step}
            lines.append({"step": step, "epoch": step / 10, "validation": values})
    (folder / "history.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n", "utf-8")
