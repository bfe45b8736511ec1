"""A run that asks for more than metrics: groups, noise, calibration, latency and size, through the real product."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests import tiny

import tunesmith

ROWS = 260


@pytest.fixture(scope="module")
def tickets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled texts of two groups and a third one that is small."""
    path = tmp_path_factory.mktemp("tickets") / "tickets.csv"
    texts, labels = tiny.sentences(ROWS, seed=5)
    segments = ["small" if row % 40 == 0 else "gold" if row % 3 else "basic" for row in range(ROWS)]
    frame = pl.DataFrame({"text": texts, "label": labels, "segment": segments})
    frame.unique("text", maintain_order=True).write_csv(path)
    return path


def recipe(tickets: Path, **more: Any) -> dict[str, Any]:
    source = {"kind": "csv", "path": str(tickets), "columns": {"text": "text", "label": "label", "segment": "segment"}}
    return {
        "name": "desk",
        "task": "classify",
        "data": {"sources": [source], "clean": {"near_duplicates": None}, "split": {"validation": 0.1, "test": 0.4}},
        "model": str(tiny.encoder("bert")),
        "train": {"trainable": "head", "epochs": 2, "batch": 8},
        "evaluate": {
            "baselines": ["majority"],
            "bootstrap_samples": 200,
            "fairness": {"by": "segment", "min_rows": 20},
            "robustness": {"kinds": ["typos", "case"], "rows": 40},
        },
        "gate": {
            "fairness_gap": {"at_most": 1},
            "robustness_worst": {"at_least": 0},
            "calibration_error": {"at_most": 1},
            "latency_p95_ms": {"at_most": 600_000},
            "size_mb": {"at_most": 500},
        },
        **more,
    }


def test_everything_that_is_asked_for_is_measured_gated_shown_and_kept(tickets: Path, tmp_path: Path) -> None:
    result = tunesmith.run(recipe(tickets), home=tmp_path / "home").to_dict()
    checks = {check["criterion"]: check for check in result["gate"]["checks"]}
    assert set(checks) == {
        "fairness_gap at most 1",
        "robustness_worst at least 0",
        "calibration_error at most 1",
        "latency_p95_ms at most 600000",
        "size_mb at most 500",
    }
    assert all(check["passed"] and check["seen"] is not None for check in checks.values())
    assert result["status"] == "done" and result["model"] == "desk@production"
    page = Path(result["report"]).read_text(encoding="utf-8")
    for part in ("calibration", "curves", "groups", "robustness", "cost"):
        assert f'<section id="{part}">' in page
    assert "small (" in page, "a group too small to compare is named"

    # The same recipe with a stricter gate: nothing is answered or timed again, and the model is denied.
    strict = recipe(tickets, gate={"robustness_worst": {"at_least": 1.0}, "latency_p95_ms": {"at_most": 600_000}})
    again = tunesmith.run(strict, home=tmp_path / "home").to_dict()
    events = (tmp_path / "home" / "runs" / again["run"] / "events.jsonl").read_text(encoding="utf-8").splitlines()
    ended = [one for one in map(json.loads, events) if one.get("event") == "step" and one["status"] != "running"]
    status = {one["step"]: one["status"] for one in ended}
    assert status["robustness"] == status["cost"] == "cached" and status["evaluate"] == "done"
    assert again["status"] == "denied"
    [broken] = [check for check in again["gate"]["checks"] if not check["passed"]]
    assert broken["criterion"] == "robustness_worst at least 1"
    assert broken["seen"] == checks["robustness_worst at least 0"]["seen"]
