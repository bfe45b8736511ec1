"""The page of a check: what it says, and that texts on it cannot act."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from tunesmith.monitoring.alerts import causes
from tunesmith.monitoring.config import MonitorConfig
from tunesmith.reporting.drift_report import DriftView, render

HOSTILE = "<script>alert(1)</script>"


def outcome(name: str, adjusted: float | None, *, is_alert: bool = False) -> dict[str, Any]:
    why = "" if adjusted is not None else "not enough: 30 of 50 texts"
    picture = {"edges": [0.0, 1.0, 2.0], "reference": [0.5, 0.5], "window": [0.1, 0.9]}
    return {
        "name": name, "group": "text", "method": "Kolmogorov-Smirnov", "num_reference": 2000, "num_window": 30,
        "verdict": "changed" if is_alert else "not shown" if adjusted is not None else "not enough",
        "is_alert": is_alert, "statistic": 0.4, "p_value": adjusted, "adjusted": adjusted,
        "effect": None if adjusted is None else 0.4, "why": why,
        "picture": picture if adjusted is not None else None,
    }  # fmt: skip


def view(tmp_path: Path, *tests: dict[str, Any], traffic: dict[str, Any] | None = None) -> DriftView:
    pl.DataFrame({"text": [HOSTILE], "nearest_text": ["hello"], "nearest": [0.1]}).write_parquet(tmp_path / "s.parquet")
    limits = {"alert_at": 0.01, "min_effect": 0.05, "min_ratio": 2.0}
    facts = {"tests": tests, **limits, "performance": {"rows": 0, "scores": []}}
    found = [vars(one) for one in causes(facts, traffic, MonitorConfig(latency_p95_ms=100, failed=0.1))]
    return DriftView(
        "m@1", "2026-11-21T12:00:00+00:00", None, "new.csv", {"looked_at": 30}, facts, found, traffic,
        tmp_path / "s.parquet", [],
    )  # fmt: skip


def test_an_alert_says_why_and_texts_do_not_act(tmp_path: Path) -> None:
    page = render(view(tmp_path, outcome("characters", 0.0001, is_alert=True), outcome("digits", 0.8)))
    assert "Alert: 1 reason" in page and "length in characters: effect 0.40" in page
    assert "<script" not in page and "&lt;script&gt;" in page
    assert page.count('class="twin"') == 2 and "no change shown" in page


def test_checks_before_are_a_table_of_what_each_found(tmp_path: Path) -> None:
    score = {"metric": "f1_macro", "value": 0.5123}
    now = {"at": "2026-11-21T11:45:00+00:00", "file": None, "rows": 1234, "is_tested": True}
    before = [
        {**now, "causes": ["digits", "f1_macro", "latency_p95_ms"], "score": score},
        {**now, "file": HOSTILE, "rows": 40, "causes": [], "score": None},
        {**now, "rows": 3, "is_tested": False, "causes": [], "score": None},
    ]
    page = render(replace(view(tmp_path, outcome("digits", 0.8)), before=before))
    section = page[page.index('id="before"') :]
    assert "Digits, Macro F1, Latency" in section and "1,234" in section and "Macro F1 0.512" in section
    assert "no change shown" in section and "not enough rows to tell" in section
    assert "&lt;script&gt;" in section and "<script" not in page
    assert 'id="before"' not in render(view(tmp_path, outcome("digits", 0.8)))


def test_not_enough_is_never_no_change(tmp_path: Path) -> None:
    page = render(view(tmp_path, outcome("characters", None)))
    assert "Not enough rows to tell" in page and "not enough: 30 of 50 texts" in page and "No change shown" not in page


def test_limits_of_traffic_give_alerts_of_their_own(tmp_path: Path) -> None:
    requests = {"answered": 80, "refused": 0, "failed": 20}
    traffic = {"requests": requests, "failed_share": 0.2, "refused_share": 0.0, "latency_ms": {"p95": 250.0}}
    page = render(view(tmp_path, outcome("characters", 0.9), traffic=traffic))
    assert "Alert: 2 reasons" in page and "20.0 % of the requests failed" in page and "longer than 250 ms" in page
