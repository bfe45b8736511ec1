"""Which format a source has: seen from its columns' names and from what their cells hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from tunesmith.core.errors import DataError, RecipeError
from tunesmith.data.dataset import LINEAGE
from tunesmith.data.formats import suggest
from tunesmith.data.formats.config import FormatConfig
from tunesmith.data.formats.json_cells import looked_into
from tunesmith.data.formats.reading import Reading
from tunesmith.data.formats.said import Keys
from tunesmith.data.formats.sharegpt import KEYS as SHAREGPT_KEYS
from tunesmith.data.formats.table import FORMATS, LATER, PAIRS, DataFormat, said_as

SAMPLE_ROWS = 200
TRUTHS = frozenset({"true", "false", "0", "1"})
MESSAGES, SHAREGPT, TURNS, LIST, TEXTS, OBJECT, TEXT = "messages", "sharegpt", "turns", "list", "texts", "object", ""


@dataclass(frozen=True)
class Detected:
    """A format and the columns that stand for its roles."""

    format: DataFormat
    columns: Mapping[str, tuple[str, ...]]
    """Role → the source's columns."""
    reading: Reading
    is_told: bool
    """The recipe names it."""
    notes: tuple[str, ...] = ()
    """What to know of it that may not be meant."""


def detect(rows: pl.DataFrame, config: FormatConfig) -> Detected:
    """The format of some rows of a source.

    Raises: RecipeError where the recipe names what is not there; DataError where the format is none, or one that is
    not learned from, with what to write.
    """
    names = {plain_name(name): name for name in reversed(rows.columns) if name not in LINEAGE}
    shapes = {name: shape(rows[name]) for name in rows.columns if name not in LINEAGE}
    _check_told(config, list(shapes))
    told = {role: (one,) if isinstance(one, str) else tuple(one) for role, one in config.columns.items()}
    if config.kind == "auto" and not told:
        _refuse_later(rows, names, config)
    kind = config.kind if config.kind != "auto" else _kind(names, shapes, told, config)
    if kind is None:
        raise suggest.unknown(rows, shapes, config)
    found = FORMATS[kind]
    columns = _columns(found, names, shapes, told)
    absent = [role for role in found.needed if role not in columns]
    if absent:
        raise suggest.lacking(rows, found, absent, columns, config)
    reading = Reading(
        keys=Keys(**config.keys),
        roles=config.roles,
        is_conversational=kind == "prompt_completion"
        and all(shapes[columns[role][0]] == MESSAGES for role in ("prompt", "completion")),
    )
    is_told = bool(told) or config.kind != "auto"
    return Detected(found, columns, reading, is_told, tuple(_notes(found, columns, shapes, is_told, config)))


def _notes(
    found: DataFormat,
    columns: Mapping[str, Sequence[str]],
    shapes: Mapping[str, str],
    is_told: bool,
    config: FormatConfig,
) -> Iterator[str]:
    if found.kind == "text" and not is_told and config.method == "sft":
        yield "the rows are texts without questions: each is learned from beginning to end"
    for role, names in columns.items():
        for name in names:
            if role not in found.nested and shapes[name] == TEXTS and name not in config.lists:
                yield f"`{name}` holds lists of texts, taken as they stand: `lists: [{name}]` makes them paragraphs"


def shape(cells: pl.Series) -> str:
    """What most cells of a column hold: lists of messages, of ShareGPT's turns, of other objects, of texts, or text."""
    if cells.dtype != pl.String:
        return TEXT
    seen = Counter(_shape(cell) for cell in cells.drop_nulls() if cell.strip())
    return seen.most_common(1)[0][0] if seen else TEXT


def _shape(cell: str) -> str:
    value = looked_into(cell)
    if value is None:
        return TEXT
    if isinstance(value, dict):
        return OBJECT
    if not value or not all(isinstance(one, dict) for one in value):
        return TEXTS if value and all(isinstance(one, str) for one in value) else LIST
    keys = set(value[0]).intersection(*value[1:])
    if {"role"} <= keys and any(not one.keys().isdisjoint(("content", "tool_calls", "function_call")) for one in value):
        return MESSAGES
    return SHAREGPT if {SHAREGPT_KEYS.role, SHAREGPT_KEYS.content} <= keys else TURNS


def _kind(
    names: Mapping[str, str], shapes: Mapping[str, str], told: Mapping[str, Sequence[str]], config: FormatConfig
) -> str | None:
    if told:
        return _kind_of_roles(told, shapes)
    if config.method == "continued_pretraining" and plain_name("text") in names:
        return "text"
    if (pair := _pair(names)) and all(shapes[names[name]] == MESSAGES for name in pair):
        return "prompt_completion"
    lists = [name for name, one in shapes.items() if one in (MESSAGES, SHAREGPT) or (one == TURNS and config.keys)]
    if lists:
        return "sharegpt" if shapes[_likeliest(lists, names, config)] == SHAREGPT else "messages"
    alpaca = FORMATS["alpaca"]
    if all(any(name in names for name in alpaca.names[role]) for role in alpaca.needed):
        return "alpaca"
    if pair:
        return "prompt_completion"
    return "text" if any(name in names for name in FORMATS["text"].names["text"]) else None


def _kind_of_roles(told: Mapping[str, Sequence[str]], shapes: Mapping[str, str]) -> str | None:
    if "messages" in told:
        return "sharegpt" if shapes[told["messages"][0]] == SHAREGPT else "messages"
    for kind in ("alpaca", "prompt_completion", "text"):
        if not set(FORMATS[kind].needed).isdisjoint(told):
            return kind
    return None


def _columns(
    found: DataFormat, names: Mapping[str, str], shapes: Mapping[str, str], told: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """Role → columns: those that are told, and beside them those that are found by name."""
    taken = {name for columns in told.values() for name in columns}
    columns = dict(told)
    if found.kind == "prompt_completion" and not told and (pair := _pair(names)):
        return {"prompt": (names[pair[0]],), "completion": (names[pair[1]],)} | _tools_beside(names, shapes)
    for role, usual in found.names.items():
        if role in columns:
            continue
        fitting = [names[name] for name in usual if name in names and names[name] not in taken]
        if role == "messages":
            lists = [name for name, one in shapes.items() if one in (MESSAGES, SHAREGPT, TURNS) and name not in taken]
            fitting = [name for name in fitting if name in lists] or lists or fitting
        elif role in found.nested:
            # A column of that name that holds something else is no part of the format.
            fitting = [name for name in fitting if shapes[name] not in (TEXT, TEXTS)]
        if fitting:
            columns[role] = (fitting[0],)
            taken.add(fitting[0])
    return columns


def _tools_beside(names: Mapping[str, str], shapes: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    return {"tools": (names["tools"],)} if "tools" in names and shapes[names["tools"]] in (TURNS, LIST) else {}


def _pair(names: Mapping[str, str]) -> tuple[str, str] | None:
    return next((pair for pair in PAIRS if pair[0] in names and pair[1] in names), None)


def _likeliest(lists: Sequence[str], names: Mapping[str, str], config: FormatConfig) -> str:
    """The one column of conversations, or the one with a usual name.

    Raises: DataError where several could be meant.
    """
    named = [names[name] for name in FORMATS["messages"].names["messages"] if name in names and names[name] in lists]
    if named or len(lists) == 1:
        return (named or list(lists))[0]
    raise DataError(
        f"source `{config.source}` has several columns of conversations",
        seen=", ".join(lists),
        next=f"write which one is meant: {said_as(f'columns: {{messages: {lists[0]}}}')}",
    )


def _check_told(config: FormatConfig, columns: Sequence[str]) -> None:
    """Raise RecipeError where the recipe names a column that is not there."""
    for role, one in config.columns.items():
        for column in (one,) if isinstance(one, str) else one:
            _check_there(column, columns, f"{role}: {column}", config)
    for column in config.lists:
        _check_there(column, columns, f"lists: [{column}]", config)


def _check_there(column: str, columns: Sequence[str], seen: str, config: FormatConfig) -> None:
    if column not in columns:
        raise RecipeError(
            f"source `{config.source}` has no column `{column}`",
            seen=seen,
            allowed=", ".join(columns),
            next=suggest.did_you_mean(
                column, columns, "name one that is there; where sources differ, map each one's `columns`"
            ),
        )


def _refuse_later(rows: pl.DataFrame, names: Mapping[str, str], config: FormatConfig) -> None:
    """Raise DataError where the source has a form that is known, and not learned from in this version."""
    for one in LATER:
        having = next((columns for columns in one.columns if columns <= set(names)), None)
        if having is None or ("label" in having and not _is_truth(rows[names["label"]])):
            continue
        raise DataError(
            f"source `{config.source}` holds {one.title}: learning from them is not in this version",
            seen=", ".join(name for name in rows.columns if plain_name(name) in having),
            allowed=", ".join(known.title for known in FORMATS.values()),
            next=one.next,
        )


def _is_truth(cells: pl.Series) -> bool:
    values: set[Any] = set(cells.cast(pl.String).drop_nulls().str.to_lowercase())
    return bool(values) and values <= TRUTHS


def plain_name(name: str) -> str:
    """A name as those of the table are written."""
    return name.strip().lower().replace("-", "_").replace(" ", "_")
