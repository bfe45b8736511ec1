"""What preparation did to values, and which test rows stood in training rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.reporting.view import RunView

MAX_STEPS = 100


@dataclass(frozen=True)
class Preparation:
    """What was done to the rows' values."""

    sources: tuple[str, ...]
    steps: tuple[Mapping[str, Any], ...]
    num_more: int
    test_sets: tuple[tuple[str, Mapping[str, int]], ...]
    is_checked: bool
    """Whether training rows were compared with the test rows for more than equal texts."""


def preparation_of(view: RunView) -> Preparation | None:
    """What was done to the rows' values, or None where nothing was and nothing was compared."""
    steps = view.splits.get("changes") or ()
    contamination = view.splits.get("contamination")
    if not steps and contamination is None:
        return None
    contamination = contamination or {"checked": False, "by_test_set": {}}
    return Preparation(
        sources=tuple(view.splits.get("by_source", {})),
        steps=tuple(steps[:MAX_STEPS]),
        num_more=max(0, len(steps) - MAX_STEPS),
        test_sets=tuple(contamination["by_test_set"].items()),
        is_checked=contamination["checked"],
    )
