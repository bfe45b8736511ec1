"""``tunesmith resume``: go on with a run that was stopped."""

from __future__ import annotations

from typing import Annotated

import typer

from tunesmith.cli.run import finish
from tunesmith.cli.screen import Screen
from tunesmith.cli.verb import Until, verb


@verb
def resume(
    screen: Screen,
    run: Annotated[str, typer.Argument(help="The run's id.", metavar="RUN")],
    until: Until = "release",
) -> None:
    """Go on with a run that failed or was stopped: done steps are kept, training goes on from its checkpoint."""
    from tunesmith import api

    with screen.working() as work:
        result = api.resume(run, until=until, listener=work.listener, cancel=work.cancel, **screen.where)
    finish(screen, result)
