"""``tunesmith approve``: a person releases what a gate or a recipe kept back, or refuses it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from tunesmith.cli.screen import Screen
from tunesmith.cli.verb import verb

Reason = Annotated[str, typer.Option("--reason", help="Why: it is kept with your name.", metavar="TEXT")]


@verb
def approve(
    screen: Screen,
    run: Annotated[str, typer.Argument(help="The run's id.", metavar="RUN")],
    reason: Reason,
    refuse: Annotated[bool, typer.Option("--refuse", help="Refuse it instead.")] = False,
) -> None:
    """Release what a run made, though its gate said no or its recipe waits for a person; or refuse it."""
    from tunesmith import api

    made = api.approve(run, reason, is_refused=refuse, **screen.where)
    if refuse:
        words = Text.assemble("refused  ", (f"{made.run} by {made.by}: {made.reason}", "bold"))
    else:
        how = "by exception, against its gate" if made.kind == "exception" else "as its recipe asks"
        words = Text.assemble("released ", (f"{made.model}, version {made.version}", "bold"), f" {how}, by {made.by}")
    stays = [Text(f"but {made.why}", "yellow")] if made.why else []
    alone = [Text("nobody but you could have looked at it: the audit says so", "yellow")] if made.is_alone else []
    report = [Text(f"report   {made.report}")] if made.report else []
    use = screen.command("predict", str(made.model), "yours.csv", "--out", "answers.csv")
    onward = [] if refuse else [Text.assemble("next     ", (use, "bold"))]
    screen.result(made.to_dict(), words, *stays, *alone, *report, *onward)
