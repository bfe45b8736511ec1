"""Splits by time: nothing is learned from the future, moments and groups stay whole, and what has no time is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.unit.data.test_prepare import dataset, messages, prepare

from tunesmith.core.errors import DataError, RecipeError
from tunesmith.data.by_time import divided
from tunesmith.data.prepare_config import SplitConfig

DAYS = [f"2024-{1 + i // 28:02d}-{1 + i % 28:02d}" for i in range(100)]


def order(split: str) -> int:
    return ("train", "validation", "test").index(split)


def test_the_newest_rows_prove(tmp_path: Path) -> None:
    source = dataset(tmp_path, "s", **messages(100), created=DAYS)
    facts, _, tables = prepare(tmp_path / "out", {"s": source}, split={"by_time": "created"})
    assert facts["splits"] == {"train": 70, "validation": 10, "test": 20}
    assert tables["train"]["created"].max() < tables["validation"]["created"].min()  # type: ignore[operator]
    assert tables["validation"]["created"].max() < tables["test"]["created"].min()  # type: ignore[operator]
    assert facts["split_by"] == "validation 10 % and test 20 %: the newest rows by `created`"


@pytest.mark.parametrize("given_split", ["test", "validation"])
def test_a_given_split_stays_and_the_rest_is_divided(given_split: str, tmp_path: Path) -> None:
    rows = messages(100)
    source = dataset(tmp_path, "s", **rows, created=DAYS, split=[given_split] * 10 + ["train"] * 90)
    _, _, tables = prepare(tmp_path / "out", {"s": source}, split={"by_time": "created"})
    other = "validation" if given_split == "test" else "test"
    assert set(tables[given_split]["created"]) == set(DAYS[:10])
    assert tables["train"]["created"].max() < tables[other]["created"].min()  # type: ignore[operator]


def test_numbers_are_times_too(tmp_path: Path) -> None:
    source = dataset(tmp_path, "s", **messages(50), epoch=[1_700_000_000 + i for i in range(50)])
    _, _, tables = prepare(tmp_path / "out", {"s": source}, split={"by_time": "epoch"})
    assert sorted(tables["test"]["epoch"]) == [1_700_000_000 + i for i in range(40, 50)]


def test_rows_without_a_time_are_in_quarantine(tmp_path: Path) -> None:
    source = dataset(tmp_path, "s", **messages(50), created=[*DAYS[:46], None, " ", "soon", "2024-02-30"])
    facts, _, tables = prepare(tmp_path / "out", {"s": source}, split={"by_time": "created"})
    assert facts["quarantined"] == {
        "`created` is missing: cannot be split by time": 2, "`created` is no date: cannot be split by time": 2,
    }  # fmt: skip
    assert "`created` is no date: cannot be split by time: soon" in tables["quarantine"]["reason"].to_list()


def test_a_column_that_is_no_date_is_refused(tmp_path: Path) -> None:
    source = {"s": dataset(tmp_path, "s", **messages(50), created=["last week"] * 30 + DAYS[:20])}
    with pytest.raises(DataError, match=r"30 of 50 values are no date[\s\S]*`last week`[\s\S]*normalise") as caught:
        prepare(tmp_path / "a", source, split={"by_time": "created"})
    assert "kind: date" in str(caught.value.next)
    with pytest.raises(RecipeError, match=r"`split\.by_time` names the column `creatd`"):
        prepare(tmp_path / "b", source, split={"by_time": "creatd"})


def test_one_moment_cannot_be_divided(tmp_path: Path) -> None:
    source = {"s": dataset(tmp_path, "s", **messages(50), created=["2024-01-01"] * 40 + ["2024-01-02"] * 10)}
    with pytest.raises(DataError, match="2 different moments"):
        prepare(tmp_path / "a", source, split={"by_time": "created"})


def test_time_and_shares_of_a_column_cannot_both_be_kept() -> None:
    with pytest.raises(ValidationError, match="leave `stratify_by` or `by_time` out"):
        SplitConfig(by_time="created", stratify_by="label")


def test_groups_stay_together_by_their_newest_row(tmp_path: Path) -> None:
    groups = [f"g{i % 25}" if i < 90 else f"late{i}" for i in range(100)]
    source = dataset(tmp_path, "s", **messages(100), created=DAYS, customer=groups)
    config: dict[str, Any] = {"by_time": "created", "group_by": "customer"}
    _, _, tables = prepare(tmp_path / "out", {"s": source}, split=config)
    newest = {group: max(day for day, one in zip(DAYS, groups, strict=True) if one == group) for group in groups}
    seen = {split: {newest[group] for group in tables[split]["customer"]} for split in ("train", "validation", "test")}
    assert max(seen["train"]) < min(seen["validation"]) and max(seen["validation"]) < min(seen["test"])
    # So nothing that is trained on is newer than any group that proves.
    assert tables["train"]["created"].max() <= max(seen["train"])  # type: ignore[operator]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 15), min_size=3, max_size=80),
    st.booleans(),
    st.sampled_from([{"test": 0.2}, {"test": 0.2, "validation": 0.1}, {"test": 0.6, "validation": 0.3}]),
)
def test_any_times_are_divided_whole_and_in_order(times: list[int], grouped: bool, shares: dict[Any, float]) -> None:
    pool = pl.DataFrame({"t": times})
    groups = [f"g{row % 7}" for row in range(len(times))] if grouped else None
    names = groups or [str(time) for time in times]
    newest = {name: max(t for t, n in zip(times, names, strict=True) if n == name) for name in names}
    if len(set(newest.values())) < len(shares) + 1:
        with pytest.raises(DataError):
            divided(pool, "t", groups, shares)
        return
    splits = divided(pool, "t", groups, shares)
    assert set(splits) == {"train", *shares}
    of_group = {name: {s for s, n in zip(splits, names, strict=True) if n == name} for name in names}
    assert all(len(found) == 1 for found in of_group.values())
    ranked = sorted(newest, key=lambda name: newest[name])
    assert [order(min(of_group[name])) for name in ranked] == sorted(order(min(of_group[name])) for name in ranked)
