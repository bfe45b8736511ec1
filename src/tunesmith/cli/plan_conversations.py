"""What the rows of a source were read as, as lines of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from tunesmith.cli import figures

INDENT = f"{'':<14}"


def read_as(facts: Mapping[str, Any]) -> list[Text]:
    """The format with its mapping, the turns, and what was done to them; nothing for rows that are no conversations."""
    seen = facts.get("conversations")
    if seen is None:
        return []
    mapping = ", ".join(f"{role} = {' + '.join(columns)}" for role, columns in seen["mapping"].items())
    told = "" if seen["how"] == "detected" else ", as the recipe says"
    turns = " · ".join(f"{number:,} {role}" for role, number in seen["turns"].items())
    calls = f" · {figures.count(seen['tool_calls'], 'tool call')}" if seen["tool_calls"] else ""
    lines = [
        Text(f"{INDENT}read as {seen['title']}{told}: {figures.shown(mapping, 200)}"),
        Text(f"{INDENT}turns: {turns}{calls}", "dim"),
    ]
    repaired = {what: number for what, number in seen["repaired"].items() if number}
    if repaired:
        words = " · ".join(f"{what} in {figures.count(number, 'row')}" for what, number in repaired.items())
        lines.append(Text(f"{INDENT}repaired: {words}", "dim"))
    if seen["changed"]:
        lines.append(Text(f"{INDENT}{figures.counts(seen['changed'])}", "yellow"))
    for name, number in seen.get("unknown_roles", {}).items():
        lines.append(
            Text(f"{INDENT}nobody is known as `{figures.shown(name)}` ({figures.count(number, 'row')})", "yellow")
        )
    return lines
