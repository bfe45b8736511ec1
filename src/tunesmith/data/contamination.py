"""Training rows that repeat a test row: found, counted by test set, and removed; test rows never are."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from tunesmith.data.contained import contained
from tunesmith.data.dedupe import GIVEN, KEY
from tunesmith.data.leakage import SPLIT
from tunesmith.data.near import NearTexts
from tunesmith.data.prepare_config import PrepareConfig
from tunesmith.data.sift import Sifted

REASON = "contamination"
MATCH = "_match"


def remove(sifted: Sifted, config: PrepareConfig) -> dict[str, Any]:
    """Remove training rows that are nearly the same as a test row or hold it; return what was looked for, and for each
    test set how many of its rows were met in training rows, and by which of these they were.

    Equal texts were removed before: the count of those is among the reasons.
    """
    found: dict[str, Any] = {"checked": config.contamination is not None, "by_test_set": _sets(sifted)}
    settings = config.contamination
    if settings is None:
        return found
    if settings.near is not None:
        _take(sifted, found, "nearly the same", _near(sifted.kept, settings.near))
    if settings.contained is not None:
        matches = _contained(sifted.kept, settings.contained, settings.min_words)
        _take(sifted, found, "holds it", matches)
    return found


def test_set(frame: pl.DataFrame) -> pl.Series:
    """What each row's test set is called: the source it was given by, or that it was drawn."""
    name = pl.when(pl.col(GIVEN).eq_missing(pl.lit("test"))).then(pl.col("source_id")).otherwise(pl.lit("drawn"))
    return frame.select(name.alias("set")).to_series()


def _sets(sifted: Sifted) -> dict[str, dict[str, int]]:
    tests = test_set(sifted.kept.filter(pl.col(SPLIT) == "test"))
    counts = dict(tests.value_counts(name="rows").sort("set").iter_rows())
    return {name: {"rows": rows, "nearly the same": 0, "holds it": 0} for name, rows in counts.items()}


def _near(kept: pl.DataFrame, threshold: float) -> dict[int, int]:
    split = kept[SPLIT]
    near = NearTexts(kept[KEY], threshold)
    tests = np.flatnonzero((split == "test").to_numpy()).tolist()
    return near.matches(np.flatnonzero((split == "train").to_numpy()).tolist(), tests)


def _contained(kept: pl.DataFrame, share: float, min_words: int) -> dict[int, int]:
    split = kept[SPLIT].to_numpy()
    return contained(kept[KEY], np.flatnonzero(split == "test"), np.flatnonzero(split == "train"), share, min_words)


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
    words = {"nearly the same": "nearly the same text as a test row", "holds it": "holds the text of a test row"}
    sifted.take_out("removed", pl.col(MATCH).is_not_null(), words[what], because_of=pl.col(MATCH))
    sifted.kept = sifted.kept.drop(MATCH, "_set")
