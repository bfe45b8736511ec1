"""The stage `extend`: the rows that a champion was made with keep their split, and new rows join them.

Only then do old and new model answer the same test rows, none of which either has learned from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import polars as pl

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import DataError
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.data import outside
from tunesmith.data.corrections import Corrected, correct
from tunesmith.data.dataset import LINEAGE
from tunesmith.data.extend_config import CORRECTIONS, ExtendConfig
from tunesmith.data.extend_counts import Fates
from tunesmith.data.extend_join import ASIDE, NEAR, WITHDRAWN, Joined, join
from tunesmith.data.leakage import SPLIT
from tunesmith.data.prepare import learned
from tunesmith.data.prepare_config import SplitName
from tunesmith.data.row_groups import write_table
from tunesmith.data.split import SPLITS

NEW = "new.parquet"
"""Which rows are new: ``row_id`` and ``split``."""
REPEATS = "same text as a row of the champion"
LEFT_OUT = "was left out of the champion's rows"
NEARLY = "nearly the same text as a {} row of the champion"


class NothingNew(DataError):
    """No row is new, none is corrected and none leaves; ``counts``: what became of the rows that were read.

    ``read`` is all of them: those the champion has (`known`), those nearly the same as a row of another of its splits
    (`near`), those that its own run left out (`left_out`), and those that `prepare` took out (`removed`,
    `quarantined`). ``champion``: how many rows it has.
    """

    def __init__(self, joined: Joined, fresh: Artifact) -> None:
        rows = fresh.facts["rows"]
        self.counts = {
            "read": int(rows["read"]),
            "known": joined.known.height,
            "near": joined.near.height,
            "left_out": joined.left_out.height,
            "removed": int(rows["removed"]),
            "quarantined": int(rows["quarantined"]),
            "champion": joined.old.height,
        }
        super().__init__(
            "no row is new: the champion has learned from, or was measured on, every row that the sources hold",
            seen=f"{joined.num_read} rows read, {joined.old.height} of the champion",
            next="add rows with `tunesmith retrain NAME --add FILE`, or wait for feedback",
        )


class Extend:
    """Joins new rows with those of a champion."""

    makes: ClassVar[Mapping[str, str]] = {"splits": "splits"}

    def __init__(self, config: ExtendConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the splits, as `prepare` gives them, with what is old and what is new under `extended`.

        Raises: NothingNew where nothing is new and nothing leaves, DataError where what stays fills no split.
        """
        before, fresh, config = given["before"], given["splits"], self.config
        joined = join(before, fresh, config, context.seed)
        told = _corrected(joined, fresh, given, config)
        if told is not None:
            joined = replace(joined, old=told.rows)
        rows = pl.concat([joined.old, joined.new], how="diagonal_relaxed")
        parts = {name: rows.filter(pl.col(SPLIT) == name, ~pl.col(ASIDE)) for name in SPLITS}
        self._check(joined, fresh, parts, told)
        extended = _extended(joined, config, told) | {"held": _held(joined.old, fresh)}
        if relabelled := extended["relabelled"]:
            context.warn(
                f"{relabelled} rows have another label now than the champion learned: they keep the one it learned"
            )
        folder = context.out / "splits"
        folder.mkdir(parents=True, exist_ok=True)
        _write(rows, parts, folder)
        if told is not None:
            told.write(folder)
            if told.changed.height:
                context.warn(f"{told.changed.height} old rows got another label: the one that people gave their text")
        new = joined.new.filter(~pl.col(ASIDE))
        new.select("row_id", pl.col(SPLIT).alias("split")).write_parquet(folder / NEW)
        facts = dict(fresh.facts) | learned(parts, config.task, config.targets)
        facts |= _fates(fresh, joined, rows).written(folder)
        facts["splits"] = {name: part.height for name, part in parts.items()}
        if joined.num_drawn:
            drawn = f"{joined.num_drawn} of {new.height} were drawn with seed {context.seed}"
            facts["notes"] = [*facts["notes"], f"no new row was given for test: {drawn}"]
        if "outside" in facts:
            facts["outside"] = facts["outside"] | outside.counted(rows.filter(ASIDE)[SPLIT])
        was, now = set(before.facts["labels"]), set(facts["labels"])
        facts["extended"] = extended | {"new_labels": sorted(now - was), "gone_labels": sorted(was - now)}
        return {"splits": facts}

    def _check(
        self, joined: Joined, fresh: Artifact, parts: Mapping[SplitName, pl.DataFrame], told: Corrected | None
    ) -> None:
        is_same = told is None or told.changed.is_empty()
        if self.config.needs_new and is_same and joined.new.is_empty() and joined.gone.is_empty():
            raise NothingNew(joined, fresh)
        if parts["train"].is_empty() or parts["test"].is_empty():
            raise DataError(
                "without the rows of withdrawn sources a split is empty",
                seen=", ".join(f"{name}: {part.height}" for name, part in parts.items()),
                next="add rows of sources that may be used",
            )


def _corrected(joined: Joined, fresh: Artifact, given: Given, config: ExtendConfig) -> Corrected | None:
    """The champion's rows with what people said of them; None where nobody was asked."""
    said = given.get(CORRECTIONS)
    if said is None:
        return None
    names = config.targets if config.task == "regress" else ()
    label = fresh.facts["outside"]["label"] if "outside" in fresh.facts else None
    return correct(joined.old, pl.col(ASIDE), said, config.task, names, label)


def _extended(joined: Joined, config: ExtendConfig, told: Corrected | None) -> Facts:
    known = joined.known
    if told is not None:
        # Of these the label that the champion learned does not stay.
        known = known.filter(~pl.col("because_of").is_in(told.changed["row_id"].implode()))
    return {
        "old": _by_split(joined.old),
        "new": _by_split(joined.new),
        "known": joined.known.height,
        "relabelled": int(known["is_other_label"].sum()),
        "near": joined.near.height,
        "withdrawn": joined.gone.height,
        "without": list(config.without),
        "moved_by_group": joined.num_moved,
        "drawn": joined.num_drawn,
    } | ({} if told is None else told.facts())


def _held(old: pl.DataFrame, fresh: Artifact) -> dict[str, int]:
    """How many of the champion's rows are of sources that were not read now: a file is gone, or was added once."""
    counts = Counter(old["source_id"].to_list())
    return {name: number for name, number in sorted(counts.items()) if name not in fresh.facts["by_source"]}


def _fates(fresh: Artifact, joined: Joined, rows: pl.DataFrame) -> Fates:
    """What became of every row that is not among those kept."""
    fates = Fates(fresh, rows)
    fates.remove(joined.gone, WITHDRAWN)
    fates.remove(joined.left_out, LEFT_OUT)
    fates.remove(joined.known.filter("is_elsewhere"), REPEATS)
    for name in SPLITS:
        fates.remove(joined.near.filter(pl.col(NEAR) == name), NEARLY.format(name))
    return fates


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
