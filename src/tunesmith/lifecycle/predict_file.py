"""A file back with its answers: the same rows in the same order, every cell as it was, the predictions beside it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from tunesmith.core.engine import GenerationOptions
from tunesmith.core.errors import DataError, Interrupted, RecipeError
from tunesmith.data.formats.config import FormatConfig
from tunesmith.data.targets import joined_names
from tunesmith.lifecycle import asked_rows, columns
from tunesmith.lifecycle.asked_rows import DETECTED, WRITTEN_ROWS, Asking, asking, text_of
from tunesmith.lifecycle.language_model import LanguageModel
from tunesmith.lifecycle.model import Model, Prediction
from tunesmith.lifecycle.session import Session
from tunesmith.lifecycle.table_file import (
    FORMULA,
    Added,
    Delimited,
    Record,
    TableFile,
    answers_name,
    open_table,
    same_format,
    sample,
)
from tunesmith.store.files import reported, sync_folder, sync_tree, temporary_folder

WINDOW_ROWS = 512
"""Rows predicted together: bounds memory and the time between two reports of progress."""
ERROR_COLUMN = "tunesmith_error"
DECIMALS = 6


@dataclass(frozen=True)
class FileAnswers:
    """What was written, and what was odd about it."""

    model: str
    input: str
    out: str
    format: str
    text_column: str
    why_text_column: str
    added_columns: list[str]
    rows: dict[str, int]
    """read = predicted + empty + refused."""
    num_rejected: int
    """Predicted rows that the model does not know."""
    thresholds: dict[str, float]
    """Of several labels: the probability from which on each is given, above 1: never; empty for any other task."""
    rejected_below: float | None
    """The score below which a row is rejected; None where the model rejects none."""
    labels: dict[str, int]
    """How often each label was predicted; empty for numbers."""
    truncated_rows: int
    num_truncated_tokens: int
    num_cut_answers: int
    """Answers of a language model that were ended by the most tokens they may have."""
    notes: list[str]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        return asdict(self)


@dataclass
class _Count:
    """What happens to the rows, while it happens."""

    rows: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    truncated_rows: int = 0
    num_truncated_tokens: int = 0
    num_cut_answers: int = 0

    @property
    def num_read(self) -> int:
        """Records so far."""
        return self.rows["predicted"] + self.rows["empty"] + self.rows["refused"]

    def add(self, record: Record, answer: Prediction | None) -> None:
        """Count one record."""
        if answer is None:
            self.rows["empty" if record.error is None else "refused"] += 1
            return
        if answer.refused is not None:
            self.rows["refused"] += 1
            return
        self.rows["predicted"] += 1
        self.num_cut_answers += answer.is_cut
        self.truncated_rows += answer.num_truncated_tokens > 0
        self.num_truncated_tokens += answer.num_truncated_tokens
        self.rows["rejected"] += answer.is_rejected
        self.labels.update(answer.labels or () if answer.label is None else (answer.label,))


@dataclass(frozen=True)
class _Columns:
    """The new columns of a file: what each holds, and how it is called beside those that are there."""

    names: dict[str, str]
    """Name by what is in it: `label`, `probability`, `probability of <label>`, `value`, `answer` …"""
    error: str

    @classmethod
    def beside(cls, taken: Sequence[str], model: Model | LanguageModel, is_all: bool) -> _Columns:
        names: dict[str, str] = {}

        def add(what: str, name: str) -> None:
            names[what] = columns.free_name(name, [*taken, *names.values()])

        if isinstance(model, LanguageModel):
            add("answer", "answer")
        elif model.task == "regress":
            for target in model.targets:
                add(f"value of {target}", f"predicted_{target}")
            if not model.targets:
                add("value", "value")
        elif model.task == "tag":
            add("labels", "labels")
        else:
            add("label", "label")
            add("probability", "probability")
            if model.decision.reject is not None:
                add("is_rejected", "is_rejected")
        if is_all or model.task == "tag":
            for label in model.labels:
                add(f"probability of {label}", f"probability_{label}")
        return cls(names, columns.free_name(ERROR_COLUMN, [*taken, *names.values()]))

    def cells(self, record: Record, answer: Prediction | None) -> dict[str, Added]:
        """The new cells of a record, by the names they have in this file."""
        cells: dict[str, Added] = dict.fromkeys(self.names.values())
        if answer is not None:
            cells = dict(zip(self.names.values(), self._told(answer), strict=True))
        error = record.error if answer is None else answer.refused
        return cells if error is None else {**cells, self.error: error}

    def _told(self, answer: Prediction) -> Iterator[Added]:
        of_label = {f"probability of {label}": one for label, one in answer.probabilities.items()}
        of_target = {f"value of {target}": one for target, one in (answer.values or {}).items()}
        for what in self.names:
            if what in of_label:
                yield round(of_label[what], DECIMALS)
            elif what in of_target:
                yield _short(of_target[what])
            elif what == "answer":
                yield answer.answer
            elif what == "labels":
                yield joined_names(answer.labels or ())
            elif what == "label":
                yield answer.label
            elif what == "probability":
                yield None if answer.probability is None else round(answer.probability, DECIMALS)
            elif what == "is_rejected":
                yield "true" if answer.is_rejected else "false"
            else:
                yield None if answer.value is None else _short(answer.value)


def _short(number: float) -> float:
    return float(f"{number:.7g}")


def predict_file(
    session: Session,
    model: Model | LanguageModel,
    path: Path,
    out: Path,
    *,
    text_column: str | None = None,
    trained_on: Sequence[str] = (),
    learned_as: FormatConfig = DETECTED,
    is_all: bool = False,
    options: GenerationOptions | None = None,
) -> FileAnswers:
    """Write the file with a prediction for each row beside it, at once, and return what happened to the rows.

    ``is_all`` adds the probability of every label; for several labels a row they are always there. ``options`` say how
    a language model writes, ``learned_as`` how the rows it was trained on were read.

    Raises: RecipeError for a column or output that cannot be, DataError for a file that cannot be read.
    """
    started = time.monotonic()
    check_output(path, out)
    table = open_table(path, [text_column] if text_column else trained_on)
    same_format(out, table)
    asked = (sample(table), text_column, trained_on, path.name)
    how = asking(*asked, learned_as) if isinstance(model, LanguageModel) else text_of(*columns.text_column(*asked))
    num_records, num_refused, taken = _survey(table)
    num_refused += asked_rows.num_refused(model, table, how) if isinstance(model, LanguageModel) else 0
    new = _Columns.beside(taken, model, is_all)
    added = [*new.names.values(), *([new.error] if num_refused else [])]
    before = _stamp(path)
    with temporary_folder(out.absolute().parent) as folder:
        temp = folder / "answers"
        with reported("cannot write", out), temp.open("wb") as stream:
            stream.write(table.head(added))
            count, every = _Count(), WRITTEN_ROWS if isinstance(model, LanguageModel) else WINDOW_ROWS
            for record, answer in _answered(model, table, how, options):
                count.add(record, answer)
                stream.write(table.line(record, added, new.cells(record, answer)))
                if count.num_read % every == 0 or count.num_read == num_records:
                    _tell(session, count.num_read, num_records)
        if _stamp(path) != before:
            raise DataError("the file changed while it was read; nothing was written", seen=path, next="try again")
        _put(folder, temp, out)
    return FileAnswers(
        model=model.reference,
        input=str(path),
        out=str(out),
        format=table.format,
        text_column=how.shown,
        why_text_column=how.why,
        added_columns=added,
        rows={"read": count.num_read, **{what: count.rows[what] for what in ("predicted", "empty", "refused")}},
        **_decided(model, count),
        labels=dict(count.labels.most_common()),
        truncated_rows=count.truncated_rows,
        num_truncated_tokens=count.num_truncated_tokens,
        num_cut_answers=count.num_cut_answers,
        notes=_notes(table, model),
        seconds=round(time.monotonic() - started, 1),
    )


def _decided(model: Model | LanguageModel, count: _Count) -> dict[str, Any]:
    """How many rows were rejected, and by which thresholds rows are, and labels given."""
    found: dict[str, Any] = {"num_rejected": count.rows["rejected"], "thresholds": {}, "rejected_below": None}
    if not isinstance(model, LanguageModel):
        found["thresholds"] = dict(model.thresholds)
        found["rejected_below"] = None if model.rejection is None else model.rejection.threshold
    return found


def check_output(path: Path, out: Path) -> None:
    """Refuse an output that is the input, a folder, or in a folder that is not there."""
    if out.is_dir():
        raise RecipeError("the output is a folder", seen=out, next=f"--out {out / path.name}")
    if not out.absolute().parent.is_dir():
        raise RecipeError("the folder of the output does not exist", seen=out, next=f"mkdir -p {out.parent}")
    if out.exists() and path.exists() and out.samefile(path):
        raise RecipeError("the output would replace the input", seen=out, next=f"--out {answers_name(path)}")


def _survey(table: TableFile) -> tuple[int, int, list[str]]:
    """The number of records, how many are no rows, and every column name there is."""
    num_records = num_refused = 0
    taken = dict.fromkeys(table.columns)
    for record in table.records():
        num_records += 1
        num_refused += record.error is not None
        taken.update(dict.fromkeys(record.cells))
    return num_records, num_refused, list(taken)


def _answered(
    model: Model | LanguageModel, table: TableFile, how: Asking, options: GenerationOptions | None
) -> Iterator[tuple[Record, Prediction | None]]:
    """Each record with its answer; None for those without a text."""
    if isinstance(model, LanguageModel):
        yield from asked_rows.written(model, table, how, options or GenerationOptions())
        return
    model.quicken()
    [column] = how.columns
    records = table.records()
    while window := list(islice(records, WINDOW_ROWS)):
        texts = [None if columns.is_empty(one.cells.get(column)) else str(one.cells[column]) for one in window]
        answers = iter(model.predict([text for text in texts if text is not None]))
        for record, text in zip(window, texts, strict=True):
            yield record, None if text is None else next(answers)


def _put(folder: Path, temp: Path, out: Path) -> None:
    """Let the finished file take the place of the output, safe on disk."""
    with reported("cannot write", out):
        sync_tree(folder)
        temp.replace(out)
        sync_folder(out.absolute().parent)


def _tell(session: Session, done: int, total: int) -> None:
    """Tell how far it is, and stop where that was asked for."""
    told = {"done": done, "total": total, "unit": "rows"}
    session.listener({"event": "progress", "step": "predict", "t": time.time(), **told})
    if session.cancel.is_set():
        raise Interrupted("interrupted; nothing was written", next="run the same command again")


def _notes(table: TableFile, model: Model | LanguageModel) -> list[str]:
    if isinstance(model, LanguageModel):
        return [*table.notes, *model.notes]
    changed = [label for label in model.labels if label.startswith(FORMULA)]
    if not changed or not isinstance(table, Delimited):
        return list(table.notes)
    words = ", ".join(f"`{label}`" for label in changed[:5])
    return [*table.notes, f"labels that a spreadsheet would run as formulas are written with a quote before: {words}"]


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
