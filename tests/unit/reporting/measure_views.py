"""Views of runs that measured more than metrics: facts by the real functions on made-up answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tests.unit.reporting.report_views import classify_view, regress_view

from tunesmith.evaluation.calibration import label_calibration, number_intervals
from tunesmith.evaluation.curves import label_curves
from tunesmith.evaluation.groups import spread
from tunesmith.evaluation.noise import noise_facts
from tunesmith.metrics import table
from tunesmith.metrics.calibration import at_temperature
from tunesmith.reporting.view import RunView

MACHINE = {"processor": "a processor", "cores": 2, "memory_bytes": 2.5e10, "system": "Linux x86_64", "python": "3.11"}
COST: dict[str, Any] = {
    "running": 1.0,
    "latency_ms": {"p50": 8.123, "p95": 21.5, "max": 50.0, "num_answers": 200, "warm_up": 10},
    "chars": {"median": 44.0, "max": 300},
    "size_bytes": 91_000_000,
    "weights_bytes": 90_900_000,
    "peak_bytes": 512_000_000,
    "machine": MACHINE,
}


def measured_view(folder: Path, *, num_labels: int = 4, temperature: float = 0.5, **sizes: int) -> RunView:
    """A classification with every measure; a ``temperature`` below 1 makes it too sure, ``sizes`` are groups."""
    view = classify_view(folder, num_labels=num_labels)
    labels, probabilities, targets = _answers(view, num_labels, temperature)
    truth, predicted = np.array(labels)[targets], np.array(labels)[probabilities.argmax(1)]
    names = [name for name, size in (sizes or {"gold": 120, "basic": 70, "none": 10}).items() for _ in range(size)]
    groups = spread(
        table.METRICS["accuracy"], "classify", truth, predicted, list(names), min_rows=30, confidence=0.95,
        num_samples=200,
    )  # fmt: skip
    report = {
        **view.report,
        "calibration": label_calibration(at_temperature(probabilities, 2.0), targets, 2.0),
        "curves": label_curves(probabilities, truth[:, None] == np.array(labels), tuple(labels)),
        "groups": [{"by": "segment", "min_rows": 30, **groups.to_facts()}],
    }
    noise = _noise(truth, predicted, folder)
    made = {"robustness": {"robustness": noise}, "cost": {"cost": COST}}
    return replace(view, report=report, made=made, files={"robustness/robustness": folder})


def measured_numbers(folder: Path) -> RunView:
    """A regression whose half-widths were measured."""
    view = regress_view(folder)
    frame = pl.read_parquet(view.predictions)
    seen = number_intervals(frame["label"].to_numpy(), frame["predicted"].to_numpy())
    return replace(view, report={**view.report, "calibration": seen})


def _answers(view: RunView, num_labels: int, temperature: float) -> tuple[list[str], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = sorted(view.splits["labels"])
    logits = rng.normal(0, 1.5, (200, num_labels))
    truth = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return labels, at_temperature(truth, temperature), np.array([rng.choice(num_labels, p=row) for row in truth])


def _noise(truth: np.ndarray, predicted: np.ndarray, folder: Path) -> dict[str, Any]:
    hurt = predicted.copy()
    hurt[:80] = np.roll(truth, 1)[:80]
    by_kind = {"typos": hurt, "case": predicted}
    ids = [f"row-{place}" for place in range(len(truth))]
    pl.concat(
        pl.DataFrame({"row_id": ids, "kind": kind, "text": [f"{kind} {one}" for one in ids], "predicted": list(column)})
        for kind, column in (("as it is", predicted), *by_kind.items())
    ).write_parquet(folder / "perturbed.parquet")
    return {"strength": 0.1} | noise_facts(
        "classify", table.METRICS["accuracy"], truth, predicted, by_kind, {"typos": 200, "case": 200},
        confidence=0.95, num_samples=200, seed=0,
    )  # fmt: skip
