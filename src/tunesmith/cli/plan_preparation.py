"""What preparation does to values, and what of the test rows stood in training rows, as lines of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from tunesmith.cli import figures
from tunesmith.cli.tables import table

REPAIRS = ("unicode", "whitespace")
"""Steps that a plan shows elsewhere."""
MOST_ROWS = 40


def preparation(facts: Mapping[str, Any]) -> list[RenderableType]:
    """A table of what each step did to each column, by source where there are several; then contamination."""
    shown: list[RenderableType] = []
    steps = [one for one in facts.get("changes", ()) if one["step"] not in REPAIRS]
    if steps:
        sources = list(facts["by_source"])
        made = table("preparation", "column", "what", *(sources if len(sources) > 1 else ()), "rows")
        for one in steps[:MOST_ROWS]:
            by_source = [f"{one['by_source'].get(name, 0):,}" for name in sources] if len(sources) > 1 else []
            words = [figures.shown(one[key], 80) for key in ("step", "column", "outcome")]
            made.add_row(*words, *by_source, f"{one['rows']:,}")
        shown.append(made)
        if len(steps) > MOST_ROWS:
            shown.append(Text(f"{'':<14}and {len(steps) - MOST_ROWS} more", "dim"))
    return shown + _contamination(facts.get("contamination") or {})


def _contamination(facts: Mapping[str, Any]) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for name, found in facts.get("by_test_set", {}).items():
        hits = {what: n for what, n in found.items() if what != "rows" and n}
        if hits:
            words = f"  {figures.count(sum(hits.values()), 'row')} left out for repeating a test row: "
            words += f"{figures.counts(hits)} ({found['rows']:,} test rows, {figures.shown(name)})"
            lines.append(Text.assemble(("contaminated", "bold"), words))
    return lines
