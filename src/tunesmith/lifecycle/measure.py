"""A model measured on a labelled file it was not trained on."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.errors import DataError, Interrupted, RecipeError
from tunesmith.data.targets import flag_of, names_of
from tunesmith.evaluation.detail import by_class, by_tag, by_target, label_gaps
from tunesmith.evaluation.predictions import Predictions, decided
from tunesmith.evaluation.rejection import rejection_facts
from tunesmith.evaluation.significance import MODEL, Resamples, intervals
from tunesmith.evaluation.truth import Truth, truth_of
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
    per_target: dict[str, dict[str, dict[str, float]]]
    """Several targets: each one's metrics in its own unit; the metrics above are in deviations of the training rows."""
    rejection: dict[str, Any] | None
    """Of a model that rejects: what its threshold does to these rows; the metrics above are of the rows in scope, as
    if all were answered."""
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
    labels = _labels_in(model, head, label_column, labels_were, path.name)
    answers = _answers(session, model, table, text, labels, learned)
    beyond = _out_of_scope(model, answers, path.name)
    given = _predictions(model, answers.predictions)
    task: Any = model.task
    truth = truth_of(task, answers.targets, model.labels, model.scale)
    given = truth.answers(given)
    scores = Resamples(task, truth.targets_N, {MODEL: given.predicted_N}, num_samples=num_samples, seed=seed)
    measured, gaps = intervals(scores, confidence)
    detail, more = _detail(model, answers, truth, given, confidence=confidence, num_samples=num_samples, seed=seed)
    gaps |= more
    rows = {"read": answers.rows.total(), "measured": len(answers.targets)}
    rows |= {"out of scope": len(beyond)} if beyond else {}
    return Measurement(
        model=model.reference,
        input=str(path),
        format=table.format,
        task=model.task,
        text_column=text,
        label_column=", ".join(labels.columns),
        rows=rows | {what: number for what, number in answers.rows.items() if what != "measured"},
        num_learned=answers.num_learned,
        metrics=measured[MODEL],
        confidence=confidence,
        per_class=detail.get("per_class", {}),
        confusion=detail.get("confusion"),
        per_target={name: one["metrics"] for name, one in detail.get("per_target", {}).items()},
        rejection=_rejection(model, given, truth, beyond, confidence, seed),
        not_measured=gaps | label_gaps(truth, given),
        truncated_rows=given.truncated_rows,
        num_truncated_tokens=given.num_truncated_tokens,
        notes=list(table.notes),
        seconds=round(time.monotonic() - started, 1),
    )


def _rejection(
    model: Model, given: Predictions, truth: Truth, beyond: Sequence[Prediction], confidence: float, seed: int
) -> dict[str, Any] | None:
    """What the model's rejection does to the rows in scope and to those beyond; None where it answers every text."""
    if model.decision.reject is None or given.score_N is None:
        return None
    outside = _predictions(model, beyond) if beyond else None
    return rejection_facts(
        model.decision.reject,
        given.score_N,
        given.predicted_N == truth.targets_N,
        given.values_NC.max(1),
        None if outside is None or outside.score_N is None else (outside.score_N, outside.values_NC.max(1)),
        confidence=confidence,
        seed=seed,
    )


def _detail(
    model: Model, answers: _Answers, truth: Truth, given: Predictions, **resampled: Any
) -> tuple[dict[str, Any], dict[str, str]]:
    """Scores by label or by target, and why some have none."""
    if model.task == "classify":
        return by_class(truth.targets_N, given), {}
    if model.task == "tag":
        return by_tag(truth, given, model.decision), {}
    if model.targets:
        return by_target(model.targets, np.array(answers.targets, float), {MODEL: given.values_NC}, **resampled)
    return {}, {}


@dataclass(frozen=True)
class _Labels:
    """Where the labels of a file stand, and how they are read."""

    columns: tuple[str, ...]
    task: str
    targets: tuple[str, ...]
    is_one_each: bool
    """Whether each label, or each target, has a column of its own."""

    def read(self, record: Record) -> Any:
        """The target of a record.

        Raises: ValueError in the words that are counted where it has none.
        """
        cells = [record.cells.get(name) for name in self.columns]
        if self.task == "tag":
            return self._names(cells)
        if any(map(columns.is_empty, cells)):
            raise ValueError("label is empty")
        if self.task == "classify":
            return str(cells[0]).strip()
        numbers = [columns.as_number(cell) for cell in cells]
        if None in numbers:
            raise ValueError("label is no number")
        return numbers if self.targets else numbers[0]

    def _names(self, cells: Sequence[Any]) -> list[str]:
        try:
            if self.is_one_each:
                return sorted(name for name, cell in zip(self.columns, cells, strict=True) if flag_of(cell))
            return names_of(cells[0], "|")
        except ValueError:
            raise ValueError("label cannot be read") from None


def _labels_in(
    model: Model, head: Mapping[str, Sequence[Any]], asked: str | None, labels_were: Sequence[str], file: str
) -> _Labels:
    """The columns of the labels: as asked, else those of training, else a guess.

    Raises: RecipeError where a column is not there.
    """
    if model.targets:
        names = tuple(name.strip() for name in asked.split(",")) if asked else model.targets
        if len(names) != len(model.targets):
            raise RecipeError(
                "the model has several targets, and each needs its column",
                seen=", ".join(names),
                next=f"--label-column {','.join(model.targets)}",
            )
        found = tuple(columns.named(head, name, "--label-column", file) for name in names)
        return _Labels(found, model.task, model.targets, is_one_each=True)
    if model.task == "tag" and asked is None and len(labels_were) > 1 and set(model.labels) <= set(head):
        return _Labels(tuple(name for name in labels_were if name in head), model.task, (), is_one_each=True)
    label = columns.label_column(head, asked, labels_were, file)
    return _Labels((label,), model.task, (), is_one_each=False)


def _answers(
    session: Session, model: Model, table: TableFile, text: str, labels: _Labels, learned: Set[str]
) -> _Answers:
    answers = _Answers()
    records = table.records()
    total = sum(1 for _ in table.records())
    while window := list(islice(records, WINDOW_ROWS)):
        usable = list(_usable(window, text, labels, answers.rows))
        answers.targets += [target for _, target in usable]
        answers.num_learned += sum(same_text(content) in learned for content, _ in usable)
        answers.predictions += model.predict([content for content, _ in usable])
        told = {"done": answers.rows.total(), "total": total, "unit": "rows"}
        session.listener({"event": "progress", "step": "evaluate", "t": time.time(), **told})
        if session.cancel.is_set():
            raise Interrupted("interrupted; nothing was measured", next="run the same command again")
    return answers


def _usable(window: Sequence[Record], text: str, labels: _Labels, rows: Counter[str]) -> Iterator[tuple[str, Any]]:
    """The text and target of each record that has both; every record is counted, with the reason."""
    for record in window:
        content = record.cells.get(text)
        if record.error is not None:
            rows["refused"] += 1
        elif columns.is_empty(content):
            rows["text is empty"] += 1
        else:
            try:
                target = labels.read(record)
            except ValueError as why:
                rows[str(why)] += 1
                continue
            rows["measured"] += 1
            yield str(content), target


def _out_of_scope(model: Model, answers: _Answers, file: str) -> list[Prediction]:
    """Take the rows that carry the label of rejected texts out of those to measure, and return their predictions.

    Raises: DataError where nothing is left to measure.
    """
    if not answers.targets:
        raise DataError(
            f"{file}: no row has a text and a label, so nothing can be measured",
            seen=", ".join(f"{number} {what}" for what, number in answers.rows.items()),
            next="check --text-column and --label-column",
        )
    label = model.decision.reject.label if model.decision.reject is not None else None
    is_outside = [label is not None and target == label for target in answers.targets]
    beyond = [one for one, out in zip(answers.predictions, is_outside, strict=True) if out]
    answers.predictions = [one for one, out in zip(answers.predictions, is_outside, strict=True) if not out]
    answers.targets = [one for one, out in zip(answers.targets, is_outside, strict=True) if not out]
    if not answers.targets:
        raise DataError(f"{file}: every row is out of scope", seen=f"{len(beyond)} rows of `{label}`")
    return beyond


def _predictions(model: Model, answers: Sequence[Prediction]) -> Predictions:
    rows = [_values(one) for one in answers]
    cut = [one.num_truncated_tokens for one in answers]
    scores = [one.score for one in answers if one.score is not None]
    score_N = np.array(scores, float) if len(scores) == len(answers) else None
    return decided(model.task, model.targets or model.labels, model.decision, np.array(rows, float), cut, score_N)


def _values(one: Prediction) -> list[float]:
    """What the engine answered, in its order."""
    if one.value is not None:
        return [one.value]
    return list((one.probabilities or one.values or {}).values())
