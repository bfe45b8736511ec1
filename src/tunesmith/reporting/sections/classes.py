"""How each class fares, and which are mistaken for each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tunesmith.reporting.charts.matrix import matrix_chart
from tunesmith.reporting.view import RunView

TABLE_LABELS = 20
"""A confusion matrix of up to so many labels is a table, a larger one small squares."""
MATRIX_LABELS = 200
MAX_PAIRS = 10
SORTS = ("f1", "precision", "recall", "support", "name")


@dataclass(frozen=True)
class Pair:
    """Rows of one class read as another."""

    true: str
    predicted: str
    num: int
    total: int
    """Rows of the true class."""

    @property
    def share(self) -> float:
        """Of the true class."""
        return self.num / self.total


@dataclass(frozen=True)
class ClassRow:
    """One class, with its place in each order (the table is sorted by the style sheet alone)."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    num_train: int
    threshold: float | None
    """Where rows have any number of labels: the probability from which it is given; above 1 never."""
    places: Mapping[str, int]


@dataclass(frozen=True)
class Classes:
    """The classes of a report."""

    rows: tuple[ClassRow, ...]
    pairs: tuple[Pair, ...]
    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    matrix: Markup | None
    """Drawn where a table would be too large."""
    is_table: bool
    has_mistakes: bool
    """Whether a row has one label, so that one can be mistaken for another."""


def classes_of(view: RunView) -> Classes | None:
    """The classes of labels; None for numbers."""
    if not view.report.get("per_class"):
        return None
    confusion = view.report.get("confusion", {"labels": [], "counts": []})
    labels, counts = confusion["labels"], confusion["counts"]
    is_table = len(labels) <= TABLE_LABELS
    return Classes(
        rows=_rows(view),
        pairs=tuple(confused_pairs(view.report)[:MAX_PAIRS]),
        labels=tuple(labels),
        counts=tuple(tuple(row) for row in counts),
        matrix=None if is_table or len(labels) > MATRIX_LABELS else matrix_chart(labels, counts),
        is_table=is_table,
        has_mistakes="confusion" in view.report,
    )


def confused_pairs(report: Mapping[str, Any]) -> list[Pair]:
    """Every mistake between two classes, the most frequent first."""
    confusion = report.get("confusion")
    if not confusion:
        return []
    labels = confusion["labels"]
    found = [
        Pair(labels[row], labels[column], num, sum(cells))
        for row, cells in enumerate(confusion["counts"])
        for column, num in enumerate(cells)
        if num and row != column
    ]
    return sorted(found, key=lambda one: (-one.num, -one.share, one.true, one.predicted))


def _rows(view: RunView) -> tuple[ClassRow, ...]:
    scores: Mapping[str, Mapping[str, Any]] = view.report["per_class"]
    train = view.splits.get("label_counts", {}).get("train", {})
    places: dict[str, dict[str, int]] = {label: {} for label in scores}
    for sort in SORTS:
        order = sorted(scores) if sort == "name" else sorted(scores, key=lambda label: (scores[label][sort], label))
        for place, label in enumerate(order):
            places[label][sort] = place
    order = sorted(scores, key=lambda label: places[label]["f1"])
    return tuple(
        ClassRow(
            label=label,
            precision=scores[label]["precision"],
            recall=scores[label]["recall"],
            f1=scores[label]["f1"],
            support=scores[label]["support"],
            num_train=train.get(label, 0),
            threshold=scores[label].get("threshold"),
            places=places[label],
        )
        for label in order
    )
