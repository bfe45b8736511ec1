"""Repeated rows leave train, never a test set, and no pair is called nearly the same that is not."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.data.dedupe import remove_exact, remove_leaks, remove_near, remove_shared_groups, with_key
from tunesmith.data.near import NearTexts
from tunesmith.data.near_keys import num_bands
from tunesmith.data.sift import Sifted

WORDS = [f"w{i}" for i in range(3000)]


def sift(*rows: tuple[str, Any] | tuple[str, Any, str | None], **columns: list[Any]) -> Sifted:
    full = [(*row, None)[:3] for row in rows]
    size = len(full)
    frame = pl.DataFrame(
        {
            "row_id": [f"r{i}" for i in range(size)],
            "source_id": ["s"] * size,
            "subject": pl.Series([None] * size, dtype=pl.String),
            "parents": pl.Series([[]] * size, dtype=pl.List(pl.String)),
            "text": [row[0] for row in full],
            "label": [row[1] for row in full],
            "_given": pl.Series([row[2] for row in full], dtype=pl.String),
            **columns,
        }
    )
    return Sifted(with_key(frame), ["text", "label"])


def fates(sifted: Sifted) -> dict[str, tuple[str, str | None]]:
    removed = {row: (why, by) for row, why, by in sifted.removed().select("row_id", "reason", "because_of").iter_rows()}
    return removed | {row: (why, None) for row, why in sifted.quarantined().select("row_id", "reason").iter_rows()}


def test_the_first_of_equal_rows_stays() -> None:
    sifted = sift(("Hello  World", "a"), ("other", "b"), ("hello world", "a"), ("HELLO WORLD", "a"))
    assert remove_exact(sifted) == 0
    assert sifted.kept["row_id"].to_list() == ["r0", "r1"]
    assert fates(sifted) == {"r2": ("exact duplicate", "r0"), "r3": ("exact duplicate", "r0")}


def test_one_text_with_several_labels_is_nobodys_example() -> None:
    sifted = sift(("same", "b"), ("Same", "a"), ("same", "b"), ("x", "a"))
    remove_exact(sifted)
    assert sifted.kept["row_id"].to_list() == ["r3"]
    assert set(fates(sifted).values()) == {("same text, different labels: a, b", None)}
    assert sifted.reasons() == {"same text, different labels": 3}


def test_a_given_test_set_loses_nothing() -> None:
    sifted = sift(
        ("one", "a", "test"), ("one", "b", "test"), ("one", "a"), ("one", "c"), ("two", "a"),
        ("two", "a", "validation"), ("one", "a", "validation"),
    )  # fmt: skip
    remove_leaks(sifted)
    assert remove_exact(sifted) == 1
    assert sifted.kept["row_id"].to_list() == ["r0", "r1", "r5"]
    assert fates(sifted) == {
        "r2": ("same text as a test row", "r0"),
        "r3": ("same text as a test row", "r0"),
        "r6": ("same text as a test row", "r0"),
        "r4": ("same text as a validation row", "r5"),
    }


def test_groups_of_a_given_test_set_leave_train() -> None:
    rows = [("a", "x", "test"), ("b", "x"), ("c", "x", "validation"), ("d", "x"), ("e", "x"), ("f", "x", "validation")]
    sifted = sift(*rows, customer=["1", "1", "2", "2", None, "1"])
    remove_shared_groups(sifted, "customer")
    assert sifted.kept["row_id"].to_list() == ["r0", "r2", "r4"]
    assert fates(sifted)["r3"] == ("same `customer` as a validation row", "r2")


def sentence(seed: int, size: int = 20) -> list[str]:
    return random.Random(seed).sample(WORDS, size)


def test_near_duplicates_of_the_same_label_leave_train() -> None:
    words = sentence(1)
    text, near, far = " ".join(words), " ".join([*words[:19], "other"]), " ".join([*words[:17], "a", "b", "c"])
    sifted = sift((text, "a"), (near, "a"), (near, "b"), (far, "a"), (text + "!!!", "a"))
    remove_near(sifted, 0.9, "classify")
    assert fates(sifted) == {"r1": ("near duplicate", "r0"), "r4": ("near duplicate", "r0")}


def test_near_duplicates_of_given_rows_leave_train_whatever_their_label() -> None:
    words = sentence(2)
    text, near = " ".join(words), " ".join([*words[:19], "other"])
    sifted = sift((near, "b"), (text, "a", "test"), (near, "a", "test"), (near, "a", "validation"), (text, "c"))
    remove_near(sifted, 0.9, "classify")
    assert sifted.kept["row_id"].to_list() == ["r1", "r2"]
    assert {why for why, _ in fates(sifted).values()} == {"nearly the same text as a test row"}


def test_for_numbers_the_value_of_a_near_duplicate_does_not_matter() -> None:
    words = sentence(3)
    sifted = sift((" ".join(words), 1.0), (" ".join([*words[:19], "other"]), 2.0))
    remove_near(sifted, 0.9, "regress")
    assert sifted.kept["row_id"].to_list() == ["r0"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ok then", "ok then!"),
        ("move money from savings to checking", "move money from checking to savings"),
        ("how do i activate my card", "how do i not activate my card"),
        ("where is my order 4711", "where is my order 4712"),
    ],
)
def test_short_texts_that_differ_are_not_nearly_the_same(one: str, other: str) -> None:
    sifted = sift((one, "a"), (other, "a"))
    remove_near(sifted, 0.9, "classify")
    assert sifted.kept.height == 2


def test_short_texts_that_differ_in_punctuation_are_nearly_the_same() -> None:
    sifted = sift(("where is my order", "a"), ("where is my order???", "a"))
    remove_near(sifted, 0.9, "classify")
    assert sifted.kept.height == 1


def test_planted_near_duplicates_are_found_and_nothing_else() -> None:
    texts = [" ".join(sentence(seed)) for seed in range(1000)]
    planted = [" ".join([*sentence(seed)[:19], "changed"]) for seed in range(200)]
    near = NearTexts(pl.Series([*texts, *planted]), 0.9)
    found = near.repeats(near.candidates, lambda row, earlier: True)
    assert found == {1000 + seed: seed for seed in range(200)}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcdefghijklmn"), max_size=14).map(" ".join), max_size=12),
    st.sampled_from([0.5, 0.7, 0.9, 1.0]),
)
def test_no_pair_below_the_threshold_is_called_nearly_the_same(texts: list[str], threshold: float) -> None:
    def shingles(text: str) -> set[Any]:
        words = text.split()
        if len(words) < 4:
            return set()
        return set(words) if len(words) >= 10 else set(pairwise(words))

    near = NearTexts(pl.Series(texts, dtype=pl.String), threshold)
    for row, earlier in near.repeats(near.candidates, lambda row, earlier: True).items():
        a, b = shingles(texts[row]), shingles(texts[earlier])
        assert len(a & b) / len(a | b) >= threshold
    # Equal texts always share every band.
    places = {}
    found = near.repeats(near.candidates, lambda row, earlier: True)
    for row, text in enumerate(texts):
        if text in places and len(text.split()) >= 4:
            assert row in found
        places.setdefault(text, row)


def test_pairs_at_the_threshold_are_candidates_with_999_in_1000() -> None:
    for threshold in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0):
        bands = num_bands(threshold)
        assert 1 - (1 - threshold ** (128 // bands)) ** bands >= 0.999
