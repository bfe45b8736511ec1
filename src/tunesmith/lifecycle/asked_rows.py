"""What a file's rows ask a language model: a prompt, messages, or rows of any form that is learned from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import polars as pl

from tunesmith.core.conversation import Conversation
from tunesmith.core.engine import GenerationOptions
from tunesmith.core.errors import DataError
from tunesmith.data.formats import convert
from tunesmith.data.formats.asking import detect_asked
from tunesmith.data.formats.config import FormatConfig
from tunesmith.data.formats.detect import SAMPLE_ROWS, SHAREGPT, Detected, detect, shape
from tunesmith.data.formats.draft import Fault
from tunesmith.data.formats.json_cells import looked_into
from tunesmith.data.sources.cells import plain, text
from tunesmith.lifecycle import columns
from tunesmith.lifecycle.language_model import LanguageModel, conversation_of
from tunesmith.lifecycle.model import Prediction
from tunesmith.lifecycle.table_file import Record, TableFile

NAMES = ("messages", "prompt", "text")
"""Columns that are taken where none was asked for and none has the name it had in training."""
TOOLS = "tools"
ASKS = ("messages", "instruction", "input", "prompt", "text")
"""Roles of a format that a row asks with."""
DETECTED = FormatConfig()
"""Nothing is known of the rows a model learned from: the form is told by the file alone."""
WRITTEN_ROWS = 64
"""Rows that are answered together: seconds to minutes of work."""
_Asked = Conversation | str | None
"""What a record asks; the reason where it cannot be read, None where it asks nothing."""


@dataclass(frozen=True)
class Asking:
    """How the rows of a file are read."""

    columns: tuple[str, ...]
    """Those that ask."""
    why: str
    """Why it is these."""
    detected: Detected | None = None
    """The form of the rows; None: one column with a prompt or a list of messages."""
    config: FormatConfig = DETECTED

    @property
    def shown(self) -> str:
        """The columns' names."""
        return ", ".join(self.columns)

    def read(self, window: Sequence[Record]) -> list[_Asked]:
        """What each record asks."""
        if self.detected is None:
            return [_alone(record, self.columns[0]) for record in window]
        names = dict.fromkeys(name for several in self.detected.columns.values() for name in several)
        cells = {name: [text(plain(record.cells.get(name))) for record in window] for name in names}
        found = convert.asked(pl.DataFrame(cells, schema=dict.fromkeys(names, pl.String)), self.detected, self.config)
        return [self._said(record, one) for record, one in zip(window, found, strict=True)]

    def _said(self, record: Record, found: Conversation | Fault) -> _Asked:
        cells = [record.cells.get(name) for name in self.columns]
        if record.error is not None or all(map(columns.is_empty, cells)):
            return None
        is_list = self.detected is not None and "messages" in self.detected.columns
        if is_list and not isinstance(looked_into(plain(cells[0])), list):
            return conversation_of(str(cells[0]))  # a prompt among lists
        if isinstance(found, Fault):
            return f"{found.reason}: {found.seen}" if found.seen else found.reason
        return found if found.turns else None


def asking(
    cells: Mapping[str, Sequence[Any]],
    asked: str | None,
    trained_on: Sequence[str],
    file: str,
    learned_as: FormatConfig = DETECTED,
) -> Asking:
    """How a file's rows are read, from some of them: a column that is named, a form as in training, or by its names.

    Raises: RecipeError listing the columns where none was asked for and none stands out.
    """
    texts = {name: [text(plain(one)) for one in some[:SAMPLE_ROWS]] for name, some in cells.items()}
    frame = pl.DataFrame(texts, schema=dict.fromkeys(cells, pl.String))
    if asked is not None or any(name in cells for name in trained_on):
        column, why = columns.text_column(cells, asked, trained_on, file)
        return _of_column(frame, column, why, learned_as)
    detected = detect_asked(frame, learned_as)
    if detected is None or _is_plain(detected, learned_as):
        known = next((name for name in NAMES if name in cells), None)
        if known is not None:
            return Asking((known,), "by its name")
    if detected is None:
        column, why = columns.text_column(cells, None, (), file)
        return Asking((column,), why)
    where = tuple(name for role in ASKS for name in detected.columns.get(role, ()) if name in cells)
    why = f"read as {detected.format.title}"
    return Asking(where[:1], why) if _is_plain(detected, learned_as) else Asking(where, why, detected, learned_as)


def text_of(column: str, why: str) -> Asking:
    """A column of texts, each read as it stands."""
    return Asking((column,), why)


def _of_column(frame: pl.DataFrame, column: str, why: str, learned_as: FormatConfig) -> Asking:
    """One column that asks: of ShareGPT's turns, messages or prompts."""
    if shape(frame[column]) != SHAREGPT:
        return Asking((column,), why)
    told = learned_as.model_copy(update={"kind": "auto", "columns": {"messages": column}})
    return Asking((column,), why, detect(frame, told), told)


def _is_plain(detected: Detected, learned_as: FormatConfig) -> bool:
    """Whether one column holds all that is asked, in a form that needs no telling."""
    if detected.format.kind == "text":
        return True
    if detected.format.kind == "messages":
        return not learned_as.keys and not learned_as.roles and detected.columns.keys() <= {"messages", TOOLS}
    if detected.format.kind != "prompt_completion" or detected.reading.is_conversational:
        return False
    return len(detected.columns["prompt"]) == 1 and detected.columns.keys() <= {"prompt", "completion", TOOLS}


def written(
    model: LanguageModel, table: TableFile, how: Asking, options: GenerationOptions
) -> Iterator[tuple[Record, Prediction | None]]:
    """Each record with its answer: None where it asks nothing, with ``refused`` where it cannot be read."""
    for window, found in _windows(table, how):
        asked, refusals = _readable(model, found)
        answers = iter(model.answers(asked, options))
        for record, one, refusal in zip(window, found, refusals, strict=True):
            if refusal is not None:
                yield record, Prediction(None, None, None, {}, refused=refusal)
            elif one is None:
                yield record, None
            else:
                told = next(answers)
                cut, is_cut = told.num_truncated_tokens, told.finish == "length"
                yield record, Prediction(None, None, None, {}, cut, answer=told.text, is_cut=is_cut)


def num_refused(model: LanguageModel, table: TableFile, how: Asking) -> int:
    """The records that the model cannot read."""
    return sum(one is not None for _, found in _windows(table, how) for one in _readable(model, found)[1])


def _windows(table: TableFile, how: Asking) -> Iterator[tuple[list[Record], list[_Asked]]]:
    records = table.records()
    while window := list(islice(records, WRITTEN_ROWS)):
        yield window, how.read(window)


def _readable(model: LanguageModel, found: Sequence[_Asked]) -> tuple[list[Conversation], list[str | None]]:
    """The conversations that the model can read, and for each record why it cannot be; None for all others."""
    reasons = iter(model.refusals([one for one in found if isinstance(one, Conversation)]))
    refusals = [next(reasons) if isinstance(one, Conversation) else one for one in found]
    pairs = zip(found, refusals, strict=True)
    return [one for one, why in pairs if isinstance(one, Conversation) and why is None], refusals


def _alone(record: Record, column: str) -> _Asked:
    """What one cell asks."""
    cell = record.cells.get(column)
    if record.error is not None or columns.is_empty(cell):
        return None
    try:
        return _conversation(cell, record.cells.get(TOOLS))
    except DataError as error:
        return f"{error.what}: {error.seen}"


def _conversation(cell: Any, tools: Any) -> Conversation:
    """A cell as a conversation: messages, as a list or as JSON, without their last answer; any other text is a prompt.

    Raises: DataError for messages that are none.
    """
    messages = _parsed(cell) if isinstance(cell, str) else cell
    if not isinstance(messages, list):
        return conversation_of(str(cell))
    listed = _parsed(tools) if isinstance(tools, str) else tools
    conversation = conversation_of({"messages": messages, "tools": listed if isinstance(listed, list) else None})
    return conversation.prompt if conversation.turns[-1].role == "assistant" else conversation


def _parsed(text: str) -> Any:
    """The list of objects that a text is the JSON of; None for any other text."""
    if not text.lstrip().startswith("["):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, list) and value and all(isinstance(one, dict) for one in value) else None
