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
Dtype = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    typer.Option("--dtype", help="Of a merged model's weights; auto: as its base is kept."),
]


@verb
def export(
    screen: Screen,
    model: Reference,
    out: Annotated[Path, typer.Argument(help="The folder to write; it must not be there yet.", metavar="OUT")],
    format: Format = "merged",
    dtype: Dtype = "auto",
) -> None:
    """Write a language model as a folder for other programs; done only where it answers there as it does here."""
    from tunesmith import api

    with screen.working() as work:
        done = api.export(model, out, format, dtype, listener=work.listener, cancel=work.cancel, **screen.where)
    tokens = figures.count(done.num_tokens, "token")
    checked = (
        f"  checked: {figures.count(done.num_prompts, 'prompt')} ({done.prompts}), {tokens} the same, "
        f"logits within {done.difference:.1g} of their spread"
    )
    if done.rounding is not None:
        checked += (
            f", against the source in {done.dtype}\n  against float32, in which it was trained and measured: "
            f"{done.num_same:,} of {tokens} the same, logits within {done.rounding:.1g} of their spread"
        )
    whole = f"{figures.count(len(done.files), 'file')}, {figures.size(sum(done.files.values()))}, {done.dtype}"
    lines = [Text.assemble((figures.shown(done.out), "bold"), f"  {whole}"), Text(checked)]
    screen.result(done.to_dict(), *lines, *(Text(f"  {figures.shown(note, 300)}", "yellow") for note in done.notes))
