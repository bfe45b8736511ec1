"""What the rows of each source were read as: format, mapping, turns, and what was done to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.reporting import wording
from tunesmith.reporting.view import RunView

STEP = "format:"


@dataclass(frozen=True)
class ReadAs:
    """The conversations of one source."""

    source: str
    title: str
    is_told: bool
    mapping: tuple[tuple[str, str], ...]
    """What the format calls it, and the source's columns."""
    turns: tuple[tuple[str, str], ...]
    events: tuple[tuple[str, str], ...]
    """What was done, with the number of rows or turns."""


def conversations_of(view: RunView) -> tuple[ReadAs, ...] | None:
    """The conversations of every source; None for a run without any."""
    found = [
        _read_as(step.removeprefix(STEP), made["dataset"]["conversations"])
        for step, made in view.made.items()
        if "conversations" in made.get("dataset", {})
    ]
    return tuple(found) or None


def _read_as(source: str, facts: Mapping[str, Any]) -> ReadAs:
    turns = {**facts["turns"], "tool calls": facts["tool_calls"]}
    repaired = {f"rows repaired: {what}": number for what, number in facts["repaired"].items()}
    rows = {"rows with tools": facts["with_tools"], "rows with weights of their own": facts["with_weights"]}
    unknown = {
        f"rows refused: nobody is known as {name}": number for name, number in facts.get("unknown_roles", {}).items()
    }
    events = {**rows, **repaired, **facts["changed"], **unknown}
    return ReadAs(
        source=source,
        title=facts["title"],
        is_told=facts["how"] == "told",
        mapping=tuple((role, " + ".join(columns)) for role, columns in facts["mapping"].items()),
        turns=tuple((role, wording.count(number)) for role, number in turns.items() if number),
        events=tuple((what, wording.count(number)) for what, number in events.items() if number),
    )
