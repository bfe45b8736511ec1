"""The stage ``augment``: the splits with more training rows, each made from one that is there."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol

import polars as pl

from tunesmith.core import wiring
from tunesmith.core.errors import DataError
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.data.augment.config import AugmentConfig
from tunesmith.data.clean import comparable

SPLITS = ("train", "validation", "test")
MOST_EXAMPLES = 3
CHECK_EVERY_ROWS = 500


class Augmentation(Protocol):
    """One way to make a row from another one."""

    def fit(self, train: pl.DataFrame) -> None:
        """Learn what is needed from the training rows."""

    def changed(self, row: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
        """The columns that change, ``text`` among them; none where this row cannot be changed."""


class Augment:
    """Adds training rows; validation and test rows stay as they are."""

    makes: ClassVar[Mapping[str, str]] = {"splits": "splits"}

    def __init__(self, config: AugmentConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the splits, with what each method made under ``augmented``.

        Raises: DataError where no row could be made.
        """
        splits = given["splits"]
        frames = {name: pl.read_parquet(splits.path / f"{name}.parquet") for name in SPLITS}
        train = frames["train"]
        # What proves the model is never trained on, in whatever letter case; among training rows another case is new.
        proving = frozenset(pl.concat(_comparable(frames[name]) for name in ("validation", "test")))
        taken = set(train["text"])
        rows: list[dict[str, Any]] = []
        told: list[Facts] = []
        for number, config in enumerate(self.config.methods):
            made, facts = self._by(number, config, self._used(train), proving, taken, context)
            rows += made
            told.append(facts)
        if not rows:
            raise DataError(
                "augmentation made no row",
                seen="; ".join(f"{one['method']}: {one['left_out']}" for one in told),
                next="look at `data.augment`, or leave it out",
            )
        folder = context.out / "splits"
        shutil.copytree(splits.path, folder, dirs_exist_ok=True)
        more = pl.DataFrame(rows, schema=train.schema)
        pl.concat([train, more]).write_parquet(folder / "train.parquet")
        facts = dict(splits.facts)
        facts["splits"] = {**facts["splits"], "train": train.height + more.height}
        return {"splits": {**facts, "augmented": {"rows": more.height, "of": train.height, "methods": told}}}

    def _used(self, train: pl.DataFrame) -> pl.DataFrame:
        if self.config.labels_below is None:
            return train
        return train.filter(pl.len().over("label") < self.config.labels_below)

    def _by(
        self,
        number: int,
        config: Any,
        used: pl.DataFrame,
        proving: frozenset[str],
        taken: set[str],
        context: StepContext,
    ) -> tuple[list[dict[str, Any]], Facts]:
        """The rows that one method makes, and what became of the others."""
        method: Augmentation = wiring.load(wiring.wire("augmentation", config.kind).make)(config)
        method.fit(used)
        candidates: list[dict[str, Any]] = []
        before: list[str] = []
        left_out: Counter[str] = Counter()
        for row, copy in self._turns(used, config.kind, context):
            # Seeded by the row, not by its place: a row added to the data changes no other one's.
            rng = random.Random(f"{context.seed}/{row['row_id']}/{number}/{copy}")
            new = method.changed(row, rng)
            if new.get("text", row["text"]) == row["text"]:
                left_out["nothing to change"] += 1
                continue
            row_id = _row_id(row["row_id"], number, copy)
            candidates.append({**row, **new, "row_id": row_id, "parents": [row["row_id"]]})
            before.append(row["text"])
        made: list[dict[str, Any]] = []
        examples: list[dict[str, str]] = []
        keys = _comparable(pl.DataFrame({"text": [row["text"] for row in candidates]}, schema={"text": pl.String}))
        for row, text, key in zip(candidates, before, keys, strict=True):
            if key in proving or row["text"] in taken:
                why = "the text of a validation or test row" if key in proving else "the text is there already"
                left_out[why] += 1
                continue
            taken.add(row["text"])
            made.append(row)
            if len(examples) < MOST_EXAMPLES:
                examples.append({"before": text[:300], "after": row["text"][:300]})
        facts = {"method": config.kind, "rows": len(made), "left_out": dict(sorted(left_out.items()))}
        return made, {**facts, "examples": examples}

    def _turns(self, used: pl.DataFrame, kind: str, context: StepContext) -> Iterator[tuple[dict[str, Any], int]]:
        total = used.height * self.config.copies
        done = 0
        for row in used.iter_rows(named=True):
            for copy in range(self.config.copies):
                if done % CHECK_EVERY_ROWS == 0:
                    context.check_cancelled()
                    context.progress(done, total, "rows", kind)
                done += 1
                yield row, copy


def _comparable(frame: pl.DataFrame) -> pl.Series:
    return frame.select(comparable(pl.col("text")))["text"]


def _row_id(parent: str, method: int, copy: int) -> str:
    return hashlib.sha256(f"{parent}#augment-{method}-{copy}".encode()).hexdigest()[:32]
