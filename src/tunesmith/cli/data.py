"""``tunesmith data``: rows as a language model reads them, and sources that may no longer be used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.text import Text

from tunesmith.cli.screen import Screen
from tunesmith.cli.verb import Overrides, verb

What = Annotated[
    Literal["show", "withdraw", "permit"],
    typer.Argument(
        help="show rows of a recipe; withdraw a source, or permit it again.", metavar="show|withdraw|permit"
    ),
]
File = Annotated[str, typer.Argument(help="The recipe of a language task, or the source's name.", metavar="WHAT")]
Purpose = Annotated[
    str, typer.Option("--purpose", help="withdraw, permit: for this purpose only. Default: any.", metavar="PURPOSE")
]
Split = Annotated[Literal["train", "validation", "test"], typer.Option("--split", help="Whose rows are shown.")]
First = Annotated[int, typer.Option("--first", min=0, help="The first row shown, counted from 0.", metavar="N")]
Rows = Annotated[int, typer.Option("--rows", min=1, max=1000, help="How many rows are shown.", metavar="N")]
Phase = Annotated[
    int | None,
    typer.Option("--phase", min=1, help="The phase of training. Default: the last.", metavar="N", show_default=False),
]


@verb
def data(
    screen: Screen,
    what: What,
    of: File = "recipe.yaml",
    split: Split = "train",
    first: First = 0,
    rows: Rows = 3,
    phase: Phase = None,
    purpose: Purpose = "",
    set: Overrides = None,
) -> None:
    """Show rows as a language model reads them, or say which sources may no longer be used. Trains nothing."""
    from tunesmith import api
    from tunesmith.cli.plan_tokens import rows_shown

    if what != "show":
        found = api.withdraw(of, purpose, is_permitted=what == "permit", **screen.where)
        lines = [f"{one.source}: withdrawn for {one.purpose or 'any purpose'} by {one.by}" for one in found]
        screen.result(
            [{**vars(one), "at": one.at.isoformat()} for one in found],
            *map(Text, lines or ["no source is withdrawn"]),
        )
        return
    with screen.working() as work:
        shown = api.show_rows(
            Path(of),
            set or (),
            split=split,
            first=first,
            number=rows,
            phase=phase,
            listener=work.listener,
            cancel=work.cancel,
            **screen.where,
        )
    screen.result(shown.to_dict(), *rows_shown(shown))
