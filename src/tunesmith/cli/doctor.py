"""``tunesmith doctor``: is this machine ready?"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from tunesmith.cli import figures
from tunesmith.cli.screen import Screen
from tunesmith.cli.verb import verb

MARKS = {"ok": ("✓", "green"), "note": ("·", "cyan"), "problem": ("✗", "red")}
FAILED = 1


@verb
def doctor(
    screen: Screen,
    deep: Annotated[bool, typer.Option("--deep", help="Also load torch and run the embedded model.")] = False,
) -> None:
    """Check this machine: packages, embedded model, workspace, disk, memory, processor, PostgreSQL driver."""
    from tunesmith import api

    checks = api.doctor(home=screen.home, is_deep=deep)
    problems = [one for one in checks if one.status == "problem"]
    lines = []
    for one in checks:
        mark, style = MARKS[one.status]
        lines.append(Text.assemble((f"{mark} ", style), (f"{one.name:<16}", "bold"), figures.shown(one.seen, 300)))
        if one.next:
            lines.append(Text(f"    {one.next}", style))
    ending = figures.count(len(problems), "problem") if problems else "ready"
    lines.append(Text(ending, "bold red" if problems else "bold green"))
    value = {"ready": not problems, "checks": [one.to_dict() for one in checks]}
    screen.result(value, Text("\n").join(lines))
    if problems:
        raise typer.Exit(FAILED)
