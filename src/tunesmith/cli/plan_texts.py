"""The texts that phases before the head's pre-train on, as a screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from tunesmith.cli import figures


def texts(facts: Mapping[str, Any]) -> list[Text]:
    """How many texts there are to pre-train on, and why others are not read; nothing where there are no such phases."""
    if not facts:
        return []
    splits = facts["splits"]
    words = (
        f"  {figures.count(splits['train'], 'text')} to pre-train on · loss on {splits['validation']:,} of validation"
    )
    lines = [Text.assemble(("texts       ", "bold"), words)]
    lost = {**facts["removed"], **facts["quarantined"]}
    if lost:
        lines.append(Text(f"{'':<14}not read: {figures.counts(lost)}", "yellow"))
    lines.append(Text(f"{'':<14}none of the {splits['test']:,} test rows, nor a text that repeats or holds one", "dim"))
    return lines
