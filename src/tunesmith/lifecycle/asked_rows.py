"""What a file's rows ask a language model: a prompt, or a list of messages, in a column."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from tunesmith.core.conversation import Conversation
from tunesmith.core.engine import GenerationOptions
from tunesmith.core.errors import DataError
from tunesmith.lifecycle import columns
from tunesmith.lifecycle.language_model import LanguageModel, conversation_of
from tunesmith.lifecycle.model import Prediction
from tunesmith.lifecycle.table_file import Record, TableFile

NAMES = ("messages", "prompt", "text")
"""Columns that are taken where none was asked for and none has the name it had in training."""
TOOLS = "tools"
WRITTEN_ROWS = 64
"""Rows that are answered together: seconds to minutes of work."""
_Asked = Conversation | str | None
"""What a record asks; the reason where it cannot be read, None where it asks nothing."""


def asking_column(
    cells: Mapping[str, Sequence[Any]], asked: str | None, trained_on: Sequence[str], file: str
) -> tuple[str, str]:
    """The column that asks, and why it is that one.

    Raises: RecipeError listing the columns where none was asked for and none stands out.
    """
    known = next((name for name in NAMES if name in cells), None)
    if asked is None and known is not None and not any(name in cells for name in trained_on):
        return known, "by its name"
    return columns.text_column(cells, asked, trained_on, file)


def written(
    model: LanguageModel, table: TableFile, column: str, options: GenerationOptions
) -> Iterator[tuple[Record, Prediction | None]]:
    """Each record with its answer: None where it asks nothing, with ``refused`` where it cannot be read."""
    for window, found in _windows(table, column):
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


def num_refused(model: LanguageModel, table: TableFile, column: str) -> int:
    """The records that the model cannot read."""
    return sum(one is not None for _, found in _windows(table, column) for one in _readable(model, found)[1])


def _windows(table: TableFile, column: str) -> Iterator[tuple[list[Record], list[_Asked]]]:
    records = table.records()
    while window := list(islice(records, WRITTEN_ROWS)):
        yield window, _asked(window, column)


def _readable(model: LanguageModel, found: Sequence[_Asked]) -> tuple[list[Conversation], list[str | None]]:
    """The conversations that the model can read, and for each record why it cannot be; None for all others."""
    reasons = iter(model.refusals([one for one in found if isinstance(one, Conversation)]))
    refusals = [next(reasons) if isinstance(one, Conversation) else one for one in found]
    pairs = zip(found, refusals, strict=True)
    return [one for one, why in pairs if isinstance(one, Conversation) and why is None], refusals


def _asked(window: Sequence[Record], column: str) -> list[_Asked]:
    found: list[_Asked] = []
    for record in window:
        cell = record.cells.get(column)
        if record.error is not None or columns.is_empty(cell):
            found.append(None)
            continue
        try:
            found.append(_conversation(cell, record.cells.get(TOOLS)))
        except DataError as error:
            found.append(f"{error.what}: {error.seen}")
    return found


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
