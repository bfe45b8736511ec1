"""``tunesmith retrain``: a model in production trained again, and judged against itself as it was."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import RenderableType
from rich.text import Text

from tunesmith.cli import figures
from tunesmith.cli.screen import Screen
from tunesmith.cli.verb import Overrides, Until, verb
from tunesmith.core.errors import Denied

Model = Annotated[str, typer.Argument(help="name, or name@alias.", metavar="MODEL")]
Add = Annotated[
    list[Path] | None,
    typer.Option("--add", help="A file of more labelled rows, with a source's columns. Repeatable.", metavar="FILE"),
]
On = Annotated[
    Literal["drift", "labels"] | None,
    typer.Option(
        "--on",
        help="Only where drift is shown, people gave labels enough, or an erasure made it stale: for a timer.",
        show_default=False,
    ),
]
OR_WAIT = (
    ", or wait until people gave labels (POST /v1/feedback) or the sources have more rows; "
    "equal rows with other settings: --set champion.needs_new=false"
)
FATES = {
    "known": "the champion has",
    "near": "nearly the same as a row of another of its splits",
    "left_out": "its own run left out",
    "removed": "the recipe removes, such as duplicates",
    "quarantined": "in quarantine",
}


@verb
def retrain(
    screen: Screen, model: Model, add: Add = None, on: On = None, set: Overrides = None, until: Until = "release"
) -> None:
    """Train a released model again: new rows join the old, the challenger meets the champion, the gate decides."""
    from tunesmith import api
    from tunesmith.cli.run_screen import shown

    with screen.working() as work:
        done = api.retrain(
            model,
            set or [],
            add=add or [],
            on=on,
            until=until,
            listener=work.listener,
            cancel=work.cancel,
            **screen.where,
        )
    head = Text(f"{done.champion}: {done.why}", "bold")
    lines = [] if done.result is None else shown(done.result, screen)
    notes = [f"{name}: no {path}; rows as the champion has them" for name, path in done.gone.items()]
    notes += [f"{name}: may no longer be used; its rows left the champion's" for name in done.without]
    after = None
    if done.nothing_new is not None:
        after = f"{screen.command('retrain', model, '--add', 'FILE')}{OR_WAIT}"
        lines = _looked_at(done.nothing_new, after)
    screen.result(done.to_dict() | {"next": after}, head, *(Text(one, "yellow") for one in notes), *lines)
    if done.result is not None and done.result.status == "denied":
        raise typer.Exit(Denied.exit_code)


def _looked_at(counts: Mapping[str, int], after: str) -> list[RenderableType]:
    """What became of the rows none of which is new, and what would make it go."""
    fates = [f"{counts[name]:,} {words}" for name, words in FATES.items() if counts[name]]
    looked = f"{figures.count(counts['read'], 'row')} looked at"
    rows = f"{looked}: {', '.join(fates)}" if fates else looked
    held = f"the champion was made with {figures.count(counts['champion'], 'row')}"
    return [
        Text(f"rows     {rows}; {held}"),
        Text.assemble("next     ", (after, "bold")),
    ]
