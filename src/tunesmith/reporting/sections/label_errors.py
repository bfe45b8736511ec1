"""Labels that are likely wrong, and texts that are nearly the same under different labels, with the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from tunesmith.reporting.view import RunView

STEP = "label_errors"
MAX_ROWS = 12
MAX_CONFLICTS = 6
MAX_SMALL = 12


@dataclass(frozen=True)
class SuspectLabels:
    """What the search for wrong labels found."""

    facts: Mapping[str, Any]
    num_suspects: int
    suspects: tuple[Mapping[str, Any], ...]
    """As ``suspects.parquet`` has them, the least likely label first."""
    conflicts: tuple[Mapping[str, Any], ...]
    small: tuple[tuple[str, int], ...]
    num_more_small: int
    num_removed: int | None
    """Training rows removed for it; None where they were only listed."""


def label_errors_of(view: RunView) -> SuspectLabels | None:
    """What the search for wrong labels found, or None where there was none."""
    if STEP not in view.made:
        return None
    facts = view.made[STEP][STEP]
    folder = view.files[f"{STEP}/{STEP}"]
    small = sorted(facts["small_labels"].items(), key=lambda one: (one[1], one[0]))
    before = facts["rows"]["train"]
    return SuspectLabels(
        facts=facts,
        num_suspects=sum(facts["suspects"].values()),
        suspects=tuple(pl.scan_parquet(folder / "suspects.parquet").head(MAX_ROWS).collect().iter_rows(named=True)),
        conflicts=tuple(
            pl.scan_parquet(folder / "conflicts.parquet").head(MAX_CONFLICTS).collect().iter_rows(named=True)
        ),
        small=tuple(small[:MAX_SMALL]),
        num_more_small=max(0, len(small) - MAX_SMALL),
        num_removed=before - view.splits["splits"]["train"] if "without_suspects" in view.made else None,
    )
