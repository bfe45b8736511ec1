"""Which column of a file is the text and which the label: as asked, as in training, or a guess that is told."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.core.errors import RecipeError

LABEL_NAMES = ("label", "intent", "category", "class", "target", "topic", "sentiment", "score", "rating", "type", "tag")
TEXT_NAMES = ("text", "message", "body", "content", "comment", "description", "review", "sentence", "title", "question")
SUBJECT_NAMES = ("customer", "user", "patient", "client", "subject", "account", "member", "person", "author")
MIN_TEXT_WORDS = 2.0
"""Mean words a cell from which on a column reads as text; labels and names have one or two."""
MIN_SURE_WORDS = 5.0
"""Mean words a cell from which on even cells that repeat are texts: duplicates are common, such long labels are not."""
MAX_LABEL_SHARE = 0.5
"""A column with more distinct values than this share of its cells names its rows rather than grouping them."""
MIN_NUMBERS = 8
"""Distinct numbers from which on a column is a quantity to predict and not a code."""


@dataclass(frozen=True)
class Guess:
    """What the columns of a file seem to be, and why."""

    text: str | None
    label: str | None
    subject: str | None
    is_numeric: bool
    """Whether the label is a number to predict."""
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class _Shape:
    mean_words: float
    mean_chars: float
    num_filled: int
    num_distinct: int
    is_numeric: bool


def guess(columns: Mapping[str, Sequence[Any]]) -> Guess:
    """The likely text, label and subject columns, from some rows of a file."""
    shapes = {name: _shape(cells) for name, cells in columns.items()}
    reasons = []
    text = _likely_text(shapes)
    if text is not None:
        reasons.append(f"text: `{text}`, {shapes[text].mean_words:.0f} words a cell")
    subject = next((name for name in columns if name != text and _is_called(name, SUBJECT_NAMES)), None)
    if subject is not None:
        reasons.append(f"subject: `{subject}`, by its name")
    label = _likely_label({name: one for name, one in shapes.items() if name not in (text, subject)})
    is_numeric = False
    if label is not None:
        is_numeric = shapes[label].is_numeric and shapes[label].num_distinct >= MIN_NUMBERS
        what = "numbers" if is_numeric else f"{shapes[label].num_distinct} values"
        reasons.append(f"label: `{label}`, {what} in {shapes[label].num_filled} filled cells")
    return Guess(text, label, subject, is_numeric, tuple(reasons))


def text_column(
    columns: Mapping[str, Sequence[Any]], asked: str | None, trained_on: Sequence[str], file: str
) -> tuple[str, str]:
    """The column that holds the texts, and why it is that one.

    Raises: RecipeError listing the columns where none was asked for and none stands out.
    """
    if asked is not None:
        return named(columns, asked, "--text-column", file), "as asked"
    for name in trained_on:
        if name in columns:
            return name, "the model was trained on a column of this name"
    if "text" in columns:
        return "text", "by its name"
    if len(columns) == 1:
        return next(iter(columns)), "the only column"
    likely = [name for name, cells in columns.items() if _is_text(_shape(cells))]
    if len(likely) == 1:
        return likely[0], "the only column of texts"
    raise RecipeError(
        f"{file}: which column is the text?",
        seen=f"{', '.join(f'`{name}`' for name in likely)} read as texts" if likely else "no column reads as texts",
        allowed=", ".join(columns),
        next=f"--text-column {likely[0] if likely else next(iter(columns))}",
    )


def label_column(columns: Mapping[str, Sequence[Any]], asked: str | None, trained_on: Sequence[str], file: str) -> str:
    """The column that holds the labels.

    Raises: RecipeError listing the columns where none was asked for and none has the name it had in training.
    """
    if asked is not None:
        return named(columns, asked, "--label-column", file)
    for name in (*trained_on, "label"):
        if name in columns:
            return name
    likely = guess(columns).label or next(iter(columns))
    raise RecipeError(
        f"{file}: which column is the label?", allowed=", ".join(columns), next=f"--label-column {likely}"
    )


def named(columns: Mapping[str, Any], name: str, option: str, file: str) -> str:
    """A column that was asked for by name.

    Raises: RecipeError naming the nearest column there is.
    """
    if name in columns:
        return name
    near = difflib.get_close_matches(name, columns, n=1)
    raise RecipeError(
        f"{file} has no column `{name}`",
        seen=name,
        allowed=", ".join(columns),
        next=f"{option} {near[0]}" if near else f"{option} with one of these",
    )


def free_name(name: str, taken: Sequence[str]) -> str:
    """A name for a new column: itself, or `predicted_` before it, or a number after that."""
    if name not in taken:
        return name
    fresh = name if name.startswith("tunesmith_") else f"predicted_{name}"
    number = 1
    candidate = fresh
    while candidate in taken:
        number += 1
        candidate = f"{fresh}_{number}"
    return candidate


def is_empty(cell: Any) -> bool:
    """Whether a cell has no text: null, or white space only."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def as_number(cell: Any) -> float | None:
    """A cell as a finite number, None where it is none."""
    if isinstance(cell, bool):
        return None
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return None
    return number if number - number == 0 else None


def _shape(cells: Sequence[Any]) -> _Shape:
    filled = [str(cell).strip() for cell in cells if not is_empty(cell)]
    num = max(1, len(filled))
    return _Shape(
        mean_words=sum(len(cell.split()) for cell in filled) / num,
        mean_chars=sum(map(len, filled)) / num,
        num_filled=len(filled),
        num_distinct=len(set(filled)),
        is_numeric=bool(filled) and all(as_number(cell) is not None for cell in filled),
    )


def _is_text(shape: _Shape) -> bool:
    if shape.is_numeric or shape.mean_words < MIN_TEXT_WORDS:
        return False
    # Cells of two or three words that come again and again are labels: "credit card".
    return shape.mean_words >= MIN_SURE_WORDS or shape.num_distinct > MAX_LABEL_SHARE * shape.num_filled


def _likely_text(shapes: Mapping[str, _Shape]) -> str | None:
    texts = {name: shape for name, shape in shapes.items() if _is_text(shape)}
    known = [name for name in texts if _is_called(name, TEXT_NAMES)]
    return max(known or texts, key=lambda name: texts[name].mean_chars, default=None)


def _likely_label(shapes: Mapping[str, _Shape]) -> str | None:
    filled = {name: shape for name, shape in shapes.items() if shape.num_distinct > 1}
    for wanted in LABEL_NAMES:
        for name in filled:
            if _is_called(name, (wanted,)):
                return name
    groups = {
        name: shape
        for name, shape in filled.items()
        if shape.num_distinct <= MAX_LABEL_SHARE * shape.num_filled and not _is_text(shape)
    }
    # Of several columns that group the rows, the one with most groups says most.
    return max(groups, key=lambda name: groups[name].num_distinct, default=None)


def _is_called(name: str, words: Sequence[str]) -> bool:
    parts = name.lower().replace("-", "_").replace(" ", "_").split("_")
    return any(word in parts for word in words)
