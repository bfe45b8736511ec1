"""Splits keep their shares, never cut a group, and depend on rows and seed only."""

from __future__ import annotations

import random
from collections import Counter

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.errors import DataError
from tunesmith.data.split import draw, draw_groups, with_given

SHARES = {"test": 0.2, "validation": 0.1}


def test_shares_of_each_label_are_kept() -> None:
    labels = ["a"] * 100 + ["b"] * 30 + ["c"] * 7
    splits = draw(labels, [f"r{i}" for i in range(137)], SHARES, 0, rare=True)
    assert Counter(splits) == {"train": 137 - 27 - 14, "test": 27, "validation": 14}
    counts = Counter(zip(labels, splits, strict=True))
    for label, size in Counter(labels).items():
        for split, share in SHARES.items():
            assert abs(counts[label, split] - share * size) < 1


def test_labels_of_under_three_rows_stay_in_train() -> None:
    labels = ["a"] * 20 + ["two"] * 2 + ["one"]
    splits = draw(labels, [f"r{i}" for i in range(23)], SHARES, 0, rare=True)
    assert splits[20:] == ["train"] * 3
    assert Counter(splits) == {"train": 17, "test": 4, "validation": 2}


@given(st.lists(st.sampled_from("abcde"), min_size=3, max_size=60), st.integers(0, 5), st.randoms())
def test_order_of_rows_does_not_matter_and_train_keeps_each_label(
    labels: list[str], seed: int, rng: random.Random
) -> None:
    ids = [f"r{i}" for i in range(len(labels))]
    splits = dict(zip(ids, draw(labels, ids, SHARES, seed, rare=True), strict=True))
    order = list(range(len(ids)))
    rng.shuffle(order)
    again = draw([labels[i] for i in order], [ids[i] for i in order], SHARES, seed, rare=True)
    assert {ids[i]: split for i, split in zip(order, again, strict=True)} == splits
    assert {label for row, label in zip(ids, labels, strict=True) if splits[row] == "train"} == set(labels)


def test_another_seed_draws_other_rows() -> None:
    ids = [f"r{i}" for i in range(200)]
    assert draw(["a"] * 200, ids, SHARES, 0, rare=False) != draw(["a"] * 200, ids, SHARES, 1, rare=False)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30)), min_size=40, max_size=120), st.integers(0, 3))
def test_no_group_is_in_two_splits(rows: list[tuple[str, int]], seed: int) -> None:
    labels, groups = [label for label, _ in rows], [str(group) for _, group in rows]
    splits = draw_groups([[one] for one in labels], groups, SHARES, seed)
    for group in set(groups):
        assert len({split for split, other in zip(splits, groups, strict=True) if other == group}) == 1
    trained = {label for label, split in zip(labels, splits, strict=True) if split == "train"}
    for label, split in zip(labels, splits, strict=True):
        # Only a group that is all of its split may keep a label from train.
        alone = len({group for group, other in zip(groups, splits, strict=True) if other == split}) == 1
        assert label in trained or alone


def test_groups_keep_the_shares_of_labels() -> None:
    rng = random.Random(0)
    groups = [str(rng.randrange(300)) for _ in range(3000)]
    labels = [rng.choice("aaab") for _ in groups]
    splits = draw_groups([[one] for one in labels], groups, SHARES, 0)
    for label, size in Counter(labels).items():
        for split, share in SHARES.items():
            drawn = sum(1 for pair in zip(labels, splits, strict=True) if pair == (label, split))
            assert abs(drawn / size - share) < 0.02


def test_few_groups_fill_every_split() -> None:
    splits = draw_groups(["a"] * 12, ["big"] * 10 + ["x", "y"], SHARES, 0)
    assert Counter(splits) == {"train": 10, "test": 1, "validation": 1}


def test_given_splits_are_read_in_many_spellings() -> None:
    frame = pl.DataFrame({"source_id": ["s", "s", "s", "s", "gold"], "split": ["Train", "dev", " TEST", None, "train"]})
    assert with_given(frame, {"gold": "test"})["_given"].to_list() == ["train", "validation", "test", None, "test"]
    assert with_given(frame.drop("split"), {})["_given"].to_list() == [None] * 5


def test_a_split_with_an_unknown_name_is_refused() -> None:
    with pytest.raises(DataError, match="`fold 3`"):
        with_given(pl.DataFrame({"source_id": ["s"], "split": ["fold 3"]}), {})
