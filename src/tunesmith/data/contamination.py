"""Rows of train and validation that repeat a test row: found, counted by test set, removed; test rows never are."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from tunesmith.data.contained import contained
from tunesmith.data.dedupe import GIVEN, KEY
from tunesmith.data.leakage import REPORTED_SIMILARITY, SPLIT, near_across
from tunesmith.data.near import NearTexts
from tunesmith.data.prepare_config import PrepareConfig
from tunesmith.data.sift import Sifted

MATCH = "_match"
WORDS = {
    "same letters": "same text as a test row but for punctuation",
    "nearly the same": "nearly the same text as a test row",
    "holds it": "holds the text of a test row",
}
"""What was found → the reason that is counted."""


def remove(sifted: Sifted, config: PrepareConfig) -> tuple[dict[str, Any], int]:
    """Remove rows of train and validation that hold a test row or are nearly the same; return whether it was looked for
    and, for each test set, its rows and the rows that were removed for it; and how many rows of train and validation
    are still nearly the same as a row of a split that proves more.

    Equal texts were removed before: they are counted among the reasons.
    """
    found: dict[str, Any] = {"checked": config.contamination is not None, "by_test_set": _sets(sifted)}
    settings, threshold = config.contamination, config.clean.near_duplicates or REPORTED_SIMILARITY
    if settings is not None:
        _take(sifted, found, "same letters", _same_letters(sifted.kept))
    if settings is not None and settings.contained is not None:
        _take(sifted, found, "holds it", _contained(sifted.kept, settings.contained, settings.min_words))
    if settings is None or settings.near is None:
        return found, len(near_across(sifted.kept, threshold))
    near = NearTexts(sifted.kept[KEY], settings.near)
    matches = _near(sifted.kept, near)
    if settings.near != threshold:
        _take(sifted, found, "nearly the same", matches)
        return found, len(near_across(sifted.kept, threshold))
    # Comparing all texts is the longest part of preparing: one comparison serves both.
    across = near_across(sifted.kept.with_columns(_without(matches, sifted.kept)), threshold, near)
    _take(sifted, found, "nearly the same", matches)
    return found, len(across)


def test_set(frame: pl.DataFrame) -> pl.Series:
    """What each row's test set is called: the source it was given by, or that it was drawn."""
    name = pl.when(pl.col(GIVEN).eq_missing(pl.lit("test"))).then(pl.col("source_id")).otherwise(pl.lit("drawn"))
    return frame.select(name.alias("set")).to_series()


def _sets(sifted: Sifted) -> dict[str, dict[str, int]]:
    tests = test_set(sifted.kept.filter(pl.col(SPLIT) == "test"))
    counts = dict(tests.value_counts(name="rows").sort("set").iter_rows())
    return {name: {"rows": rows, **dict.fromkeys(WORDS, 0)} for name, rows in counts.items()}


def _same_letters(kept: pl.DataFrame) -> dict[int, int]:
    """Rows equal to a test row but for punctuation and spaces ("top-up?", "top up"), each with that row."""
    letters = kept.select(
        pl.int_range(pl.len(), dtype=pl.Int64).alias("row"),
        pl.col(KEY).str.replace_all(r"\W+", "").alias("letters"),
        SPLIT,
    ).filter(pl.col("letters") != "")
    is_test = pl.col(SPLIT) == "test"
    firsts = letters.filter(is_test).group_by("letters").agg(pl.col("row").min().alias("test"))
    found = letters.filter(~is_test).join(firsts, on="letters", how="inner", maintain_order="left")
    return dict(found.select("row", "test").iter_rows())


def _without(rows: dict[int, int], kept: pl.DataFrame) -> pl.Series:
    """The splits with these rows in none."""
    place = pl.int_range(kept.height, dtype=pl.Int64, eager=True)
    is_out = place.is_in(pl.Series(list(rows), dtype=pl.Int64).implode())
    return kept.select(pl.when(~is_out).then(SPLIT).otherwise(pl.lit("")).alias(SPLIT)).to_series()


def _near(kept: pl.DataFrame, near: NearTexts) -> dict[int, int]:
    split = kept[SPLIT]
    tests = np.flatnonzero((split == "test").to_numpy()).tolist()
    return near.matches(np.flatnonzero((split != "test").to_numpy()).tolist(), tests)


def _contained(kept: pl.DataFrame, share: float, min_words: int) -> dict[int, int]:
    split = kept[SPLIT].to_numpy()
    return contained(kept[KEY], np.flatnonzero(split == "test"), np.flatnonzero(split != "test"), share, min_words)


def _take(sifted: Sifted, found: dict[str, Any], what: str, matches: dict[int, int]) -> None:
    if not matches:
        return
    kept, ids = sifted.kept, sifted.kept["row_id"]
    sets = test_set(kept)
    marks = pl.DataFrame(
        {
            "row_id": [ids[row] for row in matches],
            MATCH: [ids[test] for test in matches.values()],
            "_set": [sets[test] for test in matches.values()],
        }
    )
    for name, n in marks["_set"].value_counts(name="n").iter_rows():
        found["by_test_set"][name][what] = n
    sifted.kept = kept.join(marks, on="row_id", how="left", maintain_order="left")
    sifted.take_out("removed", pl.col(MATCH).is_not_null(), WORDS[what], because_of=pl.col(MATCH))
    sifted.kept = sifted.kept.drop(MATCH, "_set")
