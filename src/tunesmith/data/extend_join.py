"""Which rows are a champion's, which are new, and which of the new ones may join them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from tunesmith.core.artifact import Artifact
from tunesmith.data import outside
from tunesmith.data.clean import comparable
from tunesmith.data.extend_config import ExtendConfig
from tunesmith.data.leakage import SPLIT
from tunesmith.data.near import NearTexts
from tunesmith.data.prepare_config import SplitName
from tunesmith.data.split import SPLITS, draw, draw_groups
from tunesmith.data.stratify import draw_tags

WITHDRAWN = "its source may no longer be used"
ASIDE = "_aside"
"""Whether a row is out of scope: in no split, but known all the same."""
NEAR = "_near_split"
"""The split of the champion's row that a new one is nearly the same as."""
STRICTEST = ("test", "validation", "train")
"""Where the rows of a group that is in several splits go: a test row's group is never trained on."""


@dataclass(frozen=True)
class Joined:
    """Rows of a champion and new ones, with their split in ``_split``."""

    num_read: int
    old: pl.DataFrame
    """The champion's."""
    new: pl.DataFrame
    gone: pl.DataFrame
    """The champion's, of sources that may no longer be used."""
    known: pl.DataFrame
    """Read now, of a text that the champion has: ``because_of`` its row, ``is_elsewhere`` where no row of the same
    source has it, ``is_other_label``."""
    left_out: pl.DataFrame
    """Read now, and taken out by the champion's run after `prepare`."""
    near: pl.DataFrame
    """Read now, and nearly the same as ``because_of``, a row of another split of the champion."""
    num_drawn: int
    num_moved: int
    """New rows that went to the split of their group."""


def join(before: Artifact, fresh: Artifact, config: ExtendConfig, seed: int) -> Joined:
    """The champion's rows, and the new ones among those that were read now."""
    whole, read = _rows(before), _rows(fresh)
    leaves = pl.col("source_id").is_in(list(config.without))
    old = whole.filter(~leaves)
    new, known = _told_apart(read, old)
    was_out = new["row_id"].is_in(_left_out(before).implode())
    left_out, new = new.filter(was_out), new.filter(~was_out)
    new, num_drawn = _proving(new, config, seed)
    new, num_moved = _in_the_split_of_their_group(old, new, config.group_by)
    new, near = _without_near(old, new, config.near)
    return Joined(read.height, old, new, whole.filter(leaves), known, left_out, near, num_drawn, num_moved)


def _told_apart(read: pl.DataFrame, old: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that are new, and those whose text the champion has."""
    texts = old.with_columns(comparable(pl.col("text")).alias("_text"))
    firsts = texts.group_by("_text", maintain_order=True).agg(
        pl.col("row_id").first().alias("because_of"),
        pl.col("source_id").alias("_sources"),
        pl.col("label").first().alias("_label"),
    )
    found = read.with_columns(comparable(pl.col("text")).alias("_text")).join(
        firsts, on="_text", how="left", maintain_order="left"
    )
    is_known = pl.col("because_of").is_not_null()
    known = found.filter(is_known).with_columns(
        (~pl.col("source_id").is_in(pl.col("_sources"))).alias("is_elsewhere"),
        pl.col("label").ne_missing(pl.col("_label")).alias("is_other_label"),
    )
    helpers = ("_text", "_sources", "_label")
    return found.filter(~is_known).drop(*helpers, "because_of"), known.drop(helpers)


def _proving(new: pl.DataFrame, config: ExtendConfig, seed: int) -> tuple[pl.DataFrame, int]:
    """The new rows, a share of them drawn for `test` where none is there, and how many that are.

    Where the test rows of a recipe are given, all rows without a split are trained on: what only new rows have would be
    learned, and nothing would prove it.
    """
    is_free = ~pl.col(ASIDE) & (pl.col("split").is_null() if "split" in new.columns else pl.lit(True))
    free = new.filter(is_free)
    if config.group_by is not None and config.group_by in new.columns:
        held = new.filter(~is_free)[config.group_by].drop_nulls()
        free = free.filter(~pl.col(config.group_by).is_in(held.implode()).fill_null(False))
    if free.is_empty() or not config.test or (new.filter(~pl.col(ASIDE))[SPLIT] == "test").any():
        return new, 0
    ids, labels = free.select(comparable(pl.col("text"))).to_series().to_list(), free["label"].to_list()
    shares: dict[SplitName, float] = {"test": config.test}
    strata = labels if config.task == "classify" else [None] * free.height
    if config.group_by is not None and config.group_by in free.columns:
        groups = free.select(pl.coalesce(pl.col(config.group_by).cast(pl.String), "row_id")).to_series().to_list()
        drawn = draw_groups([[one] for one in strata], groups, shares, seed)
    elif config.task == "tag":
        drawn = draw_tags(labels, ids, shares, seed)
    else:
        drawn = draw(strata, ids, shares, seed, rare=config.task == "classify")
    tests = free.filter(pl.Series([one == "test" for one in drawn], dtype=pl.Boolean))["row_id"]
    split = pl.when(pl.col("row_id").is_in(tests.implode())).then(pl.lit("test")).otherwise(SPLIT)
    return new.with_columns(split.alias(SPLIT)), tests.len()


def _in_the_split_of_their_group(
    old: pl.DataFrame, new: pl.DataFrame, group_by: str | None
) -> tuple[pl.DataFrame, int]:
    """The new rows, those of a known group in that group's split, and how many that moved."""
    if group_by is None or group_by not in old.columns or group_by not in new.columns:
        return new, 0
    known = pl.DataFrame(schema={group_by: old.schema[group_by], "_known": pl.String})
    for name in STRICTEST:
        groups = old.filter((pl.col(SPLIT) == name) & pl.col(group_by).is_not_null()).select(group_by).unique()
        groups = groups.join(known, on=group_by, how="anti").sort(group_by)
        known = pl.concat([known, groups.with_columns(pl.lit(name).alias("_known"))])
    joined = new.join(known, on=group_by, how="left", maintain_order="left")
    moved = joined["_known"].is_not_null() & (joined["_known"] != joined[SPLIT])
    return joined.with_columns(pl.coalesce("_known", SPLIT).alias(SPLIT)).drop("_known"), int(moved.sum())


def _without_near(old: pl.DataFrame, new: pl.DataFrame, similarity: float | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The new rows, and apart from them those nearly the same as an old row of another split.

    `prepare` compares the rows that are read now, in splits that it drew anew; which rows the champion was
    measured on it does not know.
    """
    found: dict[int, int] = {}
    if similarity is not None and new.height:
        both = pl.concat([old.select("text", SPLIT, ASIDE), new.select("text", SPLIT, ASIDE)])
        near = NearTexts(both.select(comparable(pl.col("text"))).to_series(), similarity)
        split, is_aside = both[SPLIT].to_numpy(), both[ASIDE].to_numpy()
        is_new = np.arange(both.height) >= old.height
        for name in STRICTEST:
            others = np.flatnonzero(~is_new & ~is_aside & (split == name)).tolist()
            rows = np.flatnonzero(is_new & ~is_aside & (split != name)).tolist()
            found = near.matches(rows, others) | found
    twins = [found.get(old.height + at) for at in range(new.height)]
    marked = new.with_columns(
        pl.Series("because_of", [None if at is None else old["row_id"][at] for at in twins], pl.String),
        pl.Series(NEAR, [None if at is None else old[SPLIT][at] for at in twins], pl.String),
    )
    is_near = marked["because_of"].is_not_null()
    return new.filter(~is_near), marked.filter(is_near)


def _left_out(before: Artifact) -> pl.Series:
    """The ids of rows that a step after `prepare` took out, each for itself: read again, they are no news."""
    removed = pl.read_parquet(before.path / "removed.parquet")
    is_own = pl.col("because_of").is_null() & (pl.col("reason") != WITHDRAWN)
    return removed.filter(is_own)["row_id"]


def _rows(splits: Artifact) -> pl.DataFrame:
    """The rows of all splits, in their order, with the split of each; those out of scope behind them."""
    parts = [
        pl.read_parquet(splits.path / f"{name}.parquet").with_columns(
            pl.lit(name).alias(SPLIT), pl.lit(False).alias(ASIDE)
        )
        for name in SPLITS
    ]
    if (splits.path / outside.OUTSIDE).is_file():
        aside = pl.read_parquet(splits.path / outside.OUTSIDE)
        parts.append(aside.rename({"split": SPLIT}).with_columns(pl.lit(True).alias(ASIDE)))
    return pl.concat(parts, how="diagonal_relaxed")
