"""``tunesmith monitor``: what a released model is asked and answers now, against what it was made with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import RenderableType
from rich.text import Text

from tunesmith.cli import figures
from tunesmith.cli.screen import Screen
from tunesmith.cli.tables import table
from tunesmith.cli.verb import Reference, TextColumn, verb

if TYPE_CHECKING:
    from tunesmith.lifecycle.monitor import Monitored

ALERT = 3


@verb
def monitor(
    screen: Screen,
    model: Reference,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            help="How far back: 90m, 24h, 7d, 2w. Default: monitor.window.",
            show_default=False,
            metavar="TIME",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            help="Check the texts of a CSV, JSON, JSON lines, Parquet or Arrow file instead of captured ones.",
            metavar="FILE",
        ),
    ] = None,
    text_column: TextColumn = None,
    label_column: Annotated[
        str | None,
        typer.Option("--label-column", help="The column of true labels of the file.", show_default=False),
    ] = None,
) -> None:
    """Check a served model for drift; exit code 3 on an alert."""
    from tunesmith import api

    with screen.working() as work:
        found = api.monitor(
            model,
            since=since,
            file=file,
            text_column=text_column,
            label_column=label_column,
            listener=work.listener,
            cancel=work.cancel,
            **screen.where,
        )
    screen.result(found.to_dict(), *shown(found))
    if found.is_alert:
        raise typer.Exit(ALERT)


def shown(found: Monitored) -> list[RenderableType]:
    """What was looked at, each test, and what calls for an alert."""
    looked = found.rows.get("looked_at", 0)
    others = {name: number for name, number in found.rows.items() if name not in ("read", "looked_at")}
    head = f"{found.model}: {figures.count(looked, 'text')} looked at"
    lines: list[RenderableType] = [Text(f"{head} ({figures.counts(others)})" if others else head)]
    if found.tests:
        tests = table("test", "verdict", "effect", "p, all tests", "texts", "reference")
        for one in found.tests:
            is_told = one["adjusted"] is not None
            tests.add_row(
                one["name"],
                Text(one["verdict"], "bold red" if one["is_alert"] else "" if is_told else "yellow"),
                figures.score(one["effect"]) if is_told else "",
                figures.p_value(one["adjusted"]).removeprefix("p = ").removeprefix("p ") if is_told else "",
                f"{one['num_window']:,}",
                f"{one['num_reference']:,}",
            )
        lines.append(tests)
    primary = found.performance.get("primary")
    if primary is not None:
        words = (
            f"{primary['metric']} {figures.interval(primary)} on {found.performance['rows']:,} rows with a true label"
        )
        lines.append(Text(f"{words}, {figures.score(primary['test_value'])} at release: {_verdict(primary, found)}"))
    lines += [Text(figures.shown(note, 300), "yellow") for note in found.notes]
    lines += [Text(f"alert: {one['words']}", "bold red") for one in found.causes]
    if not found.causes:
        told = any(one["adjusted"] is not None for one in found.tests)
        lines.append(Text("no change shown" if told else "not enough rows to tell", "bold"))
    if found.webhook is not None and not found.webhook["is_taken"]:
        lines.append(Text(figures.shown(found.webhook["error"], 300), "yellow"))
    lines.append(Text(f"report: {found.report}", "dim"))
    if found.causes:
        name = found.model.partition("@")[0]
        lines.append(Text(f"next: label some of what is asked now, then tunesmith retrain {name} --add FILE"))
    return lines


def _verdict(primary: Mapping[str, Any], found: Monitored) -> str:
    """The verdict on the main score by itself, and what is left of it where all tests count together."""
    together = next((one for one in found.tests if one["group"] == "performance"), None)
    verdict = str(primary["verdict"])
    if verdict == "worse" and together is not None and not together["is_alert"]:
        return f"worse by itself; with all tests together {together['verdict']}"
    return verdict
