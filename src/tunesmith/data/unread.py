"""The stage `unread`: in place of `prepare` where no source is read, for a champion's rows are all there is.

Its splits have no row, for none was read; `extend` joins the champion's to them as it does with any that were.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import polars as pl

from tunesmith.core.artifact import Artifact
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.data import outside, quality, targets
from tunesmith.data.extend_config import ExtendConfig
from tunesmith.data.split import SPLITS

COUNTED = ("read", "kept", "removed", "quarantined")
OF_THE_ROWS = (
    "task",
    "split_by",
    "repair",
    "privacy",
    "labels",
    "label_counts",
    "target",
    "targets",
    "scale",
    "outside",
)
"""What is said of a champion's rows that holds however they come here: how they were divided, repaired and redacted,
so that the next model reads texts in the same way."""
TABLES = (*SPLITS, "removed", "quarantine")


class Unread:
    """Reads nothing, and measures the rows of a champion."""

    makes: ClassVar[Mapping[str, str]] = {"splits": "splits", "quality": "quality"}

    def __init__(self, config: ExtendConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of splits without a row, and of the quality of the champion's rows."""
        before = given["before"]
        measured = self._measured(before)
        folder = context.out / "splits"
        folder.mkdir(parents=True, exist_ok=True)
        for name in TABLES:
            pl.read_parquet(before.path / f"{name}.parquet").clear().write_parquet(folder / f"{name}.parquet")
        if (before.path / outside.OUTSIDE).is_file():
            pl.read_parquet(before.path / outside.OUTSIDE).clear().write_parquet(folder / outside.OUTSIDE)
        facts: Facts = {name: before.facts[name] for name in OF_THE_ROWS if name in before.facts}
        facts |= {
            "rows": dict.fromkeys(COUNTED, 0),
            "splits": dict.fromkeys(SPLITS, 0),
            **{name: {} for name in ("by_source", "removed", "quarantined", "lost_by_source")},
            "repaired": {"unicode": 0, "whitespace": 0},
            "contamination": {"checked": False, "by_test_set": {}},
            "changes": [],
            "notes": ["no source was read: the rows are the champion's"],
        }
        (context.out / "quality").mkdir(parents=True, exist_ok=True)
        text = json.dumps(measured, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        (context.out / "quality" / "quality.json").write_text(text, "utf-8")
        return {"splits": facts, "quality": measured}

    def _measured(self, before: Artifact) -> dict[str, Any]:
        """What the champion's rows are worth: rules and repeated rows were seen to when they were read."""
        parts = [pl.read_parquet(before.path / f"{name}.parquet") for name in SPLITS]
        leaves = pl.col("source_id").is_in(list(self.config.without))
        rows = pl.concat(parts, how="diagonal_relaxed").filter(~leaves)
        columns = [name for name in ("text", "subject") if rows[name].null_count() < rows.height]
        measured: dict[str, Any] = {
            "completeness": quality.completeness(rows, columns),
            "validity": [],
            "consistency": [],
            "uniqueness": {"exact_duplicates": 0, "near_duplicates": 0, "across_splits": 0},
            "text": quality.text_lengths(rows),
            "balance": quality.balance(targets.label_names(rows, self.config.task)),
        }
        measured["notes"] = quality.notes(measured, rows.height)
        return measured
