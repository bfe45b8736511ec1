"""``tunesmith erase``: a person's rows taken out of everything that the project holds."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from tunesmith.cli import figures
from tunesmith.cli.screen import Screen
from tunesmith.cli.tables import table
from tunesmith.cli.verb import verb

Also = Annotated[
    list[str] | None,
    typer.Option(
        "--also",
        help="Another text that stands for the person, such as a name: blacked out in rows of others. Repeatable.",
        metavar="TEXT",
    ),
]
LEFT = 3
"""The exit code where something of the person is still found."""


@verb
def erase(
    screen: Screen,
    subject: Annotated[str, typer.Option("--subject", help="The person, as the sources name them.", metavar="ID")],
    reason: Annotated[str, typer.Option("--reason", help="Why: it is kept, so it must not name them.", metavar="TEXT")],
    also: Also = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be erased.")] = False,
) -> None:
    """Erase a person: rewrite all that holds them, name the models that learned from them, and write a proof."""
    from tunesmith import api

    made = api.erase(subject, reason, also=also or (), is_dry_run=dry_run, **screen.where)
    would = "would be " if dry_run else ""
    held = f"{figures.count(made.rows, 'row')}, {figures.count(made.observations, 'captured answer')}"
    lines = [Text.assemble((f"{would}erased  ", "bold"), f"{held} of subject {made.subject[:12]}…")]
    new = sum(one["replaced_by"] is not None for one in made.artifacts)
    if dry_run:
        lines.append(Text(f"artifacts  {len(made.artifacts)} hold them"))
    else:
        gone = len(made.artifacts) - new
        lines.append(Text(f"artifacts  {new} written anew, {gone} deleted; {figures.count(len(made.files), 'file')}"))
    for model in made.models:
        name = ", ".join(model["names"]) or f"{model['kind']} {model['digest'][:12]}"
        lines.append(Text(f"stale      {name} learned from these rows: retrain it, or run its recipe again", "yellow"))
    if not dry_run:
        found = "nothing of them is left" if made.is_clean else "still found, see below"
        lines.append(Text(f"searched   {figures.count(made.scanned, 'file')} and the ledger: {found}"))
        lines.append(Text(f"proof      {made.proof}"))
    lines += [Text(f"note       {one}", "dim") for one in made.notes]
    shown = table("left", "times", "in")
    for one in made.left:
        shown.add_row(one["kind"], str(one["times"]), one["place"])
    screen.result(made.to_dict(), *lines, *([shown] if made.left else []))
    if not made.is_clean:
        raise typer.Exit(LEFT)
