"""A language model measured on a file of questions with their answers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence, Set
from pathlib import Path

import polars as pl

from tunesmith.core.conversation import Conversation
from tunesmith.core.engine import GenerationOptions
from tunesmith.core.errors import DataError, Interrupted
from tunesmith.core.tasks import LanguageTask
from tunesmith.data.formats.config import FormatConfig
from tunesmith.data.formats.convert import Tally, converted
from tunesmith.data.formats.detect import SAMPLE_ROWS, Detected, detect
from tunesmith.data.formats.readable import readable
from tunesmith.data.sources.cells import text
from tunesmith.evaluation.language.config import LanguageMeasures
from tunesmith.evaluation.language.prompts import NOT_READ, TestPrompts, test_prompts
from tunesmith.evaluation.language.responses import Responses, responses
from tunesmith.evaluation.significance import MODEL, Resamples, intervals
from tunesmith.lifecycle.language_model import LanguageModel
from tunesmith.lifecycle.measure import Measurement
from tunesmith.lifecycle.reports import same_text
from tunesmith.lifecycle.session import Session
from tunesmith.lifecycle.table_file import TableFile, open_table
from tunesmith.metrics.written import Counts

REFUSED = "refused"
ANSWERS = frozenset({"completion", "output", "messages", "conversations", "text"})
ASKS = frozenset({"prompt", "instruction", "input", "system", "messages", "conversations"})


class _Told:
    """Who waits for the measurement."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def progress(self, done: float, total: float, unit: str, note: str = "") -> None:
        """Pass it on."""
        told = {"done": done, "total": total, "unit": unit, "note": note}
        self.session.listener({"event": "progress", "step": "evaluate", "t": time.time(), **told})

    def check_cancelled(self) -> None:
        """Raise where somebody asked to stop."""
        if self.session.cancel.is_set():
            raise Interrupted("interrupted; nothing was measured", next="run the same command again")


def measure_written(
    session: Session,
    model: LanguageModel,
    path: Path,
    learned_as: FormatConfig,
    *,
    learned: Set[str] = frozenset(),
    confidence: float = 0.95,
    seed: int = 0,
) -> Measurement:
    """The model's scores with intervals on the rows of a file that have a question and an answer.

    ``learned_as``: how the rows it was trained on were read. Raises: DataError where no row can be measured.
    """
    started = time.monotonic()
    measures = LanguageMeasures(confidence=confidence)
    table = open_table(path)
    rows: Counter[str] = Counter()
    detected, found = _conversations(table, learned_as.model_copy(update={"source": path.name}), rows)
    found = model.as_learned(found)
    asked = _asked(model, found, measures)
    if not asked.prompts:
        raise DataError(
            f"{path.name}: no row has an answer, so nothing can be measured",
            seen=", ".join(f"{num} {why}" for why, num in (rows + Counter(asked.notes)).items()) or "no rows",
            next="name the columns as in training, or look at what the rows hold",
        )
    options = GenerationOptions(max_new_tokens=measures.generation.max_new_tokens)
    made = responses(model, asked, options, _Told(session), "the model")
    measured, gaps = _scores(model.task, asked, made, measures, seed)
    places = [place for prompt in asked.prompts for place in prompt.rows]
    return Measurement(
        model=model.reference,
        input=str(path),
        format=f"{table.format}, read as {detected.format.title}",
        task=model.task,
        text_column=_columns(detected, ASKS),
        label_column=_columns(detected, ANSWERS),
        rows={"read": rows.total() + len(found), "measured": len(places), **rows, **_unmeasured(asked.notes)},
        num_learned=sum(same_text(readable(found[place])) in learned for place in places),
        metrics=measured,
        confidence=measures.confidence,
        per_class={},
        confusion=None,
        per_target={},
        rejection=None,
        not_measured=gaps,
        truncated_rows=made.truncated_rows,
        num_truncated_tokens=made.num_truncated_tokens,
        notes=[*table.notes, *model.notes, *_bounds(asked), *_cut(made, options)],
        seconds=round(time.monotonic() - started, 1),
    )


def _asked(model: LanguageModel, found: Sequence[Conversation], measures: LanguageMeasures) -> TestPrompts:
    """The prompts that are measured; rows that the model's template refuses are counted and left out."""
    columns = {
        "row_id": [str(place) for place in range(len(found))],
        "messages": [one.messages_json() for one in found],
        "tools": [one.tools_json() for one in found],
    }
    refusals = model.refusals([one.prompt if one.prompt.turns else one for one in found])
    unread = {str(place): why for place, why in enumerate(refusals) if why is not None}
    return test_prompts(pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)), measures, unread)


def _scores(
    task: LanguageTask, asked: TestPrompts, made: Responses, measures: LanguageMeasures, seed: int
) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Every metric with its interval, and why some have none."""
    scores = Resamples(
        task,
        range(len(asked.prompts)),
        {MODEL: made.statistics(asked, Counts(is_json=task == "extract"))},
        num_samples=measures.bootstrap_samples,
        seed=seed,
    )
    measured, gaps = intervals(scores, measures.confidence)
    return measured[MODEL], gaps


def _conversations(table: TableFile, config: FormatConfig, rows: Counter[str]) -> tuple[Detected, list[Conversation]]:
    """The conversations of a file; what is none is counted with the reason."""
    cells: dict[str, list[str | None]] = {name: [] for name in table.columns}
    num = 0
    for record in table.records():
        if record.error is not None:
            rows[REFUSED] += 1
            continue
        for name in record.cells.keys() - cells.keys():
            cells[name] = [None] * num
        for name, column in cells.items():
            column.append(text(record.cells.get(name)))
        num += 1
    frame = pl.DataFrame(cells, schema=dict.fromkeys(cells, pl.String))
    detected = detect(frame.head(SAMPLE_ROWS), config)
    found: list[Conversation] = []
    for one in converted(frame, detected, config, Tally()):
        if isinstance(one, Conversation):
            found.append(one)
        else:
            rows[one.reason] += 1
    return detected, found


def _columns(detected: Detected, roles: Set[str]) -> str:
    """The columns of these roles."""
    names = [name for role, columns in detected.columns.items() if role in roles for name in columns]
    return ", ".join(dict.fromkeys(names)) or "none"


def _unmeasured(notes: dict[str, int]) -> dict[str, int]:
    return {why: num for why, num in notes.items() if why.startswith(NOT_READ) or "nothing to measure" in why}


def _bounds(asked: TestPrompts) -> list[str]:
    """What was left out to bound the time."""
    pairs = (
        (len(asked.prompts), asked.num_prompts, "scored"),
        (asked.num_written, asked.num_answerable, "answered"),
    )
    return [
        f"{some:,} of {every:,} prompts were {what}, drawn by their hash" for some, every, what in pairs if some < every
    ]


def _cut(made: Responses, options: GenerationOptions) -> list[str]:
    """What was cut where answers were written."""
    cut, lost = made.finishes.count("length"), made.truncated_prompts
    of = f"of {len(made.texts):,}"
    notes = [f"{cut:,} {of} answers ended at {options.max_new_tokens} tokens, or where the context ends"] if cut else []
    if lost:
        num = f"{made.num_truncated_prompt_tokens:,} tokens at their start not read"
        notes.append(f"{lost:,} {of} answered prompts are longer than the model reads: {num}")
    return notes
