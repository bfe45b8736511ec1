"""``tunesmith export``: a language model as a folder that transformers or PEFT open, once it answers as its source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.text import Text

from tunesmith.cli import figures
from tunesmith.cli.screen import Screen
from tunesmith.cli.verb import Reference, verb

Format = Annotated[
    Literal["merged", "adapter"],
    typer.Option("--format", help="merged: a whole Hugging Face folder; adapter: PEFT's folder, beside its base."),
]


@verb
def export(
    screen: Screen,
    model: Reference,
    out: Annotated[Path, typer.Argument(help="The folder to write; it must not be there yet.", metavar="OUT")],
    format: Format = "merged",
) -> None:
    """Write a language model as a folder for other programs; done only where it answers there as it does here."""
    from tunesmith import api

    with screen.working() as work:
        done = api.export(model, out, format, listener=work.listener, cancel=work.cancel, **screen.where)
    checked = (
        f"  checked: {figures.count(done.num_prompts, 'prompt')} ({done.prompts}), "
        f"{figures.count(done.num_tokens, 'token')} the same, logits within {done.difference:.1g} of their spread"
    )
    whole = f"{figures.count(len(done.files), 'file')}, {figures.size(sum(done.files.values()))}"
    lines = [Text.assemble((figures.shown(done.out), "bold"), f"  {whole}"), Text(checked)]
    screen.result(done.to_dict(), *lines, *(Text(f"  {figures.shown(note, 300)}", "yellow") for note in done.notes))
