"""The report's part on a learning rate that was found by a range test."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tests.unit.reporting.report_views import classify_view

from tunesmith.reporting.sections.range_test import range_test_of


def test_a_run_with_a_given_rate_has_no_such_part(tmp_path: Path) -> None:
    assert range_test_of(classify_view(tmp_path)) is None


def test_the_rate_taken_is_said_and_marked(tmp_path: Path) -> None:
    view = classify_view(tmp_path)
    points = [{"factor": 1.0, "lr": 10.0**-n, "loss": 1.0, "smoothed": n / 2} for n in range(1, 7)]
    lines = [json.dumps({"range_test": one}) for one in points]
    view.history.write_text("\n".join([*lines, view.history.read_text()]))
    found = {"lr": 1e-4, "head_lr": 1e-3, "steps": 6, "ended": "after its last step", "rule": "a tenth"}
    part = range_test_of(replace(view, model={**view.model, "range_test": found}))
    assert part is not None and part.chart is not None
    assert "6 steps" in part.words and "0.0001" in part.words
    assert "0.0001 marked" in part.chart
