"""``tunesmith plan``: the data as it is, the rest as a forecast."""

from __future__ import annotations

from pathlib import Path

from tunesmith.cli.screen import Screen
from tunesmith.cli.verb import Overrides, Recipe, verb


@verb
def plan(screen: Screen, recipe: Recipe = Path("recipe.yaml"), set: Overrides = None) -> None:
    """Show what a run would do: rows kept and lost, lengths, splits, model, time and memory. Trains nothing."""
    from tunesmith import api
    from tunesmith.cli.plan_screen import shown

    with screen.working() as work:
        planned = api.plan(recipe, set or (), listener=work.listener, cancel=work.cancel, **screen.where)
    overrides = [word for one in set or () for word in ("--set", one)]
    screen.result(planned.to_dict(), *shown(planned, screen.command("run", str(recipe), *overrides)))
