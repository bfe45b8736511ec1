"""Rows out of scope: what they are for is to be rejected, so they are never trained on."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from tunesmith.core.errors import DataError
from tunesmith.core.stage import Facts
from tunesmith.data.clean import comparable
from tunesmith.data.dedupe import GIVEN
from tunesmith.data.leakage import SPLIT
from tunesmith.data.prepare_config import PrepareConfig, SplitName
from tunesmith.data.quality import rows
from tunesmith.data.sift import Sifted
from tunesmith.data.split import ranks

OUTSIDE = "outside.parquet"


def set_aside(sifted: Sifted, label: str | None) -> pl.DataFrame:
    """Take the rows of the out-of-scope label out of those that are split as usual, and return them.

    Raises: DataError where there are none, or nothing else.
    """
    is_outside = (
        sifted.kept["label"] == label if label is not None else pl.repeat(False, sifted.kept.height, eager=True)
    )
    outside = sifted.kept.filter(is_outside)
    if label is not None and outside.height in (0, sifted.kept.height):
        counts = sifted.kept["label"].value_counts(sort=True)
        raise DataError(
            f"no row has the out-of-scope label `{label}`" if outside.is_empty() else "every row is out of scope",
            seen=", ".join(counts["label"].head(5).to_list()),
            next="correct `decision.reject.label`, or leave it out: the threshold needs no such rows",
        )
    sifted.kept = sifted.kept.filter(~is_outside)
    return outside


def parted(
    outside: pl.DataFrame, config: PrepareConfig, given: Collection[str], seed: int, notes: list[str]
) -> pl.DataFrame:
    """The rows, each for `test` or for `validation`: as given, the others drawn by the shares."""
    free: dict[SplitName, float] = {}
    if "test" not in given:
        free["test"] = config.split.test
    if "validation" not in given and config.split.validation:
        free["validation"] = config.split.validation
    free = free or {"validation": 1.0}
    is_drawn = ~outside[GIVEN].is_in(["test", "validation"]).fill_null(False)
    num_drawn = int(is_drawn.sum())
    num_test = round(num_drawn * free.get("test", 0.0) / sum(free.values()))
    # By their text, so that equal data is parted alike in every project.
    place = ranks(seed, outside.filter(is_drawn).select(comparable(pl.col("text"))).to_series().to_list())
    drawn = iter(["test" if rank < num_test else "validation" for rank in place])
    parts = [next(drawn) if is_one else given_ for is_one, given_ in zip(is_drawn, outside[GIVEN], strict=True)]
    counts = {name: parts.count(name) for name in ("validation", "test")}
    if outside.height:
        notes.append(
            f"{rows(outside.height)} out of scope (`{config.outside}`) are never trained on: "
            f"{counts['validation']} choose the score, {counts['test']} prove it"
        )
    return outside.with_columns(pl.Series(SPLIT, parts, dtype=pl.String))


def facts_of(outside: pl.DataFrame, label: str) -> Facts:
    """How many there are of each."""
    return {"label": label, **counted(outside[SPLIT])}


def counted(splits: pl.Series) -> dict[str, int]:
    """How many rows out of scope choose the score, and how many prove it."""
    return {name: int((splits == name).sum()) for name in ("validation", "test")}
