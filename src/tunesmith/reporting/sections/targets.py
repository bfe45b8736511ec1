"""Several targets, each in its own unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.reporting import wording
from tunesmith.reporting.view import RunView

METRICS = ("rmse", "mae", "r2", "pearson")


@dataclass(frozen=True)
class TargetRow:
    """One target and predictor: a value and an interval for each metric."""

    target: str
    predictor: str
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Targets:
    """The targets of a report."""

    metrics: tuple[str, ...]
    rows: tuple[TargetRow, ...]


def targets_of(view: RunView) -> Targets | None:
    """The scores of each target; None where there is only one, or labels."""
    per_target: Mapping[str, Mapping[str, Any]] = view.report.get("per_target", {})
    if not per_target:
        return None
    rows = []
    for target, found in per_target.items():
        everyone = {"This model": found["metrics"]} | {
            wording.baseline(name): scores for name, scores in found["baselines"].items()
        }
        for who, scores in everyone.items():
            rows.append(TargetRow(target, who, tuple(_cell(scores.get(name)) for name in METRICS)))
    return Targets(tuple(wording.metric(name) for name in METRICS), tuple(rows))


def _cell(one: Mapping[str, Any] | None) -> tuple[str, str]:
    return (wording.NOT_MEASURED, "") if one is None else (wording.number(one["value"]), wording.span(one))
