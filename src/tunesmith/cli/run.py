"""``tunesmith run``: from the recipe to the release decision."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from tunesmith.cli.screen import Screen
from tunesmith.cli.verb import Overrides, Recipe, Until, verb
from tunesmith.core.errors import Denied

if TYPE_CHECKING:
    from tunesmith.lifecycle.run import RunResult


@verb
def run(screen: Screen, recipe: Recipe = Path("recipe.yaml"), set: Overrides = None, until: Until = "release") -> None:
    """Run a recipe: data, training, evaluation, report, and the release if the gate allows it."""
    start(screen, recipe, set or [], until)


def start(screen: Screen, recipe: Path, overrides: list[str], until: Literal["evaluate", "release"]) -> None:
    """Run a recipe and show how it ended."""
    from tunesmith import api

    with screen.working() as work:
        result = api.run(recipe, overrides, until=until, listener=work.listener, cancel=work.cancel, **screen.where)
    finish(screen, result)


def finish(screen: Screen, result: RunResult) -> None:
    """Show how a run ended; a denied one ends with its exit code."""
    from tunesmith.cli.run_screen import shown

    screen.result(result.to_dict(), *shown(result, screen))
    if result.status == "denied":
        raise typer.Exit(Denied.exit_code)
