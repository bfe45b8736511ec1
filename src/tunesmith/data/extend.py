"""The stage `extend`: the rows that a champion was made with keep their split, and new rows join them.

Only then do old and new model answer the same test rows, none of which either has learned from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import DataError
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.data import outside
from tunesmith.data.clean import comparable
from tunesmith.data.dataset import LINEAGE
from tunesmith.data.extend_config import ExtendConfig
from tunesmith.data.extend_counts import Fates
from tunesmith.data.leakage import SPLIT
from tunesmith.data.near import NearTexts
from tunesmith.data.prepare import learned
from tunesmith.data.prepare_config import SplitName
from tunesmith.data.row_groups import write_table
from tunesmith.data.split import SPLITS, draw, draw_groups
from tunesmith.data.stratify import draw_tags

NEW = "new.parquet"
"""Which rows are new: ``row_id`` and ``split``."""
ASIDE = "_aside"
"""Whether a row is out of scope: in no split, but known all the same."""
WITHDRAWN = "its source may no longer be used"
REPEATS = "same text as a row of the champion"
LEFT_OUT = "was left out of the champion's rows"
NEARLY = "nearly the same text as a {} row of the champion"
STRICTEST = ("test", "validation", "train")
"""Where the rows of a group that is in several splits go: a test row's group is never trained on."""


class Extend:
    """Joins new rows with those of a champion."""

    makes: ClassVar[Mapping[str, str]] = {"splits": "splits"}

    def __init__(self, config: ExtendConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the splits, as `prepare` gives them, with what is old and what is new under `extended`.

        Raises: DataError where nothing is new and nothing leaves, or where what stays fills no split.
        """
        before, fresh = given["before"], given["splits"]
        whole, read = _rows(before), _rows(fresh)
        leaves = pl.col("source_id").is_in(list(self.config.without))
        old, gone = whole.filter(~leaves), whole.filter(leaves)
        new, known = _told_apart(read, old)
        was_out = new["row_id"].is_in(_left_out(before).implode())
        new, still_out = new.filter(~was_out), new.filter(was_out)
        if self.config.needs_new and new.is_empty() and gone.is_empty():
            raise DataError(
                "no row is new: the champion has learned from, or was measured on, every row that the sources hold",
                seen=f"{read.height} rows read, {old.height} of the champion",
                next="add rows with `tunesmith retrain NAME --add FILE`, or wait for feedback",
            )
        if relabelled := int(known["is_other_label"].sum()):
            context.warn(
                f"{relabelled} rows have another label now than the champion learned: they keep the one it learned"
            )
        new, num_drawn = _proving(new, self.config, context.seed)
        new, num_moved = self._in_the_split_of_their_group(old, new)
        new, near = self._without_near(old, new)
        rows = pl.concat([old, new], how="diagonal_relaxed")
        parts = {name: rows.filter(pl.col(SPLIT) == name, ~pl.col(ASIDE)) for name in SPLITS}
        if parts["train"].is_empty() or parts["test"].is_empty():
            raise DataError(
                "without the rows of withdrawn sources a split is empty",
                seen=", ".join(f"{name}: {part.height}" for name, part in parts.items()),
                next="add rows of sources that may be used",
            )
        folder = context.out / "splits"
        folder.mkdir(parents=True, exist_ok=True)
        _write(rows, parts, folder)
        new.filter(~pl.col(ASIDE)).select("row_id", pl.col(SPLIT).alias("split")).write_parquet(folder / NEW)
        fates = Fates(fresh, rows)
        fates.remove(gone, WITHDRAWN)
        fates.remove(still_out, LEFT_OUT)
        fates.remove(known.filter("is_elsewhere"), REPEATS)
        for name in SPLITS:
            fates.remove(near.filter(pl.col("_near_split") == name), NEARLY.format(name))
        facts = dict(fresh.facts) | learned(parts, self.config.task, self.config.targets)
        facts |= fates.written(folder)
        facts["splits"] = {name: part.height for name, part in parts.items()}
        if num_drawn:
            facts["notes"] = [
                *facts["notes"],
                f"no new row was given for test: {num_drawn} of {new.height} were drawn with seed {context.seed}",
            ]
        if "outside" in facts:
            facts["outside"] = facts["outside"] | outside.counted(rows.filter(ASIDE)[SPLIT])
        facts["extended"] = {
            "old": _by_split(old),
            "new": _by_split(new),
            "known": known.height,
            "relabelled": relabelled,
            "near": near.height,
            "withdrawn": gone.height,
            "without": list(self.config.without),
            "moved_by_group": num_moved,
            "drawn": num_drawn,
            "new_labels": sorted(set(facts["labels"]) - set(before.facts["labels"])),
            "gone_labels": sorted(set(before.facts["labels"]) - set(facts["labels"])),
        }
        return {"splits": facts}

    def _in_the_split_of_their_group(self, old: pl.DataFrame, new: pl.DataFrame) -> tuple[pl.DataFrame, int]:
        """The new rows, those of a known group in that group's split, and how many that moved."""
        group_by = self.config.group_by
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

    def _without_near(self, old: pl.DataFrame, new: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The new rows, and apart from them those nearly the same as an old row of another split.

        `prepare` compares the rows that are read now, in splits that it drew anew; which rows the champion was
        measured on it does not know.
        """
        found: dict[int, int] = {}
        if self.config.near is not None and new.height:
            both = pl.concat([old.select("text", SPLIT, ASIDE), new.select("text", SPLIT, ASIDE)])
            near = NearTexts(both.select(comparable(pl.col("text"))).to_series(), self.config.near)
            split, is_aside = both[SPLIT].to_numpy(), both[ASIDE].to_numpy()
            is_new = np.arange(both.height) >= old.height
            for name in STRICTEST:
                others = np.flatnonzero(~is_new & ~is_aside & (split == name)).tolist()
                rows = np.flatnonzero(is_new & ~is_aside & (split != name)).tolist()
                found = near.matches(rows, others) | found
        twins = [found.get(old.height + at) for at in range(new.height)]
        marked = new.with_columns(
            pl.Series("because_of", [None if at is None else old["row_id"][at] for at in twins], pl.String),
            pl.Series("_near_split", [None if at is None else old[SPLIT][at] for at in twins], pl.String),
        )
        is_near = marked["because_of"].is_not_null()
        return new.filter(~is_near), marked.filter(is_near)


def _told_apart(read: pl.DataFrame, old: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that are new, and those whose text the champion has: ``because_of`` its row, ``is_elsewhere`` where no
    row of the same source has it, and ``is_other_label``."""
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


def _write(rows: pl.DataFrame, parts: Mapping[SplitName, pl.DataFrame], folder: Path) -> None:
    """Write a table for each split, and one of the rows out of scope where there are any."""
    columns = [*LINEAGE, *(name for name in rows.columns if name not in (*LINEAGE, SPLIT, ASIDE))]
    for name, part in parts.items():
        write_table(part.select(columns), folder / f"{name}.parquet")
    if rows[ASIDE].any():
        named = [*(name for name in columns if name != "split"), pl.col(SPLIT).alias("split")]
        rows.filter(ASIDE).select(named).write_parquet(folder / outside.OUTSIDE)


def _by_split(rows: pl.DataFrame) -> dict[str, int]:
    counts = Counter(rows.filter(~pl.col(ASIDE))[SPLIT].to_list())
    return {name: counts[name] for name in SPLITS}
