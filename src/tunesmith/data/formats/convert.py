"""Rows of a detected format made conversations, many at a time: contents are repaired as one column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from tunesmith.core.conversation import Conversation
from tunesmith.data.formats import order
from tunesmith.data.formats.config import FormatConfig
from tunesmith.data.formats.detect import Detected
from tunesmith.data.formats.draft import UNKNOWN_ROLE, Draft, Fault
from tunesmith.data.formats.json_cells import looked_into
from tunesmith.data.quality import PLACEHOLDERS
from tunesmith.data.sources.cells import text
from tunesmith.texts.contents import trimmed
from tunesmith.texts.repair import fixed_unicode

BLANK_LINE = "\n\n"
LIKE_MISSING = "turns that read like a missing value"
"""They are kept: `none` may be the answer."""
LONGEST_PLACEHOLDER = max(map(len, PLACEHOLDERS))


@dataclass
class Tally:
    """What was seen and done, over all rows."""

    turns: Counter[str] = field(default_factory=Counter)
    """Role → turns of the rows that were kept."""
    events: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    """What was repaired → rows."""
    unknown_roles: Counter[str] = field(default_factory=Counter)
    num_calls: int = 0
    num_with_tools: int = 0
    num_with_weights: int = 0


def converted(rows: pl.DataFrame, detected: Detected, config: FormatConfig, tally: Tally) -> list[Conversation | Fault]:
    """A conversation for each row, or why it is none."""
    drafts = _drafts(rows, detected, config)
    _repair([draft for draft in drafts if isinstance(draft, Draft)], config, tally)
    return [_finished(draft, config, tally) for draft in drafts]


def asked(rows: pl.DataFrame, detected: Detected, config: FormatConfig) -> list[Conversation | Fault]:
    """What each row asks, without its last answer; or why it asks nothing that can be read. A column may lack."""
    absent = [name for names in detected.columns.values() for name in names if name not in rows.columns]
    whole = rows.with_columns(pl.lit(None, pl.String).alias(name) for name in absent)
    return [_question(draft) for draft in _drafts(whole, detected, config)]


def _question(draft: Draft | Fault) -> Conversation | Fault:
    if isinstance(draft, Fault):
        return draft
    while draft.turns and draft.turns[-1].role == "assistant":
        draft.turns.pop()
    try:
        return order.asked(draft)
    except Fault as fault:
        return fault


def _drafts(rows: pl.DataFrame, detected: Detected, config: FormatConfig) -> list[Draft | Fault]:
    read, reading, roles = detected.format.read, detected.reading, list(detected.columns)
    columns = [_cells(rows, names, config) for names in detected.columns.values()]
    found: list[Draft | Fault] = []
    for cells in zip(*columns, strict=True):
        try:
            found.append(read(dict(zip(roles, cells, strict=True)), reading))
        except Fault as fault:
            found.append(fault)
        except RecursionError:
            found.append(Fault("nested too deeply"))
    return found


def _cells(rows: pl.DataFrame, names: Sequence[str], config: FormatConfig) -> list[Any]:
    """The cells that stand for a role as texts; of several columns, joined with a blank line."""
    columns = [_texts(rows[name], name in config.lists) for name in names]
    if len(columns) == 1:
        return columns[0]
    return [BLANK_LINE.join(part for part in parts if part) for parts in zip(*columns, strict=True)]


def _texts(column: pl.Series, is_list: bool) -> list[str | None]:
    cells = column.to_list() if column.dtype == pl.String else [text(cell) for cell in column]
    if not is_list:
        return cells
    return [_paragraphs(cell) for cell in cells]


def _paragraphs(cell: str | None) -> str | None:
    parts = looked_into(cell)
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        return cell
    return BLANK_LINE.join(parts)


def _repair(drafts: Sequence[Draft], config: FormatConfig, tally: Tally) -> None:
    """Repair the contents of all turns, and count the rows that each kind of repair changed."""
    said = [turn for draft in drafts for turn in draft.turns]
    contents = pl.Series("content", [turn.content for turn in said], pl.String)
    row = pl.Series("row", range(len(drafts)), pl.UInt32).gather(
        pl.Series([place for place, draft in enumerate(drafts) for _ in draft.turns], dtype=pl.UInt32)
    )
    for name, is_on, repair in (("unicode", config.unicode, fixed_unicode), ("whitespace", config.whitespace, trimmed)):
        if not is_on:
            continue
        after = repair(contents)
        tally.repaired[name] += row.filter(after != contents).n_unique()
        contents = after
    for turn, content in zip(said, contents.to_list(), strict=True):
        turn.content = content


def _finished(draft: Draft | Fault, config: FormatConfig, tally: Tally) -> Conversation | Fault:
    if isinstance(draft, Fault):
        return _counted(draft, tally)
    try:
        made = order.conversation(draft, config.repeated_turns)
    except Fault as fault:
        return _counted(fault, tally)
    if draft.events:
        tally.events.update(draft.events)
    has_weight = False
    for turn in made.turns:
        tally.turns[turn.role] += 1
        tally.num_calls += len(turn.tool_calls)
        if len(turn.content) <= LONGEST_PLACEHOLDER and turn.content.lower() in PLACEHOLDERS:
            tally.events[LIKE_MISSING] += 1
        has_weight |= turn.weight is not None
    tally.num_with_weights += has_weight
    tally.num_with_tools += bool(made.tools)
    return made


def _counted(fault: Fault, tally: Tally) -> Fault:
    if fault.reason == UNKNOWN_ROLE:
        tally.unknown_roles[fault.seen] += 1
    return fault


def facts_of(detected: Detected, tally: Tally, refused: Mapping[str, int]) -> dict[str, Any]:
    """What a dataset's facts say of its conversations."""
    facts: dict[str, Any] = {
        "format": detected.format.kind,
        "title": detected.format.title,
        "how": "told" if detected.is_told else "detected",
        "mapping": {role: list(columns) for role, columns in detected.columns.items()},
        "turns": {role: tally.turns[role] for role in ("system", "user", "assistant", "tool") if tally.turns[role]},
        "tool_calls": tally.num_calls,
        "with_tools": tally.num_with_tools,
        "with_weights": tally.num_with_weights,
        "changed": dict(sorted(tally.events.items())),
        "repaired": dict(tally.repaired),
        "refused": dict(sorted(refused.items())),
    }
    if tally.unknown_roles:
        facts["unknown_roles"] = dict(sorted(tally.unknown_roles.items(), key=lambda one: (-one[1], one[0]))[:10])
    return facts
