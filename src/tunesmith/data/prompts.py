"""What a model is asked in each conversation, so that equal questions are never on both sides of a split."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import polars as pl

from tunesmith.data.gather import Gathered
from tunesmith.data.prepare_config import PrepareConfig

PROMPT = "prompt"
MESSAGES = "messages"
WRITTEN = (PROMPT, MESSAGES, "tools")
"""Columns that were written for the model: rows without tools or without a question have no gap there."""


def beside(gathered: Gathered) -> Gathered:
    """The rows with a column ``prompt`` where they hold conversations; a row of text alone has none."""
    if MESSAGES not in gathered.rows.columns:
        return gathered
    asked = pl.Series(PROMPT, [_prompt(one) for one in gathered.rows[MESSAGES]], pl.String)
    others = tuple(name for name in gathered.mapped if name != PROMPT)
    return replace(gathered, rows=gathered.rows.with_columns(asked), mapped=(*others, PROMPT))


def kept_together(config: PrepareConfig, gathered: Gathered) -> PrepareConfig:
    """The config that keeps rows of one prompt in one split, where rows are not grouped by something else: a model that
    was trained on a question would else be proven on it."""
    if PROMPT not in gathered.mapped or config.split.group_by or config.split.by_time:
        return config
    if gathered.rows[PROMPT].null_count() == gathered.rows.height:
        return config
    return config.model_copy(update={"split": config.split.model_copy(update={"group_by": PROMPT})})


def _prompt(messages: str | None) -> str | None:
    """The turns before the last one of an assistant, a paragraph each; None where nothing is asked."""
    if messages is None:
        return None
    turns: list[dict[str, Any]] = json.loads(messages)
    last = max((at for at, turn in enumerate(turns) if turn["role"] == "assistant"), default=len(turns))
    return "\n\n".join(turn["content"] for turn in turns[:last]) or None
