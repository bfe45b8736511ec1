"""``tunesmith rollback``: an alias goes back to the version it stood on before."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from tunesmith.cli.approve import Reason
from tunesmith.cli.screen import Screen
from tunesmith.cli.verb import verb


@verb
def rollback(
    screen: Screen,
    model: Annotated[str, typer.Argument(help="The alias: name@alias.", metavar="NAME@ALIAS")],
    reason: Reason,
    to: Annotated[
        int | None,
        typer.Option(
            "--to", min=1, help="Another version that it ever stood on.", metavar="VERSION", show_default=False
        ),
    ] = None,
) -> None:
    """Move an alias back to the version it stood on before; a second time goes back one more."""
    from tunesmith import api

    made = api.rollback(model, reason, to, **screen.where)
    words = Text.assemble((f"{made.name}@{made.alias}", "bold"), f" stands on version {made.version}, was {made.was}")
    forth = screen.command("rollback", f"{made.name}@{made.alias}", "--to", str(made.was), "--reason", "TEXT")
    lines = [words]
    if made.stale:
        again = screen.command("retrain", f"{made.name}@{made.alias}")
        seen = f"version {made.version} is stale: it learned from rows of people erased since; "
        lines.append(Text.assemble((seen, "yellow"), (again, "bold"), (" trains it anew", "yellow")))
    screen.result(made.to_dict(), *lines, Text.assemble("undo     ", (forth, "bold")))
