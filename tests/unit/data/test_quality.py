"""The quality report counts by hand-checkable rules and speaks plainly."""

from __future__ import annotations

import polars as pl

from tunesmith.data import quality
from tunesmith.data.dedupe import with_key


def test_completeness_counts_null_and_blank() -> None:
    rows = pl.DataFrame({"a": ["x", None, " ", "y"], "n": [1, None, 3, 4]})
    assert quality.completeness(rows, ["a", "n"]) == {
        "a": {"missing": 2, "share": 0.5},
        "n": {"missing": 1, "share": 0.25},
    }


def test_balance() -> None:
    found = quality.balance(pl.Series("label", ["a"] * 4 + ["b"] * 2 + ["c"] * 2))
    assert found == {"counts": {"a": 4, "b": 2, "c": 2}, "smallest": 2, "largest": 4, "ratio": 2.0, "entropy": 1.5}
    empty = quality.balance(pl.Series("label", [], pl.String))
    assert empty == {"counts": {}, "smallest": 0, "largest": 0, "ratio": None, "entropy": 0}


def test_text_lengths() -> None:
    lengths = quality.text_lengths(pl.DataFrame({"text": ["a b", "äöü", "one two three"]}))
    assert lengths["chars"]["min"] == 3
    assert lengths["words"]["p50"] == 2
    assert (lengths["chars"]["max"], lengths["words"]["max"]) == (13, 3)


def test_consistency() -> None:
    rows = with_key(
        pl.DataFrame({"text": ["Hi  you", "hi you", "x", "x", "N/A"], "label": ["a", "A", "b", "c", "none"]})
    )
    assert {entry["what"]: entry["rows"] for entry in quality.consistency(rows, rows["label"])} == {
        "same text, different labels": 4,
        "same text but for case and white space": 2,
        "labels that differ only in case": 2,
        "labels that read like a missing value": 1,
        "texts that read like a missing value": 1,
    }


def test_notes_say_what_stands_out() -> None:
    measured = {
        "completeness": {"segment": {"missing": 12, "share": 0.12}, "text": {"missing": 1, "share": 0.01}},
        "validity": [{"rule": "`text` must be there", "checked": 100, "broken": 2}],
        "consistency": [{"what": "same text, different labels", "rows": 3}, {"what": "other", "rows": 0}],
        "uniqueness": {"exact_duplicates": 4, "near_duplicates": 1, "across_splits": 2},
        "balance": quality.balance(pl.Series("label", ["big"] * 90 + ["x"] * 3)),
    }
    assert quality.notes(measured, 100) == [
        "12 % of the rows have no `segment`",
        "2 of 100 rows break the rule “`text` must be there”",
        "3 rows: same text, different labels",
        "5.0 % of the rows repeat another one",
        "2 rows left in train or validation nearly the same as a proving row",
        "label `x` has 3 rows: fewer than 10 is hard to learn",
        "the largest label has 30 times the rows of the smallest",
    ]
