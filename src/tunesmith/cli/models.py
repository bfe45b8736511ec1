"""``tunesmith models``: what was released."""

from __future__ import annotations

from rich.text import Text

from tunesmith.cli import figures
from tunesmith.cli.screen import Screen
from tunesmith.cli.tables import table, verdict
from tunesmith.cli.verb import verb


@verb
def models(screen: Screen) -> None:
    """List the released models: versions, aliases, verdict, main figure, run."""
    from tunesmith import api

    found = api.models(**screen.where)
    shown = table("model", "version", "aliases", "verdict", "measured on its test rows", "run", "created")
    for one in found:
        score = {"value": one.value, "low": one.low, "high": one.high}
        measured = "–" if one.value is None else f"{one.metric} {figures.interval(score)}"
        created = one.created[:16].replace("T", " ")
        aliases = ", ".join(one.aliases) or "–"
        shown.add_row(
            one.name, str(one.version), aliases, verdict(one.verdict or "–"), measured, one.run or "–", created
        )
    nothing = Text(f"no model is released yet; {screen.command('run', 'recipe.yaml')} releases one")
    screen.result([one.to_dict() for one in found], shown if found else nothing)
