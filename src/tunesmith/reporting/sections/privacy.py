"""Personal data in the rows: what was found where, and what was done with it; never the values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.reporting.view import RunView

STEP = "privacy:"
MAX_LINES = 40
DONE = {
    "allow": "kept as it is",
    "redact": "redacted",
    "pseudonymise": "pseudonymised",
    "block": "blocked",
}


@dataclass(frozen=True)
class FoundLine:
    """One kind in one column of one source."""

    source: str
    column: str
    entity: str
    done: str
    values: int
    rows: int


@dataclass(frozen=True)
class Privacy:
    """What the scan of every source came to."""

    num_rows: int
    num_rows_found: int
    num_rows_touched: int
    num_values: int
    num_kept: int
    """Values that stay in what is learned from."""
    columns: tuple[str, ...]
    lines: tuple[FoundLine, ...]
    num_more_lines: int


def privacy_of(view: RunView) -> Privacy | None:
    """The section's values; None where the recipe says `privacy: off`."""
    scans = [made["findings"] for step, made in view.made.items() if step.startswith(STEP)]
    return summed(scans) if scans else None


def summed(scans: Sequence[Mapping[str, Any]]) -> Privacy:
    """The findings of several sources as one."""
    lines = [
        FoundLine(scan["source"], one["column"], one["entity"], DONE[one["action"]], one["values"], one["rows"])
        for scan in scans
        for one in scan["found"]
    ]
    by_action = Counter[str]()
    for scan in scans:
        for one in scan["found"]:
            by_action[one["action"]] += one["values"]
    lines.sort(key=lambda line: (-line.values, line.source, line.column, line.entity, line.done))
    return Privacy(
        num_rows=sum(scan["rows"] for scan in scans),
        num_rows_found=sum(scan["rows_found"] for scan in scans),
        num_rows_touched=sum(scan["rows_touched"] for scan in scans),
        num_values=by_action.total(),
        num_kept=by_action["allow"],
        columns=tuple(dict.fromkeys(column for scan in scans for column in scan["columns"])),
        lines=tuple(lines[:MAX_LINES]),
        num_more_lines=max(0, len(lines) - MAX_LINES),
    )
