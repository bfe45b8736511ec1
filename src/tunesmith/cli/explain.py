"""``tunesmith explain``: which words of a text speak for an answer, and which training rows are like it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.text import Text

from tunesmith.cli import figures
from tunesmith.cli.predict import answered
from tunesmith.cli.screen import Screen
from tunesmith.cli.verb import Reference, TextColumn, verb
from tunesmith.core.errors import RecipeError

if TYPE_CHECKING:
    from tunesmith.explanation.attribution import Attribution
    from tunesmith.lifecycle.explain import Explained

STRONG, FAINT = 0.5, 0.15
"""Shares of the largest weight from which a word is set strongly, or at all."""
MOST_NAMED = 6
MOST_CHARS = 2000
"""Letters of a text that are shown."""


@verb
def explain(
    screen: Screen,
    model: Reference,
    text: Annotated[list[str] | None, typer.Option("--text", help="A text to explain. Repeatable.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="A CSV, JSON, JSON lines, Parquet or Arrow file; its first 200 texts.")
    ] = None,
    method: Annotated[
        Literal["ig", "occlusion"],
        typer.Option("--method", help="ig: integrated gradients. occlusion: the answer without each word."),
    ] = "ig",
    label: Annotated[
        str | None,
        typer.Option("--label", help="What is explained. Default: the likeliest label given.", show_default=False),
    ] = None,
    neighbours: Annotated[
        int, typer.Option("--neighbours", min=0, max=50, help="Training rows that are most like each text.")
    ] = 0,
    text_column: TextColumn = None,
) -> None:
    """Show which words of a text speak for a model's answer, which against it, and training rows that are like it."""
    from tunesmith import api

    if (file is None) == (not text):
        raise RecipeError(
            "explain takes texts, or a file",
            seen="both" if file else "neither",
            next=screen.command("explain", model, "--text", "TEXT") + ", or --file FILE",
        )
    num_left = 0
    if file is not None:
        text, num_left = api.texts_to_explain(model, file, text_column, **screen.where)
    with screen.working() as work:
        found = api.explain(
            model,
            text or [],
            method,
            label=label,
            neighbours=neighbours,
            listener=work.listener,
            cancel=work.cancel,
            **screen.where,
        )
    if num_left:
        screen.say(f"{figures.count(num_left, 'record')} more of the file without text, or behind the first 200")
    shown = (part for one in found for part in _shown(one))
    screen.result([one.to_dict() for one in found], *shown, _legend(found))


def _shown(one: Explained) -> list[Text]:
    found = one.attribution
    parts = [answered(one.text, one.prediction), _coloured(found), _figures(found)]
    for near in one.neighbours:
        source = f", {figures.shown(near.source)}" if near.source else ""
        parts.append(
            Text.assemble(
                (f"  {near.similarity:.2f}  ", "bold"),
                (figures.shown(near.label), "bold"),
                f"  {figures.shown(near.text, 90)}",
                (f"  ({near.row_id[:12]}{source})", "dim"),
            )
        )
    return [*parts, Text("")]


def _coloured(found: Attribution) -> Text:
    """The text as the model read it, its words by what they add."""
    most = max((abs(word.value) for word in found.words), default=0.0)
    line, at = Text("  "), 0
    for word in found.words:
        if word.end > MOST_CHARS:
            break
        line.append(_plain(found.text[at : word.start]), "dim")
        style = _style(word.value / most if most else 0.0)
        line.append(_plain(word.text), f"underline {style}".strip() if word.unknown else style)
        at = word.end
    line.append(_plain(found.text[at : min(len(found.text), MOST_CHARS)]), "dim")
    return line


def _plain(text: str) -> str:
    return "".join(" " if not char.isprintable() else char for char in text)


def _style(share: float) -> str:
    tone = "green" if share > 0 else "red"
    if abs(share) >= STRONG:
        return f"bold reverse {tone}"
    return f"bold {tone}" if abs(share) >= FAINT else ""


def _figures(found: Attribution) -> Text:
    """The weightiest words with their numbers, and how far these add up."""
    ranked = sorted(found.words, key=lambda word: -abs(word.value))[:MOST_NAMED]
    named = " · ".join(f"{figures.shown(word.text, 24)} {word.value:+.3g}" for word in ranked)
    of = f" for {figures.shown(found.target)}" if found.target else ""
    words = f"  {named or 'no word was read'}  ({found.unit}{of}: {found.baseline:.3g} → {found.full:.3g}"
    if found.error is not None:
        words += f", words add up to within {figures.share(found.error)} in {found.steps} steps"
    line = Text(words + ")", "dim")
    if found.num_truncated_tokens:
        line.append(f"  {figures.count(found.num_truncated_tokens, 'token')} not read", "yellow")
    if unknown := list(dict.fromkeys(word.text for word in found.words if word.unknown)):
        named = ", ".join(figures.shown(text, 24) for text in unknown[:MOST_NAMED])
        more = f" and {len(unknown) - MOST_NAMED:,} more" if len(unknown) > MOST_NAMED else ""
        line.append(f"  unknown to the model: {named}{more}", "yellow")
    return line


def _legend(found: list[Explained]) -> Text:
    is_number = any(one.attribution.unit == "value" for one in found)
    up, down = (" raises the number, ", " lowers it") if is_number else (" speaks for the answer, ", " against it")
    legend = Text.assemble(("green", "bold green"), up, ("red", "bold red"), down)
    if any(word.unknown for one in found for word in one.attribution.words):
        sign = "a word the model does not know, in whole or in part: it read a sign for anything unknown, or nothing"
        legend.append_text(Text.assemble("; ", ("underlined", "underline"), f": {sign}"))
    return legend
