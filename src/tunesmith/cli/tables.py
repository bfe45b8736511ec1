"""Tables of one look."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

STYLES = {"better": "bold green", "not shown": "bold yellow", "worse": "bold red"}


def table(first: str, *others: str, title: str | None = None) -> Table:
    """An empty table: the first column is words, the others are figures."""
    made = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    made.add_column(first, overflow="fold")
    for name in others:
        made.add_column(name, justify="right", overflow="fold")
    return made


def verdict(words: str) -> Text:
    """A verdict in its colour."""
    return Text(words, STYLES.get(words, "bold"))
