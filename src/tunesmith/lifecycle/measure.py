"""A model measured on a labelled file it was not trained on."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.errors import DataError, Interrupted
from tunesmith.evaluation.gate import MODEL
from tunesmith.evaluation.predictions import Predictions, decided
from tunesmith.evaluation.significance import Resamples
from tunesmith.evaluation.stage import by_class, intervals, label_gaps
from tunesmith.lifecycle import columns
from tunesmith.lifecycle.model import Model, Prediction
from tunesmith.lifecycle.predict_file import WINDOW_ROWS
from tunesmith.lifecycle.reports import same_text
from tunesmith.lifecycle.session import Session
from tunesmith.lifecycle.table_file import Record, TableFile, open_table, sample


@dataclass(frozen=True)
class Measurement:
    """What a model scores on a file."""

    model: str
    input: str
    format: str
    task: str
    text_column: str
    label_column: str
    rows: dict[str, int]
    """``read``, ``measured``, and why the others were not."""
    num_learned: int
    """Measured rows whose text is among those the model was trained or chosen on: they flatter it."""
    metrics: dict[str, dict[str, float]]
    """Metric → value, low, high."""
    confidence: float
    per_class: dict[str, dict[str, float]]
    confusion: dict[str, Any] | None
    not_measured: dict[str, str]
    truncated_rows: int
    num_truncated_tokens: int
    notes: list[str]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The measurement as JSON values."""
        return asdict(self)


@dataclass
class _Answers:
    """Targets and predictions of the rows that have both."""

    targets: list[Any] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    rows: Counter[str] = field(default_factory=Counter)
    num_learned: int = 0


def measure(
    session: Session,
    model: Model,
    path: Path,
    label_column: str | None,
    *,
    text_column: str | None = None,
    trained_on: Sequence[str] = (),
    labels_were: Sequence[str] = (),
    learned: Set[str] = frozenset(),
    confidence: float = 0.95,
    num_samples: int = 2000,
    seed: int = 0,
) -> Measurement:
    """The model's scores with intervals on the rows of a file that have a text and a label.

    Raises: RecipeError for a column that is not there, DataError where no row can be measured.
    """
    started = time.monotonic()
    wanted = [name for name in (text_column, label_column) if name] or list(trained_on)
    table = open_table(path, wanted)
    head = sample(table)
    text, _ = columns.text_column(head, text_column, trained_on, path.name)
    label = columns.label_column(head, label_column, labels_were, path.name)
    answers = _answers(session, model, table, text, label, learned)
    if not answers.targets:
        raise DataError(
            f"{path.name}: no row has a text and a label, so nothing can be measured",
            seen=", ".join(f"{number} {what}" for what, number in answers.rows.items()),
            next="check --text-column and --label-column",
        )
    is_label = model.task == "classify"
    targets = np.array(answers.targets, dtype=str if is_label else float)
    given = _predictions(model, answers.predictions)
    task: Any = model.task
    scores = Resamples(task, targets, {MODEL: given.predicted_N}, num_samples=num_samples, seed=seed)
    measured, gaps = intervals(scores, confidence)
    detail = by_class(targets, given) if is_label else {}
    rows = {"read": answers.rows.total(), "measured": len(answers.targets)}
    return Measurement(
        model=model.reference,
        input=str(path),
        format=table.format,
        task=model.task,
        text_column=text,
        label_column=label,
        rows=rows | {what: number for what, number in answers.rows.items() if what != "measured"},
        num_learned=answers.num_learned,
        metrics=measured[MODEL],
        confidence=confidence,
        per_class=detail.get("per_class", {}),
        confusion=detail.get("confusion"),
        not_measured=gaps | label_gaps(task, targets, given),
        truncated_rows=given.truncated_rows,
        num_truncated_tokens=given.num_truncated_tokens,
        notes=list(table.notes),
        seconds=round(time.monotonic() - started, 1),
    )


def _answers(session: Session, model: Model, table: TableFile, text: str, label: str, learned: Set[str]) -> _Answers:
    answers = _Answers()
    records = table.records()
    total = sum(1 for _ in table.records())
    while window := list(islice(records, WINDOW_ROWS)):
        usable = list(_usable(model, window, text, label, answers.rows))
        answers.targets += [target for _, target in usable]
        contents = [content for content, _ in usable]
        # Training rows are kept as they were read: without personal data where the recipe says so.
        answers.num_learned += sum(same_text(content) in learned for content in model.as_learned(contents))
        answers.predictions += model.predict(contents)
        told = {"done": answers.rows.total(), "total": total, "unit": "rows"}
        session.listener({"event": "progress", "step": "evaluate", "t": time.time(), **told})
        if session.cancel.is_set():
            raise Interrupted("interrupted; nothing was measured", next="run the same command again")
    return answers


def _usable(
    model: Model, window: Sequence[Record], text: str, label: str, rows: Counter[str]
) -> Iterator[tuple[str, Any]]:
    """The text and target of each record that has both; every record is counted, with the reason."""
    for record in window:
        content, target = record.cells.get(text), record.cells.get(label)
        if record.error is not None:
            rows["refused"] += 1
        elif columns.is_empty(content):
            rows["text is empty"] += 1
        elif columns.is_empty(target):
            rows["label is empty"] += 1
        elif model.task == "classify":
            rows["measured"] += 1
            yield str(content), str(target).strip()
        elif (number := columns.as_number(target)) is None:
            rows["label is no number"] += 1
        else:
            rows["measured"] += 1
            yield str(content), number


def _predictions(model: Model, answers: Sequence[Prediction]) -> Predictions:
    rows = [list(one.probabilities.values()) if one.value is None else [one.value] for one in answers]
    cut = [one.num_truncated_tokens for one in answers]
    return decided(model.task, model.labels, model.decision, np.array(rows, float), cut)
