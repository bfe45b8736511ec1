"""Tables of one look."""

from __future__ import annotations

import re
from collections.abc import Collection

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

NAME = re.compile(r"\S{0,13} +(?=\S)|\S.{0,12}? {2,}(?=\S)")
"""What a line begins with under which the rest of it hangs: its name and the space behind, or the space alone."""

STYLES = {"better": "bold green", "not shown": "bold yellow", "worse": "bold red"}


def table(first: str, *others: str, title: str | None = None, words: Collection[str] = ()) -> Table:
    """An empty table: the first column and ``words`` are words, the others are figures."""
    made = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    made.add_column(first, overflow="fold")
    for name in others:
        made.add_column(name, justify="left" if name in words else "right", overflow="fold")
    return made


def hung(text: Text, console: Console) -> Text:
    """The text with lines that are longer than the terminal going on under their words, not under their names.

    A line with a word that fits nowhere, such as a path, stays as it is, so that it can be copied whole.
    """
    lines = []
    for line in text.split("\n", allow_blank=True):
        name = NAME.match(line.plain)
        width = console.width - (name.end() if name else 0)
        is_whole = max(map(len, line.plain.split()), default=0) > width or width < len(line.plain) // 20
        if name is None or "  " not in name[0] or line.cell_len <= console.width or is_whole:
            lines.append(line)
            continue
        first, *more = line[name.end() :].wrap(console, width)
        lines.append(Text.assemble(line[: name.end()], first))
        lines += [Text.assemble(" " * name.end(), one) for one in more]
    return Text("\n").join(lines)


def verdict(words: str) -> Text:
    """A verdict in its colour."""
    return Text(words, STYLES.get(words, "bold"))
