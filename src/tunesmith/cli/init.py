"""``tunesmith init``: a recipe to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from tunesmith.cli import figures
from tunesmith.cli.screen import Screen
from tunesmith.cli.verb import verb


@verb
def init(
    screen: Screen,
    folder: Annotated[Path, typer.Argument(help="Where the recipe goes.", metavar="FOLDER")] = Path(),
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="A CSV, JSON, JSON lines, Parquet or Arrow file whose columns are filled in.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a commented recipe that runs. Nothing is ever overwritten."""
    from tunesmith import api

    started = api.init(folder, source)
    lines = [Text.assemble("wrote ", (started.recipe, "bold")), Text(f"  {figures.shown(started.format)}")]
    lines += [Text(f"  {figures.shown(one, 200)}") for one in started.guesses]
    lines.append(Text("  these are guesses: look at the recipe before you run it", "yellow"))
    lines.append(Text.assemble("next: ", (screen.command("plan", started.recipe), "bold")))
    screen.result(started.to_dict(), Text("\n").join(lines))
