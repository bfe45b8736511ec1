"""Proof that no text of a proving split is trained on, and a count of what is nearly so."""

from __future__ import annotations

import numpy as np
import polars as pl

from tunesmith.core.errors import StepError
from tunesmith.data.dedupe import KEY
from tunesmith.data.near import NearTexts
from tunesmith.data.sift import Sifted

SPLIT = "_split"
REPORTED_SIMILARITY = 0.9
"""Counted as nearly the same across splits when the recipe sets no threshold."""


def remove_shared(sifted: Sifted) -> None:
    """Remove training rows whose text was drawn into validation or test too, and validation rows whose text was drawn
    into test: only possible where exact duplicates are kept."""
    for split, weaker in (("test", ["train", "validation"]), ("validation", ["train"])):
        firsts = sifted.kept.filter(pl.col(SPLIT) == split).group_by(KEY).agg(pl.col("row_id").first().alias("_first"))
        sifted.kept = sifted.kept.join(firsts, on=KEY, how="left", maintain_order="left")
        shared = pl.col("_first").is_not_null() & pl.col(SPLIT).is_in(weaker)
        sifted.take_out("removed", shared, f"same text as a {split} row", because_of=pl.col("_first"))
        sifted.kept = sifted.kept.drop("_first")


def check(kept: pl.DataFrame, group_by: str | None) -> None:
    """Raise StepError if a text, or a group that must stay together, is in two splits."""
    for column in (KEY, *([group_by] if group_by else [])):
        crossing = (
            kept.filter(pl.col(column).is_not_null())
            .group_by(column)
            .agg(pl.col(SPLIT).n_unique().alias("splits"))
            .filter(pl.col("splits") > 1)
        )
        if not crossing.is_empty():
            raise StepError(
                "rows leak between the splits: this is a fault of tunesmith, please report it",
                seen=f"{crossing.height} values of `{'text' if column == KEY else column}` in more than one split",
            )


def near_across(kept: pl.DataFrame, threshold: float | None, near: NearTexts | None = None) -> set[int]:
    """The training and validation rows that are nearly the same as a row of another split that proves more; `near`
    spares comparing the texts once more."""
    near = near or NearTexts(kept[KEY], threshold or REPORTED_SIMILARITY)
    split = kept[SPLIT].to_numpy()
    found: set[int] = set()
    for proving, weaker in (("test", ["train", "validation"]), ("validation", ["train"])):
        others = np.flatnonzero(split == proving).tolist()
        rows = np.flatnonzero(np.isin(split, weaker)).tolist()
        found.update(near.matches(rows, others))
    return found
