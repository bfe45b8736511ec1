"""The stage `extend`: the rows that a champion was made with keep their split, and new rows join them.

Only then do old and new model answer the same test rows, none of which either has learned from.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import DataError
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.data.clean import comparable
from tunesmith.data.dataset import LINEAGE
from tunesmith.data.extend_config import ExtendConfig
from tunesmith.data.leakage import SPLIT
from tunesmith.data.outside import OUTSIDE
from tunesmith.data.prepare import learned
from tunesmith.data.row_groups import write_table
from tunesmith.data.split import SPLITS

NEW = "new.parquet"
"""Which rows are new: ``row_id`` and ``split``."""
WITHDRAWN = "its source may no longer be used"
STRICTEST = ("test", "validation", "train")
"""Where the rows of a group that is in several splits go: a test row's group is never trained on."""


class Extend:
    """Joins new rows with those of a champion."""

    makes: ClassVar[Mapping[str, str]] = {"splits": "splits"}

    def __init__(self, config: ExtendConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the splits, as `prepare` gives them, with what is old and what is new under `extended`.

        Raises: DataError where nothing is new and nothing leaves.
        """
        before, fresh = given["before"], given["splits"]
        whole = _rows(before)
        leaves = pl.col("source_id").is_in(list(self.config.without))
        old, gone = whole.filter(~leaves), whole.filter(leaves)
        read = _rows(fresh)
        is_known = read.select(comparable(pl.col("text"))).to_series().is_in(_texts(old).implode())
        new = read.filter(~is_known)
        if self.config.needs_new and new.is_empty() and gone.is_empty():
            raise DataError(
                "no row is new: the champion has learned from, or was measured on, every row that the sources hold",
                seen=f"{read.height} rows read, {old.height} of the champion",
                next="add rows with `tunesmith retrain NAME --add FILE`, or wait for feedback",
            )
        new, num_moved = self._in_the_split_of_their_group(old, new)
        rows = pl.concat([old, new], how="diagonal_relaxed")
        parts = {name: rows.filter(pl.col(SPLIT) == name) for name in SPLITS}
        if parts["train"].is_empty() or parts["test"].is_empty():
            raise DataError(
                "without the rows of withdrawn sources a split is empty",
                seen=", ".join(f"{name}: {part.height}" for name, part in parts.items()),
                next="add rows of sources that may be used",
            )
        folder = context.out / "splits"
        folder.mkdir(parents=True, exist_ok=True)
        columns = [*LINEAGE, *(name for name in rows.columns if name not in (*LINEAGE, SPLIT))]
        for name, part in parts.items():
            write_table(part.select(columns), folder / f"{name}.parquet")
        new.select("row_id", SPLIT).rename({SPLIT: "split"}).write_parquet(folder / NEW)
        _write_outside(before, fresh, folder)
        facts = dict(fresh.facts) | learned(parts, self.config.task, self.config.targets)
        facts |= _counted(fresh, read, gone, rows, folder)
        facts["splits"] = {name: part.height for name, part in parts.items()}
        facts["extended"] = {
            "old": _by_split(old),
            "new": _by_split(new),
            "known": int(is_known.sum()),
            "withdrawn": gone.height,
            "without": list(self.config.without),
            "moved_by_group": num_moved,
            "new_labels": sorted(set(facts["labels"]) - set(before.facts["labels"])),
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


def _counted(fresh: Artifact, read: pl.DataFrame, gone: pl.DataFrame, rows: pl.DataFrame, folder: Path) -> Facts:
    """Every row counted once: read now or carried over, and kept, removed or in quarantine."""
    removed = pl.read_parquet(fresh.path / "removed.parquet")
    pl.concat([removed, _withdrawn(gone, removed.schema)]).write_parquet(folder / "removed.parquet")
    shutil.copyfile(fresh.path / "quarantine.parquet", folder / "quarantine.parquet")
    by_source: dict[str, Any] = {}
    num_fresh = Counter(read["source_id"].to_list())
    kept, withdrawn = Counter(rows["source_id"].to_list()), Counter(gone["source_id"].to_list())
    before = {name: dict(one) for name, one in fresh.facts["by_source"].items()}
    for name in dict.fromkeys([*before, *kept, *withdrawn]):
        was = before.get(name, {"read": 0, "kept": 0, "removed": 0, "quarantined": 0})
        # Rows out of scope are kept, and in no split.
        aside = was["kept"] - num_fresh[name]
        one = {"kept": kept[name] + aside, "removed": was["removed"] + withdrawn[name]}
        one["quarantined"] = was["quarantined"]
        # A row that is no longer in its source was read when the champion was made.
        by_source[name] = {"read": sum(one.values()), **one}
    fates = ("read", "kept", "removed", "quarantined")
    total = {fate: sum(one[fate] for one in by_source.values()) for fate in fates}
    reasons = dict(fresh.facts["removed"]) | ({WITHDRAWN: gone.height} if gone.height else {})
    return {"rows": total, "by_source": by_source, "removed": reasons}


def _rows(splits: Artifact) -> pl.DataFrame:
    """The rows of all splits, in their order, with the split of each."""
    parts = [
        pl.read_parquet(splits.path / f"{name}.parquet")
        .drop(SPLIT, strict=False)
        .with_columns(pl.lit(name).alias(SPLIT))
        for name in SPLITS
    ]
    return pl.concat(parts, how="diagonal_relaxed")


def _texts(rows: pl.DataFrame) -> pl.Series:
    return rows.select(comparable(pl.col("text"))).to_series()


def _withdrawn(gone: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """The rows that leave, as ``removed.parquet`` has them."""
    label = pl.col("label")
    label = label.list.join("|") if isinstance(gone.schema["label"], pl.List) else label.cast(pl.String)
    why, none = pl.lit(WITHDRAWN), pl.lit(None, pl.String)
    return gone.select(*LINEAGE, "text", label, why.alias("reason"), none.alias("because_of")).cast(schema)


def _by_split(rows: pl.DataFrame) -> dict[str, int]:
    counts = Counter(rows[SPLIT].to_list())
    return {name: counts[name] for name in SPLITS}


def _write_outside(before: Artifact, fresh: Artifact, folder: Path) -> None:
    """Rows out of scope: the champion's, then those that are new."""
    files = [one.path / OUTSIDE for one in (before, fresh)]
    found = [pl.read_parquet(file) for file in files if file.is_file()]
    if found:
        rows = pl.concat(found, how="diagonal_relaxed")
        rows.filter(rows.select(comparable(pl.col("text"))).to_series().is_first_distinct()).write_parquet(
            folder / OUTSIDE
        )
