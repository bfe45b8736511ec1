"""Test rows to look at: wrong though sure, right where a baseline is wrong, right and sure; and how far to trust it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from tunesmith.reporting import wording
from tunesmith.reporting.view import RunView

MAX_WRONG = 8
MAX_RIGHT = 4
REFERENCES = ("tfidf", "base_logistic", "base_centroid", "base_ridge", "majority", "mean")
"""The baseline shown beside the answers: the first of these that was run."""
BANDS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class Case:
    """One test row and what was said about it; numbers are written out."""

    text: str
    true: str
    predicted: str
    probability: float | None
    reference: str
    is_reference_right: bool | None
    """None for numbers."""
    source: str


@dataclass(frozen=True)
class Group:
    """Cases that teach the same."""

    title: str
    words: str
    kind: str
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Band:
    """The rows that the model is at least this sure of."""

    at_least: float
    rows: int
    share: float
    right: float | None


class Cases:
    """The test rows with their predictions."""

    def __init__(self, view: RunView) -> None:
        self.task = view.task
        self.frame = pl.read_parquet(view.predictions)
        columns = [name for name in REFERENCES if f"baseline_{name}" in self.frame.columns]
        self.reference = columns[0] if columns else None
        other = pl.col(f"baseline_{self.reference}") if self.reference else pl.lit(None)
        self.frame = self.frame.with_columns(
            other.alias("reference"),
            (pl.col("label") == pl.col("predicted")).alias("is_right"),
            (pl.col("label") == other).alias("is_reference_right"),
        ).with_row_index("place")

    def num_sure_and_wrong(self, sure: float) -> int:
        """Rows that are wrong at this probability or more."""
        if "probability" not in self.frame.columns:
            return 0
        return self.frame.filter(~pl.col("is_right") & (pl.col("probability") >= sure)).height

    def groups(self) -> list[Group]:
        """The groups worth reading, without those that are empty."""
        several = isinstance(self.frame.schema["label"], pl.List)
        make = {"classify": self._labels, "tag": self._tags}.get(self.task, self._vectors if several else self._numbers)
        found = make()
        return [group for group in found if group.cases]

    def bands(self) -> list[Band]:
        """How many rows it is how sure of, and how often it is right there."""
        if "probability" not in self.frame.columns:
            return []
        found = []
        for least in BANDS:
            rows = self.frame.filter(pl.col("probability") >= least)
            right = int(rows["is_right"].sum()) / rows.height if rows.height else None
            found.append(Band(least, rows.height, rows.height / max(1, self.frame.height), right))
        return found

    def _labels(self) -> Iterable[Group]:
        wrong = self.frame.filter(~pl.col("is_right"))
        total = f"{wording.count(wrong.height)} of {wording.counted(self.frame.height, 'test row')} are wrong"
        shown = wrong.sort("probability", "place", descending=[True, False]).head(MAX_WRONG)
        words = f"{total}. Check the label first: where the model is sure, it may be the label that is wrong."
        yield Group("Wrong answers, the surest first", words, "wrong", self._cases(shown))
        right = self.frame.filter("is_right").sort("probability", "place", descending=[True, False])
        if self.reference:
            name = wording.baseline(self.reference)
            won = right.filter(~pl.col("is_reference_right"))
            lost = wrong.filter("is_reference_right").height
            words = f"{wording.counted(won.height, 'such row')}; the other way round there are {wording.count(lost)}."
            yield Group(f"Right where {name} is wrong", words, "right", self._cases(_one_a_label(won, MAX_RIGHT)))
        yield Group("Right, and sure", "One a class.", "right", self._cases(_one_a_label(right, MAX_RIGHT)))
        unsure = right.sort("probability", "place").head(MAX_RIGHT)
        yield Group("Right, but only just", "The least sure of its right answers.", "right", self._cases(unsure))

    def _numbers(self) -> Iterable[Group]:
        errors = self.frame.with_columns((pl.col("predicted") - pl.col("label")).abs().alias("error"))
        far = errors.sort("error", "place", descending=[True, False]).head(MAX_WRONG)
        yield Group("Farthest off", "The largest errors, largest first.", "wrong", self._cases(far))
        if self.reference:
            gain = (pl.col("reference") - pl.col("label")).abs() - pl.col("error")
            won = errors.with_columns(gain.alias("gain")).filter(pl.col("gain") > 0)
            won = won.sort("gain", "place", descending=[True, False]).head(MAX_RIGHT)
            title = f"Closer than {wording.baseline(self.reference)}"
            yield Group(title, "Where it gains the most.", "right", self._cases(won))

    def _tags(self) -> Iterable[Group]:
        missed = pl.col("label").list.set_difference("predicted").list.len()
        extra = pl.col("predicted").list.set_difference("label").list.len()
        frame = self.frame.with_columns((missed + extra).alias("num_wrong"))
        wrong = frame.filter(pl.col("num_wrong") > 0).sort("num_wrong", "place", descending=[True, False])
        of = f"{wording.count(wrong.height)} of {wording.counted(frame.height, 'test row')}"
        words = f"{of} miss a label or have one too many."
        yield Group("Most labels missing or too many", words, "wrong", self._cases(wrong.head(MAX_WRONG)))
        right = frame.filter(pl.col("num_wrong") == 0)
        many = right.sort(pl.col("label").list.len(), "place", descending=[True, False]).head(MAX_RIGHT)
        yield Group("All labels right", "Rows with most labels first.", "right", self._cases(many))
        if self.reference:
            won = right.filter(~pl.col("is_reference_right")).head(MAX_RIGHT)
            title = f"Right where {wording.baseline(self.reference)} is wrong"
            yield Group(title, "In every label.", "right", self._cases(won))

    def _vectors(self) -> Iterable[Group]:
        """Rows by their distance over all targets, each in its deviation over the test rows."""
        num = len(self.frame["label"][0])
        parts = []
        for at in range(num):
            error = pl.col("predicted").list.get(at) - pl.col("label").list.get(at)
            parts.append((error / pl.col("label").list.get(at).std()) ** 2)
        far = self.frame.with_columns(pl.sum_horizontal(parts).alias("error"))
        far = far.sort("error", "place", descending=[True, False]).head(MAX_WRONG)
        yield Group("Farthest off", "Over all targets together, largest first.", "wrong", self._cases(far))

    def _cases(self, frame: pl.DataFrame) -> tuple[Case, ...]:
        is_label = self.task != "regress"
        return tuple(
            Case(
                text=wording.excerpt(row["text"]),
                true=_written(row["label"]),
                predicted=_written(row["predicted"]),
                probability=row.get("probability"),
                reference=_written(row["reference"]),
                is_reference_right=row["is_reference_right"] if is_label else None,
                source=str(row["source_id"]),
            )
            for row in frame.iter_rows(named=True)
        )


def residuals(
    frame: pl.DataFrame, quantiles: Sequence[float] = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)
) -> list[tuple[str, float]]:
    """Quantiles of predicted less actual, with their names."""
    error = frame["predicted"] - frame["label"]
    names = {0: "lowest", 0.5: "median", 1: "highest"}
    return [(names.get(q, f"{100 * q:g} %"), float(error.quantile(q, "linear") or 0.0)) for q in quantiles]


def _one_a_label(frame: pl.DataFrame, num: int) -> pl.DataFrame:
    """The first row of each label, in the order of the frame."""
    return frame.unique("label", keep="first", maintain_order=True).head(num)


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " · ".join(map(_written, value)) or "no label"
    return wording.number(value) if isinstance(value, float) else str(value)
