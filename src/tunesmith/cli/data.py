"""``tunesmith data show``: rows as a language model reads them, what is trained in colour."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tunesmith.cli.screen import Screen
from tunesmith.cli.verb import Overrides, verb

What = Annotated[Literal["show"], typer.Argument(help="What to do: show.", metavar="show")]
File = Annotated[Path, typer.Argument(help="The recipe of a language task.", metavar="RECIPE")]
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
    recipe: File = Path("recipe.yaml"),
    split: Split = "train",
    first: First = 0,
    rows: Rows = 3,
    phase: Phase = None,
    set: Overrides = None,
) -> None:
    """Show rows as a language model reads them: what is trained, and what is only seen. Trains nothing."""
    from tunesmith import api
    from tunesmith.cli.plan_tokens import rows_shown

    with screen.working() as work:
        found = api.show_rows(
            recipe,
            set or (),
            split=split,
            first=first,
            number=rows,
            phase=phase,
            listener=work.listener,
            cancel=work.cancel,
            **screen.where,
        )
    screen.result(found.to_dict(), *rows_shown(found))
