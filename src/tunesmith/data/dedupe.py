"""Repeated rows: which are left out, and because of which other row."""

from __future__ import annotations

import polars as pl

from tunesmith.data.clean import comparable
from tunesmith.data.near import NearTexts
from tunesmith.data.sift import Sifted

KEY, GIVEN = "_key", "_given"
"""Columns beside the mapped ones: the comparable text, and the split that was given (null: to be drawn)."""

PROTECTED = ("test", "validation")
"""Given splits that training rows must not repeat, the most important first."""


def with_key(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with the form of its text in which equal texts are equal strings."""
    return frame.with_columns(comparable(pl.col("text")).alias(KEY))


def is_given(split: str) -> pl.Expr:
    """Whether a row belongs to a split that was given."""
    return pl.col(GIVEN).eq_missing(pl.lit(split))


def is_pool() -> pl.Expr:
    """Whether a row may be trained on: not part of a given validation or test set."""
    return ~(is_given("test") | is_given("validation"))


def remove_leaks(sifted: Sifted) -> None:
    """Remove training rows whose text is in a given validation or test set, and validation rows whose text is in a
    given test set; whatever their labels."""
    for split in PROTECTED:
        protected = sifted.kept.filter(is_given(split))
        if protected.is_empty():
            continue
        firsts = protected.group_by(KEY).agg(pl.col("row_id").first().alias("_first"))
        weaker = is_pool() | is_given("validation") if split == "test" else is_pool()
        _with(sifted, firsts, weaker & pl.col("_first").is_not_null(), f"same text as a {split} row")


def remove_exact(sifted: Sifted) -> int:
    """Remove training rows that repeat an earlier one's text and label, put those in quarantine whose text has several
    labels; return how many rows of given validation and test sets repeat one another, which stay."""
    repeated = (
        sifted.kept.filter(is_pool())
        .group_by(KEY)
        .agg(
            pl.len().alias("_copies"),
            pl.col("row_id").first().alias("_first"),
            pl.col("label").cast(pl.String).unique().sort().alias("_labels"),
        )
        .filter(pl.col("_copies") > 1)
        .drop("_copies")
    )
    why = "same text, different labels"
    sifted.kept = sifted.kept.join(repeated, on=KEY, how="left", maintain_order="left")
    is_clash = is_pool() & (pl.col("_labels").list.len() > 1)
    reason = pl.concat_str(pl.lit(f"{why}: "), pl.col("_labels").list.join(", "))
    sifted.take_out("quarantined", is_clash, why, reason=reason)
    is_copy = is_pool() & (pl.col("row_id") != pl.col("_first"))
    sifted.take_out("removed", is_copy, "exact duplicate", because_of=pl.col("_first"))
    sifted.kept = sifted.kept.drop("_first", "_labels")
    return sum(_copies(sifted.kept.filter(is_given(split))) for split in PROTECTED)


def remove_near(sifted: Sifted, threshold: float, task: str) -> None:
    """Remove training rows nearly the same as a given validation or test row, or as an earlier training row of the
    same label (for numbers: of any), and validation rows nearly the same as a given test row."""
    kept = sifted.kept
    near = NearTexts(kept[KEY], threshold)
    splits = kept[GIVEN].to_list()
    labels = kept["label"].to_list() if task in ("classify", "tag") else [None] * kept.height
    row_ids = kept["row_id"]
    rank = [PROTECTED.index(split) if split in PROTECTED else len(PROTECTED) for split in splits]

    def is_repeat(row: int, earlier: int) -> bool:
        if rank[row] > rank[earlier]:
            return True
        return rank[row] == len(PROTECTED) and labels[row] == labels[earlier]

    order = sorted(near.candidates, key=lambda row: (rank[row], row))
    found = near.repeats(order, is_repeat)
    if not found:
        return
    why = {row: _near_words(rank[earlier]) for row, earlier in found.items()}
    marks = pl.DataFrame(
        {
            "row_id": [row_ids[row] for row in found],
            "_near_why": list(why.values()),
            "_near": [row_ids[earlier] for earlier in found.values()],
        }
    )
    sifted.kept = kept.join(marks, on="row_id", how="left", maintain_order="left")
    sifted.take_out("removed", pl.col("_near").is_not_null(), pl.col("_near_why"), because_of=pl.col("_near"))
    sifted.kept = sifted.kept.drop("_near", "_near_why")


def _near_words(rank: int) -> str:
    return f"nearly the same text as a {PROTECTED[rank]} row" if rank < len(PROTECTED) else "near duplicate"


def remove_shared_groups(sifted: Sifted, column: str) -> None:
    """Remove training rows whose group is in a given validation or test set, and validation rows whose group is in a
    given test set."""
    for split in PROTECTED:
        firsts = (
            sifted.kept.filter(is_given(split) & pl.col(column).is_not_null())
            .group_by(column)
            .agg(pl.col("row_id").first().alias("_first"))
        )
        weaker = is_pool() | is_given("validation") if split == "test" else is_pool()
        _with(sifted, firsts, weaker & pl.col("_first").is_not_null(), f"same `{column}` as a {split} row", on=column)


def _with(sifted: Sifted, firsts: pl.DataFrame, where: pl.Expr, why: str, on: str = KEY) -> None:
    sifted.kept = sifted.kept.join(firsts, on=on, how="left", maintain_order="left")
    sifted.take_out("removed", where, why, because_of=pl.col("_first"))
    sifted.kept = sifted.kept.drop("_first")


def _copies(frame: pl.DataFrame) -> int:
    return frame.height - frame[KEY].n_unique()
