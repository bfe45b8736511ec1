"""What the data is worth, in numbers and in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from tunesmith.data.clean import is_missing

QUANTILES = {"min": 0.0, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99, "max": 1.0}
FEW_ROWS = 10
LARGE_SHARE = 0.05
LARGE_RATIO = 20
MAX_NAMED = 5
PLACEHOLDERS = ("n/a", "na", "nan", "null", "none", "empty", "-", "?", "unknown", "tbd", "#n/a")


def completeness(frame: pl.DataFrame, columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    """How many values of each column are missing, and their share."""
    counts = frame.select(is_missing(column).sum().alias(column) for column in columns).row(0, named=True)
    return {column: {"missing": n, "share": n / frame.height if frame.height else 0.0} for column, n in counts.items()}


def text_lengths(frame: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Quantiles of the texts' lengths in characters and in words."""
    lengths = frame.select(
        pl.col("text").str.len_chars().alias("chars"), pl.col("text").str.count_matches(r"\S+").alias("words")
    )
    return {
        unit: {name: int(lengths[unit].quantile(q, "nearest") or 0) for name, q in QUANTILES.items()}
        for unit in lengths.columns
    }


def balance(labels: pl.Series) -> dict[str, Any]:
    """How often each label occurs, the smallest and largest count, their ratio, and the entropy in bits."""
    counted = labels.value_counts().sort("count", labels.name, descending=[True, False])
    counts = {str(label): int(n) for label, n in counted.iter_rows()}
    total = sum(counts.values())
    entropy = -sum(n / total * math.log2(n / total) for n in counts.values())
    smallest, largest = min(counts.values(), default=0), max(counts.values(), default=0)
    ratio = largest / smallest if smallest else None
    # A single label would give -0.0.
    return {"counts": counts, "smallest": smallest, "largest": largest, "ratio": ratio, "entropy": abs(entropy)}


def consistency(frame: pl.DataFrame, names: pl.Series) -> list[dict[str, Any]]:
    """Contradictions between rows, before any was left out: what, and how many rows; `names` are the labels of all rows
    one by one, none for numbers."""
    texts = frame.group_by("_key").agg(
        pl.len().alias("rows"),
        pl.col("text").n_unique().alias("spellings"),
        pl.col("label").n_unique().alias("labels"),
    )
    found = [
        ("same text, different labels", texts.filter(pl.col("labels") > 1)["rows"].sum()),
        ("same text but for case and white space", texts.filter(pl.col("spellings") > 1)["rows"].sum()),
    ]
    if len(names):
        labels = (
            names.to_frame("label")
            .group_by(pl.col("label").str.to_lowercase().alias("low"))
            .agg(pl.len().alias("rows"), pl.col("label").n_unique().alias("spellings"))
        )
        found.append(("labels that differ only in case", labels.filter(pl.col("spellings") > 1)["rows"].sum()))
        is_placeholder = names.str.to_lowercase().is_in(list(PLACEHOLDERS))
        found.append(("labels that read like a missing value", is_placeholder.sum()))
    is_placeholder = frame["text"].str.to_lowercase().is_in(list(PLACEHOLDERS))
    found.append(("texts that read like a missing value", is_placeholder.sum()))
    return [{"what": what, "rows": int(n)} for what, n in found]


def notes(quality: dict[str, Any], num_rows: int) -> list[str]:
    """What stands out, in plain words."""
    words = []
    for column, seen in quality["completeness"].items():
        if seen["share"] >= LARGE_SHARE:
            words.append(f"{percent(seen['share'])} of the rows have no `{column}`")
    for rule in quality["validity"]:
        if rule["broken"]:
            words.append(f"{rule['broken']} of {rule['checked']} rows break the rule “{rule['rule']}”")
    words += [f"{rows(seen['rows'])}: {seen['what']}" for seen in quality["consistency"] if seen["rows"]]
    unique = quality["uniqueness"]
    repeated = unique["exact_duplicates"] + unique["near_duplicates"]
    if num_rows and repeated / num_rows >= LARGE_SHARE:
        words.append(f"{percent(repeated / num_rows)} of the rows repeat another one")
    if unique["across_splits"]:
        words.append(f"{rows(unique['across_splits'])} left in train or validation nearly the same as a proving row")
    return words + _balance_notes(quality["balance"])


def percent(share: float) -> str:
    """A share as whole per cent, small ones with a digit more."""
    return f"{share * 100:.0f} %" if share >= 0.1 else f"{share * 100:.1f} %"


def rows(num_rows: int) -> str:
    """A number of rows, in words."""
    return "1 row" if num_rows == 1 else f"{num_rows} rows"


def named(labels: Sequence[str]) -> str:
    """The first few labels, and how many more there are."""
    shown = ", ".join(f"`{label}`" for label in labels[:MAX_NAMED])
    return f"{shown} and {len(labels) - MAX_NAMED} more" if len(labels) > MAX_NAMED else shown


def _balance_notes(balance: dict[str, Any]) -> list[str]:
    words = []
    few = {label: n for label, n in reversed(balance["counts"].items()) if n < FEW_ROWS}
    for label, n in list(few.items())[:MAX_NAMED]:
        words.append(f"label `{label}` has {rows(n)}: fewer than {FEW_ROWS} is hard to learn")
    if len(few) > MAX_NAMED:
        words.append(f"{len(few) - MAX_NAMED} more labels have fewer than {FEW_ROWS} rows")
    if balance["ratio"] and balance["ratio"] >= LARGE_RATIO:
        words.append(f"the largest label has {balance['ratio']:.0f} times the rows of the smallest")
    return words
