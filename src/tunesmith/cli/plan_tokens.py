"""What a language model will read, and what it will learn of it, as a screen: counts by source and coloured samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tunesmith.cli import figures
from tunesmith.cli.tables import table

if TYPE_CHECKING:
    from tunesmith.lifecycle.shown_rows import ShownRows

INDENT = f"{'':<14}"
TRAIN_ON = {"assistant": "every answer is trained", "last": "the last answer is trained", "all": "all is trained"}
COLUMNS = {
    "rows": "rows",
    "kept": "kept",
    "dropped": "left out",
    "untrained_rows": "nothing to train",
    "truncated": "cut",
    "split": "split",
    "tokens": "tokens",
    "trained_tokens": "trained",
    "cut_tokens": "tokens lost",
}
ALWAYS = ("rows", "kept", "tokens", "trained_tokens")
NOTES = {
    "changed_turns": "answers are not written by the template as the data has them (it drops or rewrites a part)",
    "unlike_asked_turns": "answers stand behind another text than the one that the model is asked with later",
    "unshown_turns": "turns of others are not shown by the template as the data has them",
    "open_turns": "answers within conversations end with no token: the model does not learn to stop there",
    "unknown_tokens": "tokens stand for signs that the vocabulary has not",
    "control_rows": "rows hold the text of a special token: the model reads it as that token",
    "cut_trained_tokens": "tokens that would be trained are cut off",
}


def tokens(facts: Mapping[str, Any], title: str = "tokens") -> list[RenderableType]:
    """The lines of the token rows of one phase."""
    template = facts["template"]
    words = f"template {template['name']} ({template['source']})" if template["digest"] else template["source"]
    words += f" · {TRAIN_ON[facts['train_on']]} · at most {facts['max_tokens']:,} a row, longer ones: {facts['policy']}"
    lines: list[RenderableType] = [Text.assemble((f"{title:<12}", "bold"), f"  {words}"), _counts(facts["by_source"])]
    reasons: dict[str, int] = {}
    for counts in facts["by_source"].values():
        for reason, number in counts["reasons"].items():
            reasons[reason] = reasons.get(reason, 0) + number
    if reasons:
        lines.append(Text(f"{INDENT}left out: {figures.counts(reasons)}", "yellow"))
    for name, said in NOTES.items():
        number = sum(counts[name] for counts in facts["by_source"].values())
        if number:
            lines.append(Text(f"{INDENT}{number:,} {said}", "yellow"))
    if facts["samples"]:
        lines.append(Legend())
        lines += [Sample(one) for one in facts["samples"]]
    return lines


def rows_shown(found: ShownRows) -> list[RenderableType]:
    """The lines of rows that were asked for, behind what all of them come to."""
    lines = tokens({**found.facts, "samples": []})
    lines.append(Legend())
    for one in found.rows:
        words = f"  {figures.count(one.num_tokens, 'token')}, {one.num_trained:,} trained"
        words += f", {one.num_cut:,} cut" if one.num_cut else ""
        lines.append(Text.assemble((f"{INDENT}{figures.shown(one.row_id, 40)}", "bold"), f" {one.source}{words}"))
        lines.append(Sample(one.pieces))
    lines.append(Text(f"{INDENT}{len(found.rows)} of {figures.count(found.num_rows, 'row')} of {found.split}", "dim"))
    return lines


def _counts(by_source: Mapping[str, Mapping[str, Any]]) -> Table:
    shown = [name for name in COLUMNS if name in ALWAYS or any(counts[name] for counts in by_source.values())]
    made = table("rows as tokens", *(COLUMNS[name] for name in shown))
    for source, counts in by_source.items():
        cells = [f"{counts[name]:,}" for name in shown]
        if counts["tokens"]:
            cells[shown.index("trained_tokens")] += f" ({counts['trained_tokens'] / counts['tokens']:.0%})"
        made.add_row(figures.shown(source), *cells)
    return made


def _has_colour(console: Console) -> bool:
    return console.color_system is not None and not console.no_color


@dataclass(frozen=True)
class Legend:
    """What the looks of a sample mean."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        if _has_colour(console):
            yield Text.assemble(INDENT, "training rows as the model reads them: ", *_looks("trained", "only seen"))
        else:
            yield Text(f"{INDENT}training rows as the model reads them: «trained», the rest only seen")


@dataclass(frozen=True)
class Sample:
    """A row: what is trained green, what is only seen dim; without colours what is trained stands between « and »."""

    pieces: Sequence[Sequence[Any]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        text = Text(overflow="fold")
        for is_trained, run in groupby(self.pieces, key=lambda piece: bool(piece[1])):
            said = figures.printable("".join(piece[0] for piece in run))
            if not _has_colour(console):
                text.append(f"«{said}»" if is_trained else said)
            else:
                text.append_text(Text.assemble(_look(said, is_trained=is_trained)))
        yield Padding(text, (0, 0, 1, len(INDENT)))


def _looks(trained: str, seen: str) -> list[tuple[str, str] | str]:
    return [_look(trained, is_trained=True), ", ", _look(seen, is_trained=False)]


def _look(said: str, *, is_trained: bool) -> tuple[str, str]:
    return said, "green" if is_trained else "dim"
