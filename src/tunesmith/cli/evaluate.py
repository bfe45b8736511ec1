"""``tunesmith evaluate``: a model measured on a labelled file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tunesmith.cli import figures
from tunesmith.cli.screen import Screen
from tunesmith.cli.tables import table
from tunesmith.cli.verb import Reference, TextColumn, verb

if TYPE_CHECKING:
    from tunesmith.lifecycle.measure import Measurement


@verb
def evaluate(
    screen: Screen,
    model: Reference,
    file: Annotated[
        Path, typer.Argument(help="A labelled CSV, JSON, JSON lines, Parquet or Arrow file.", metavar="FILE")
    ],
    label_column: Annotated[
        str | None,
        typer.Option(
            "--label-column",
            help="The column of the labels; of several targets, names with commas between. Default: as in training.",
            show_default=False,
        ),
    ] = None,
    text_column: TextColumn = None,
    confidence: Annotated[float, typer.Option("--confidence", help="Of the intervals.", min=0.5, max=0.999)] = 0.95,
) -> None:
    """Measure a model on a labelled file, with intervals."""
    from tunesmith import api

    with screen.working() as work:
        measured = api.evaluate(
            model,
            file,
            label_column,
            text_column=text_column,
            confidence=confidence,
            listener=work.listener,
            cancel=work.cancel,
            **screen.where,
        )
    screen.result(measured.to_dict(), *_shown(measured))


def _shown(measured: Measurement) -> list[RenderableType]:
    rows = dict(measured.rows)
    read, used = rows.pop("read"), rows.pop("measured")
    scores = table("metric", f"{measured.model} [{measured.confidence:.0%} interval]")
    for name, value in figures.main_metrics(measured.metrics).items():
        scores.add_row(name, figures.interval(value))
    head = f"{figures.count(used, 'row')} measured of {read:,} read"
    lines: list[RenderableType] = [
        Text(f"{head} ({figures.counts(rows)})" if rows else head),
        Text(f"text: {figures.shown(measured.text_column)} · label: {figures.shown(measured.label_column)}", "dim"),
        scores,
    ]
    if measured.num_learned:
        words = f"{figures.count(measured.num_learned, 'row')} of these the model was trained or chosen on"
        lines.append(Text(f"{words}: the scores are too good to be true for new rows", "bold yellow"))
    if measured.rejection:
        lines.append(_rejection(measured.rejection))
    if measured.per_target:
        lines.append(_by_target(measured))
    if measured.per_class:
        lines.append(_by_class(measured))
    if measured.truncated_rows:
        cut = figures.count(measured.num_truncated_tokens, "token")
        lines.append(Text(f"{figures.count(measured.truncated_rows, 'text')} too long: {cut} not read", "yellow"))
    lines += [Text(f"{name}: {why}", "yellow") for name, why in measured.not_measured.items()]
    return lines + [Text(figures.shown(note, 300), "yellow") for note in measured.notes]


def _rejection(facts: Mapping[str, Any]) -> Table:
    """What the rejecting threshold does; the table above is of the rows in scope as if all were answered."""
    shown = table("rejection", "value")
    asked = {
        "in scope and answered": "coverage",
        "right, of those answered": "accuracy_of_answered",
        "out of scope and rejected": "rejected",
        "AUROC": "auroc",
    }
    for words, name in asked.items():
        if facts.get(name):
            shown.add_row(words, figures.interval(facts[name]))
    return shown


def _by_target(measured: Measurement) -> Table:
    """Each target in its own unit; the table above them is the mean in deviations of the training rows."""
    names = list(next(iter(measured.per_target.values())))
    shown = table("target, in its own unit", *names)
    for target, scores in measured.per_target.items():
        shown.add_row(figures.shown(target, 40), *(figures.interval(scores.get(name)) for name in names))
    return shown


def _by_class(measured: Measurement) -> Table:
    shown = table("label", "precision", "recall", "f1", "rows")
    for label, scores in sorted(measured.per_class.items(), key=lambda item: item[1]["f1"]):
        figures_of = [figures.score(scores[name]) for name in ("precision", "recall", "f1")]
        shown.add_row(figures.shown(label, 40), *figures_of, f"{scores['support']:,.0f}")
    return shown
