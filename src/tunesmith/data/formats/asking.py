"""What a model is asked, read as the rows that it learned from were."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from tunesmith.core.conversation import Conversation
from tunesmith.core.errors import DataError, TunesmithError
from tunesmith.data.formats import messages
from tunesmith.data.formats.config import FormatConfig
from tunesmith.data.formats.detect import Detected, detect, plain_name
from tunesmith.data.formats.draft import Fault
from tunesmith.data.formats.order import asked
from tunesmith.data.formats.reading import Reading
from tunesmith.data.formats.table import FORMATS, PAIRS


def conversation_asked(listed: Any, tools: Any = None) -> Conversation:
    """The conversation of a list of messages, which needs no answer yet.

    Raises: DataError with the reason that a row of training would have been refused for.
    """
    try:
        return asked(messages.read({"messages": listed, "tools": tools}, Reading()))
    except Fault as fault:
        raise DataError(
            f"these messages cannot be read: {fault.reason}",
            seen=fault.seen or None,
            allowed='a list of {"role": "user", "content": "…"}',
        ) from None


def detect_asked(rows: pl.DataFrame, learned_as: FormatConfig) -> Detected | None:
    """The format of rows that ask and may lack the answer, as it was in training or by their names; None where they
    have none that is known."""
    anew = learned_as.model_copy(update={"kind": "auto", "columns": {}, "lists": ()})
    for config in (learned_as, anew):
        for answer in (None, *_answers(rows, config)):
            whole = rows if answer is None else rows.with_columns(pl.lit(None, pl.String).alias(answer))
            try:
                return detect(whole, config)
            except TunesmithError:
                continue
    return None


def _answers(rows: pl.DataFrame, config: FormatConfig) -> Iterator[str]:
    """Names of columns of answers that rows lack beside the ones that ask."""
    names = {plain_name(name) for name in rows.columns}
    told = [config.columns.get(role) for role in ("completion", "output")]
    usual = [answer for question, answer in PAIRS if question in names]
    if "instruction" in names or "instructions" in names:
        usual.insert(0, FORMATS["alpaca"].names["output"][0])
    for name in dict.fromkeys([*(one for one in told if isinstance(one, str)), *usual]):
        if plain_name(name) not in names:
            yield name
