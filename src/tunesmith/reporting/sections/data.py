"""What was read, what was kept, and what was lost why, with rows to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tunesmith.reporting import wording
from tunesmith.reporting.view import RunView

MAX_EXAMPLES = 3
MAX_REASONS = 40
MAX_LABELS = 200
UNITS = {"chars": "characters"}
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class LostRow:
    """A row that was lost, and the row it repeats."""

    source: str
    where: str
    text: str
    label: str
    repeats: str


@dataclass(frozen=True)
class Loss:
    """Rows lost for one reason."""

    fate: str
    """removed or quarantined."""
    reason: str
    num: int
    share: float
    examples: tuple[LostRow, ...]


@dataclass(frozen=True)
class LabelBar:
    """How often one label occurs."""

    label: str
    total: int
    parts: tuple[tuple[str, int, float], ...]
    """Split, rows, width in per cent of the longest bar."""


@dataclass(frozen=True)
class Data:
    """The data of a run."""

    fates: tuple[tuple[str, int, float], ...]
    """kept, removed and quarantined: rows and per cent of what was read."""
    losses: tuple[Loss, ...]
    num_more_losses: int
    labels: tuple[LabelBar, ...]
    num_more_labels: int
    findings: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """Completeness, validity, consistency, uniqueness, lengths: what was looked at, and what was found."""


def data_of(view: RunView) -> Data:
    """The data of a run."""
    rows = view.splits["rows"]
    losses = _losses(view)
    bars = _labels(view.splits.get("label_counts") or {})
    return Data(
        fates=tuple(
            (fate, rows[fate], 100 * rows[fate] / max(1, rows["read"])) for fate in ("kept", "removed", "quarantined")
        ),
        losses=tuple(losses[:MAX_REASONS]),
        num_more_losses=max(0, len(losses) - MAX_REASONS),
        labels=tuple(bars[:MAX_LABELS]),
        num_more_labels=max(0, len(bars) - MAX_LABELS),
        findings=tuple((title, tuple(found)) for title, found in _findings(view.quality) if found),
    )


def _losses(view: RunView) -> list[Loss]:
    read = max(1, view.splits["rows"]["read"])
    kept = _Kept(view.split_files)
    found = []
    for fate, path in (("removed", view.removed), ("quarantined", view.quarantine)):
        counts: Mapping[str, int] = view.splits[fate]
        frame = pl.read_parquet(path) if counts else None
        for reason, num in counts.items():
            examples = () if frame is None else _examples(frame, reason, kept)
            found.append(Loss(fate, reason, num, num / read, examples))
    return sorted(found, key=lambda one: (-one.num, one.fate, one.reason))


class _Kept:
    """Texts of kept rows by their id, read once."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self.files, self.frame = files, None if files else pl.DataFrame({"row_id": [], "text": []})

    def text(self, row_id: str | None) -> str:
        """The text of a row; nothing where it was not kept."""
        if row_id is None:
            return ""
        if self.frame is None:
            self.frame = pl.concat(pl.read_parquet(path, columns=["row_id", "text"]) for path in self.files.values())
        found = self.frame.filter(pl.col("row_id") == row_id)["text"]
        return wording.excerpt(found[0]) if len(found) else f"row {row_id[:12]}"


def _examples(frame: pl.DataFrame, reason: str, kept: _Kept) -> tuple[LostRow, ...]:
    """The first rows of a reason; a row's own reason may go on with what was seen."""
    rows = frame.filter(pl.col("reason").str.starts_with(reason)).head(MAX_EXAMPLES)
    return tuple(
        LostRow(
            source=str(row["source_id"]),
            where="" if row.get("position") is None else f"record {row['position']:,}",
            text=wording.excerpt(row["record"] if "record" in row else row["text"]),
            label=wording.excerpt(row.get("label") or "", 80),
            repeats=kept.text(row.get("because_of")),
        )
        for row in rows.iter_rows(named=True)
    )


def _labels(counts: Mapping[str, Mapping[str, int]]) -> list[LabelBar]:
    totals: dict[str, int] = {}
    for split in SPLITS:
        for label, num in counts.get(split, {}).items():
            totals[label] = totals.get(label, 0) + num
    longest = max(totals.values(), default=1)
    return [
        LabelBar(
            label,
            total,
            tuple(
                (split, num, 100 * num / longest) for split in SPLITS if (num := counts.get(split, {}).get(label, 0))
            ),
        )
        for label, total in sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    ]


def _findings(quality: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    missing = [
        (
            f"`{column}`",
            f"{wording.count(one['missing'])} missing ({wording.share(one['share'])})"
            if one["missing"]
            else "complete",
        )
        for column, one in quality.get("completeness", {}).items()
    ]
    rules = [
        (one["rule"], f"{wording.count(one['broken'])} of {wording.count(one['checked'])} rows")
        for one in quality.get("validity", [])
    ]
    clashes = [(one["what"], wording.counted(one["rows"], "row")) for one in quality.get("consistency", [])]
    unique = quality.get("uniqueness", {})
    repeats = [
        (words, wording.counted(unique[key], "row"))
        for key, words in (
            ("exact_duplicates", "exact duplicates"),
            ("near_duplicates", "near duplicates"),
            ("across_splits", "nearly the same in two splits"),
        )
        if key in unique
    ]
    text = quality.get("text", {})
    lengths = [
        (words, ", ".join(f"{wording.count(one[key])} {UNITS.get(unit, unit)}" for unit, one in text.items()))
        for key, words in (("p50", "median"), ("p95", "95 % have up to"), ("max", "longest"))
        if text
    ]
    return [
        ("Completeness", missing),
        ("Validity: rows that break a rule", rules or [("no rules are given in the recipe", "")]),
        ("Consistency", clashes),
        ("Uniqueness", repeats),
        ("Lengths of the texts", lengths),
    ]
