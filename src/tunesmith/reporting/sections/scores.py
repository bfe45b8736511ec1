"""Every metric with its interval beside every baseline, and what the gate asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tunesmith.core.tasks import is_language
from tunesmith.metrics import table
from tunesmith.reporting import wording
from tunesmith.reporting.charts.scatter import scatter_chart
from tunesmith.reporting.sections.examples import Cases, residuals
from tunesmith.reporting.view import RunView

FIRST = ("accuracy", "f1_macro", "f1_weighted", "precision_macro", "recall_macro")
"""The metrics of a classification that are shown at once; other tasks show all."""


@dataclass(frozen=True)
class Cell:
    """One score."""

    value: str
    span: str
    is_best: bool


@dataclass(frozen=True)
class ScoreRow:
    """One metric of every predictor, the model first."""

    name: str
    title: str
    doc: str
    is_primary: bool
    direction: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Scores:
    """The scores of a run."""

    columns: tuple[tuple[str, str], ...]
    """Each predictor's name and what it is."""
    rows: tuple[ScoreRow, ...]
    more: tuple[ScoreRow, ...]
    scatter: Markup | None
    residuals: tuple[tuple[str, str], ...]


def scores_of(view: RunView, cases: Cases | None) -> Scores:
    """The scores of a run."""
    everyone: dict[str, Mapping[str, Any]] = {"": view.report["metrics"]["test"], **view.report["baselines"]}
    primary = view.report["primary"]
    names = [name for name in table.METRICS if any(name in scores for scores in everyone.values())]
    names += [name for name in everyone[""] if name not in names]
    # The metric that decides leads.
    names = [primary, *(name for name in names if name != primary)]
    rows = [_row(name, everyone, primary) for name in names]
    is_regress = view.task == "regress"
    frame = cases.frame if cases is not None and is_regress and "per_target" not in view.report else None
    are_all = is_regress or is_language(view.task)
    first = [row for row in rows if are_all or row.name in FIRST or row.is_primary]
    drawn = None if frame is None else scatter_chart(frame["label"].to_list(), frame["predicted"].to_list())
    return Scores(
        columns=tuple(
            (wording.baseline(name), wording.baseline_means(name)) if name else ("This model", "") for name in everyone
        ),
        rows=tuple(first),
        more=tuple(row for row in rows if row not in first),
        scatter=drawn,
        residuals=()
        if frame is None
        else tuple((name, wording.number(value, signed=True)) for name, value in residuals(frame)),
    )


def _row(name: str, everyone: Mapping[str, Mapping[str, Any]], primary: str) -> ScoreRow:
    known = table.METRICS.get(name)
    sign = 1 if known is None or known.higher_is_better else -1
    values = {who: scores[name]["value"] for who, scores in everyone.items() if name in scores}
    numbers = [value for value in values.values() if wording.is_number(value)]
    best = max((sign * value for value in numbers), default=None)
    cells = []
    for who, scores in everyone.items():
        one = scores.get(name)
        is_known = one is not None and wording.is_number(one.get("value"))
        cells.append(
            Cell(
                wording.number(one["value"]) if one is not None and is_known else wording.NOT_MEASURED,
                wording.span(one) if one is not None and is_known else "",
                is_known and best is not None and sign * values[who] == best,
            )
        )
    return ScoreRow(
        name=name,
        title=wording.metric(name),
        doc=known.doc if known else "",
        is_primary=name == primary,
        direction="" if sign > 0 else "lower is better",
        cells=tuple(cells),
    )
