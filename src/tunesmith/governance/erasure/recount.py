"""Facts of datasets and splits after rows were taken out: every count says what is there."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from typing import Any

import polars as pl

SPLITS = ("train", "validation", "test")
ERASED = "erased"


def of_dataset(facts: Mapping[str, Any], gone: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    """The facts of a dataset; ``gone``: file name → the rows that were taken out of it."""
    made = copy.deepcopy(dict(facts))
    refused = Counter(gone["refused.parquet"]["reason"].to_list()) if "refused.parquet" in gone else Counter()
    rows = sum(one.height for name, one in gone.items() if name != "refused.parquet")
    _less(made, "rows", rows)
    _less(made, "rows_read", rows + refused.total())
    _each_less(made.get("refused"), refused)
    return _told(made, rows + refused.total())


def of_splits(facts: Mapping[str, Any], gone: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    """The facts of splits, in the same way. What was learned of the numbers to predict stays as it was learned."""
    made = copy.deepcopy(dict(facts))
    total = 0
    for name in (*SPLITS, "outside", "removed", "quarantine"):
        frame = gone.get(f"{name}.parquet")
        if frame is None or frame.is_empty():
            continue
        total += frame.height
        if name in SPLITS:
            _less(made.get("splits"), name, frame.height)
            _each_less((made.get("label_counts") or {}).get(name), _labels(frame))
            if name == "train" and "augmented" in made:
                frame = _as_read(made["augmented"], frame)
        elif name == "outside":
            _each_less(made.get("outside"), Counter(frame["split"].to_list()))
        fate = {"removed": "removed", "quarantine": "quarantined"}.get(name, "kept")
        if fate != "kept":
            _each_less(made.get(fate), Counter(frame["reason"].to_list()))
        _less(made.get("rows"), fate, frame.height)
        _less(made.get("rows"), "read", frame.height)
        for source, number in Counter(frame["source_id"].to_list()).items():
            by_source = (made.get("by_source") or {}).get(source)
            _less(by_source, fate, number)
            _less(by_source, "read", number)
    return _told(made, total)


def of_others(facts: Mapping[str, Any], gone: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    """The facts of what was measured or computed with the rows: those stand, with how many rows are gone."""
    return _told(copy.deepcopy(dict(facts)), sum(one.height for one in gone.values()))


def _as_read(augmented: dict[str, Any], frame: pl.DataFrame) -> pl.DataFrame:
    """Training rows that were read: those that augmentation made are counted by it."""
    is_made = frame["parents"].list.len() > 0
    _less(augmented, "rows", int(is_made.sum()))
    _less(augmented, "of", int((~is_made).sum()))
    return frame.filter(~is_made)


def _labels(frame: pl.DataFrame) -> Counter[str]:
    label = frame["label"] if "label" in frame.columns else pl.Series(dtype=pl.String)
    if isinstance(label.dtype, pl.List):
        label = label.explode()
    return Counter(str(one) for one in label.drop_nulls().to_list()) if label.dtype == pl.String else Counter()


def _less(counts: Any, name: str, number: int) -> None:
    if isinstance(counts, dict) and isinstance(counts.get(name), int):
        counts[name] -= number


def _each_less(counts: Any, numbers: Counter[str]) -> None:
    if not isinstance(counts, dict):
        return
    for seen, number in numbers.items():
        # A row's reason may say more than the one that is counted, and begins with it.
        known = [one for one in counts if seen.startswith(one)]
        name = seen if seen in counts else max(known, key=len, default=seen)
        _less(counts, name, number)
        if counts.get(name) == 0:
            del counts[name]


def _told(facts: dict[str, Any], number: int) -> dict[str, Any]:
    if number:
        facts[ERASED] = int(facts.get(ERASED, 0)) + number
    return facts
