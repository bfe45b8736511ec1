"""Why the model answers as it does: words, curves that check them, training rows behind answers, words by label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from markupsafe import Markup

from tunesmith.reporting import wording
from tunesmith.reporting.charts.axis import Axis
from tunesmith.reporting.charts.svg import frame, lines
from tunesmith.reporting.charts.unit_square import TONES
from tunesmith.reporting.view import RunView

STEP, OUTPUT = "explain", "explanation"
MAX_WRONG, MAX_RIGHT = 4, 4
MAX_ROWS = 3
"""Training rows shown for an answer."""
MAX_SUSPECTS = 10
MAX_LABELS = 24
MAX_CHARS = 600
LEVELS = 5
"""Shades of a word."""
NAMES = {"ig": "integrated gradients", "occlusion": "occlusion", "random": "words in random order"}
UNKNOWN = {
    "whole": ", for the model does not know this word",
    "part": ", for the model does not know a part of this word",
}
UNITS = {"logit": "of the logit", "probability": "of the probability", "value": "of the value"}


@dataclass(frozen=True)
class Piece:
    """A part of a text: a word with its shade, or what stands between words."""

    text: str
    tone: str
    """Classes of the style sheet; empty for what has no weight worth showing."""
    title: str


@dataclass(frozen=True)
class Near:
    """A training row behind an answer."""

    text: str
    label: str
    source: str
    figure: str


@dataclass(frozen=True)
class ExplainedRow:
    """One answer with what is behind it."""

    pieces: tuple[Piece, ...]
    true: str
    predicted: str
    explains: str
    probability: float | None
    is_off: bool
    near: tuple[Near, ...]
    pushed: tuple[Near, ...]


@dataclass(frozen=True)
class CurveRow:
    """A method's areas, in words."""

    name: str
    tone: str
    deletion: str
    insertion: str
    deletion_gain: str
    insertion_gain: str
    verdicts: tuple[str, ...]


@dataclass(frozen=True)
class Suspect:
    """A training row that the model finds hard to fit."""

    text: str
    label: str
    source: str
    self_influence: str
    disagreement: str


@dataclass(frozen=True)
class Explanation:
    """What the report says of explanations."""

    lead: str
    notes: tuple[str, ...]
    targets: tuple[str, ...]
    """What the numbers of an answer are, in their order; empty where it is one, or labels."""
    has_unknown: bool
    """Whether any word explained is one that the model does not know."""
    wrong: tuple[ExplainedRow, ...]
    wrong_title: str
    right: tuple[ExplainedRow, ...]
    right_title: str
    curves: tuple[CurveRow, ...]
    curve_words: str
    deletion: Markup | None
    insertion: Markup | None
    top_words: tuple[tuple[str, tuple[tuple[str, str, int], ...]], ...]
    num_more_labels: int
    suspects: tuple[Suspect, ...]
    suspect_words: str


def explanation_of(view: RunView) -> Explanation | None:
    """The explanations of a run; None where it has none."""
    if STEP not in view.made:
        return None
    facts, folder = view.made[STEP][OUTPUT], view.files[f"{STEP}/{OUTPUT}"]
    first = next(iter(facts["methods"]))
    rows = pl.read_parquet(folder / "attributions.parquet").filter(pl.col("method") == first)
    near = pl.read_parquet(folder / "neighbours.parquet").filter(pl.col("rank") <= MAX_ROWS)
    pushed = pl.read_parquet(folder / "influences.parquet").filter(pl.col("rank") <= MAX_ROWS)
    wrong, right = _worst_and_best(rows, view.task)
    num_off, is_number = int(rows["is_off"].sum()), view.task == "regress"
    off, on = (
        ("Far off, the farthest first", "Near the truth, the nearest first")
        if is_number
        else ("Wrong answers, the surest first", "Right answers, the surest of each label")
    )
    words, num_more = _top_words(folder, first)
    deletion, insertion = _charts(facts["curves"])
    return Explanation(
        lead=_lead(facts, first),
        notes=tuple(_notes(facts)),
        targets=tuple(facts.get("targets", ())),
        has_unknown=facts.get("unknown_words", 0) > 0,
        wrong=tuple(_row(one, view.task, near, pushed) for one in wrong.iter_rows(named=True)),
        wrong_title=_heading(off, wrong.height, num_off),
        right=tuple(_row(one, view.task, near, pushed) for one in right.iter_rows(named=True)),
        right_title=_heading(on, right.height, rows.height - num_off),
        curves=tuple(_curve_rows(facts["curves"])),
        curve_words=_curve_words(facts["curves"]),
        deletion=deletion,
        insertion=insertion,
        top_words=words,
        num_more_labels=num_more,
        suspects=tuple(_suspects(folder)),
        suspect_words=_suspect_words(facts),
    )


def _worst_and_best(rows: pl.DataFrame, task: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that are shown of those that are off and of those that are not: the surest, or of numbers the farthest
    and the nearest."""
    if task == "regress":
        far = rows.with_columns(distance=pl.Series(_distances(rows), dtype=pl.Float64))
        wrong = far.filter("is_off").sort("distance", "row_id", descending=[True, False])
        return wrong.head(MAX_WRONG), far.filter(~pl.col("is_off")).sort("distance", "row_id").head(MAX_RIGHT)
    surest = rows.sort("probability", "row_id", descending=[True, False], nulls_last=True)
    right = surest.filter(~pl.col("is_off")).unique("target", keep="first", maintain_order=True)
    return surest.filter("is_off").head(MAX_WRONG), right.head(MAX_RIGHT)


def _distances(rows: pl.DataFrame) -> list[float]:
    """How far each answer is off the truth, over several targets the mean, each in its own spread among the rows."""
    told_NC, true_NC = (
        np.array([[float(one) for one in words.split(", ")] for words in rows[name].to_list()]).reshape(rows.height, -1)
        for name in ("predicted", "true")
    )
    spread_C = true_NC.std(0) if rows.height else np.ones(true_NC.shape[1])
    far_N: list[float] = (np.abs(told_NC - true_NC) / np.where(spread_C > 0, spread_C, 1.0)).mean(1).tolist()
    return far_N


def _heading(words: str, shown: int, there_are: int) -> str:
    """A heading that says how many rows there are besides those that are shown."""
    return words if shown == there_are else f"{words}: {wording.count(shown)} of {wording.count(there_are)}"


def _lead(facts: Mapping[str, Any], first: str) -> str:
    counted = wording.counted(facts["rows"], "test row")
    unit = facts["methods"][first]["unit"] or "value"
    return (
        f"{counted} explained by {NAMES[first]}: the stronger the colour of a word, the more it adds to the answer, or "
        f"takes from it. Point at a word for its share {UNITS[unit]}."
    )


def _notes(facts: Mapping[str, Any]) -> list[str]:
    notes = []
    ig = facts["methods"].get("ig")
    if ig and ig.get("error"):
        error = ig["error"]
        notes.append(
            f"Integrated gradients: the words' shares add up to the difference to an empty text (`{ig['baseline']}` in "
            f"place of every word) to within {wording.share(error['median'])} in the median row, "
            f"{wording.share(error['largest'])} in the worst."
        )
        if ig["rows_above"]:
            count = wording.counted(ig["rows_above"], "row")
            notes.append(f"{count} stayed above {wording.share(ig['most_error'])} with the most steps allowed.")
    if facts["truncated_rows"]:
        count = wording.counted(facts["truncated_rows"], "row")
        notes.append(f"{count} longer than the model reads: the rest has no colour.")
    if facts.get("unknown_words"):
        words, rows = wording.counted(facts["unknown_words"], "word"), wording.counted(facts["unknown_rows"], "row")
        notes.append(
            f"{words} in {rows} unknown to the model: its vocabulary cannot spell them. It read one sign for all, "
            "or nothing, so the colour is that sign's; among the words of a label it is `[unknown]`."
        )
    return notes


def _row(one: Mapping[str, Any], task: str, near: pl.DataFrame, pushed: pl.DataFrame) -> ExplainedRow:
    mine = pl.col("row_id") == one["row_id"]
    return ExplainedRow(
        pieces=tuple(_pieces(one)),
        true=one["true"],
        predicted=one["predicted"],
        explains=one["target"] if one["target"] and (task == "tag" or one["target"] != one["predicted"]) else "",
        probability=one["probability"],
        is_off=one["is_off"],
        near=tuple(_near(row, f"{row['similarity']:.2f}") for row in near.filter(mine).iter_rows(named=True)),
        pushed=tuple(
            _near(row, wording.number(row["push"], signed=True)) for row in pushed.filter(mine).iter_rows(named=True)
        ),
    )


def _near(row: Mapping[str, Any], figure: str) -> Near:
    return Near(wording.excerpt(row["text"]), row["label"], row["source_id"] or "", figure)


def _pieces(one: Mapping[str, Any]) -> list[Piece]:
    """The text cut at its words, each shaded by its share of the weightiest."""
    text, values = one["text"], one["values"]
    most = max((abs(value) for value in values), default=0.0)
    found, at = [], 0
    unknown = one.get("unknown") or [None] * len(values)
    for start, end, value, how in zip(one["starts"], one["ends"], values, unknown, strict=True):
        if end > MAX_CHARS:
            break
        found.append(Piece(text[at:start], "", ""))
        level = round(LEVELS * abs(value) / most) if most else 0
        tone = f"word {'for' if value > 0 else 'against'} level{level}" if level else ""
        tone += " unknown" if how else ""
        title = wording.number(value, signed=True) + UNKNOWN.get(how, "")
        found.append(Piece(text[start:end], tone.strip(), title))
        at = end
    # As it stands: what is between two words is a part of the text.
    found.append(Piece(text[at:MAX_CHARS] + ("…" if len(text) > MAX_CHARS else ""), "", ""))
    return [piece for piece in found if piece.text]


def _charts(curves: Mapping[str, Any]) -> tuple[Markup | None, Markup | None]:
    if not curves["num_rows"]:
        return None, None
    orders = curves["orders"]
    every = [value for one in orders.values() for name in ("deletion", "insertion") for value in one[name]]
    up = Axis.around(every, include=(0.0, 1.0) if curves["unit"] == "probability" else ())
    across = Axis(0.0, 1.0, 0.25)
    made = []
    for name, title, label in (
        ("deletion", "share of the words gone", "The answer as words are taken out"),
        ("insertion", "share of the words there", "The answer as words are put in"),
    ):
        paths = []
        for tone, one in _toned(orders):
            places = [place / (len(one[name]) - 1) for place in range(len(one[name]))]
            paths.append((tone, [(across.at(x), up.at(y)) for x, y in zip(places, one[name], strict=True)]))
        made.append(frame(across, up, [lines(paths)], x_title=title, label=label))
    return made[0], made[1]


def _toned(orders: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Each order with its colour; chance is drawn faint."""
    tones = iter(TONES)
    return [(TONES[-1] if name == "random" else next(tones), one) for name, one in orders.items()]


def _curve_rows(curves: Mapping[str, Any]) -> list[CurveRow]:
    if not curves["num_rows"]:
        return []
    found = []
    for (order, one), (tone, _) in zip(curves["orders"].items(), _toned(curves["orders"]), strict=True):
        gains = [one.get("deletion_gain"), one.get("insertion_gain")]
        told = [_gain(gain) for gain in gains]
        areas = [wording.number(one["deletion_area"]), wording.number(one["insertion_area"])]
        verdicts = tuple(gain["verdict"] for gain in gains if gain)
        found.append(CurveRow(NAMES[order], tone, areas[0], areas[1], told[0], told[1], verdicts))
    return found


def _gain(gain: Mapping[str, Any] | None) -> str:
    """By how much an order beats random ones, with its interval."""
    return "" if gain is None else f"{wording.number(gain['value'], signed=True)} ({wording.span(gain, signed=True)})"


def _curve_words(curves: Mapping[str, Any]) -> str:
    if not curves["num_rows"]:
        return ""
    methods = {name: one for name, one in curves["orders"].items() if name != "random"}
    shown = [NAMES[name] for name, one in methods.items() if _is_better(one)]
    rows = wording.counted(curves["num_rows"], "row")
    words = f"Words are taken out, or put in, the weightiest first, on {rows}. "
    if not shown:
        return (
            words + "No method is shown to find the words that matter better than chance: read the colours with care."
        )
    also = wording.listed(shown)
    verb = "is" if len(shown) == 1 else "are"
    return words + f"{also[0].upper()}{also[1:]} {verb} shown to find them better than chance."


def _is_better(one: Mapping[str, Any]) -> bool:
    return all(one[gain]["verdict"] == "better" for gain in ("deletion_gain", "insertion_gain"))


def _top_words(folder: Path, method: str) -> tuple[tuple[tuple[str, tuple[tuple[str, str, int], ...]], ...], int]:
    frame = pl.read_parquet(folder / "top_words.parquet").filter(pl.col("method") == method)
    groups: dict[str, list[tuple[str, str, int]]] = {}
    for row in frame.iter_rows(named=True):
        groups.setdefault(row["target"], []).append(
            (row["word"], wording.number(row["mean"], signed=True), row["rows"])
        )
    listed = [(name, tuple(one)) for name, one in groups.items()]
    return tuple(listed[:MAX_LABELS]), max(0, len(listed) - MAX_LABELS)


def _suspects(folder: Path) -> list[Suspect]:
    rows = pl.scan_parquet(folder / "suspects.parquet").head(MAX_SUSPECTS).collect()
    return [
        Suspect(
            wording.excerpt(row["text"]),
            row["label"],
            row["source_id"] or "",
            wording.number(row["self_influence"]),
            "—" if row["disagreement"] is None else wording.number(row["disagreement"]),
        )
        for row in rows.iter_rows(named=True)
    ]


def _suspect_words(facts: Mapping[str, Any]) -> str:
    checked = wording.counted(facts["suspects"]["checked"], "training row")
    return (
        f"Of {checked} those whose own gradient at the last layer is longest (self-influence, Pruthi et al. 2020): "
        "often their label is wrong. The last column says how far the labels of their nearest rows are off theirs."
    )
