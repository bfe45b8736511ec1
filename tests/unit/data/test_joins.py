"""Tables that add columns: found by key, unmatched rows counted, ambiguous keys refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError
from tests.unit.data.test_prepare import dataset, messages, prepare

from tunesmith.core.errors import DataError, RecipeError
from tunesmith.data.joins_config import JoinConfig

KEYS = [f"c{i % 12}" for i in range(60)]


def table(folder: Path, **columns: list[Any]) -> Any:
    size = len(next(iter(columns.values())))
    # A dataset of the test's builder has texts; a joined table needs none.
    return dataset(folder, "customers", **{"customer": [f"c{i}" for i in range(size)], **columns})


def join(how: str = "left") -> list[dict[str, Any]]:
    return [{"table": "customers", "on": ["customer"], "how": how}]


def test_columns_are_found_by_key(tmp_path: Path) -> None:
    sources = {
        "crm": dataset(tmp_path, "crm", **messages(60), customer=KEYS),
        "customers": table(tmp_path, tier=["gold ", "silver"] * 5, since=[2000 + i for i in range(10)]),
    }
    facts, _, tables = prepare(tmp_path / "out", sources, joins=join())
    rows = pl.concat([tables["train"], tables["validation"], tables["test"]])
    assert facts["rows"]["read"] == 60 and set(facts["by_source"]) == {"crm"}
    for row in rows.iter_rows(named=True):
        number = int(row["customer"][1:])
        expected = ("gold" if number % 2 == 0 else "silver", 2000 + number) if number < 10 else (None, None)
        assert (row["tier"], row["since"]) == expected
        assert row["parents"] == ([f"customers-{number}"] if number < 10 else [])
    counts = {one["outcome"]: one["rows"] for one in facts["changes"]}
    assert counts == {"no row for the key: columns missing": 10, "found": 50}


def test_an_inner_join_puts_rows_without_a_match_in_quarantine(tmp_path: Path) -> None:
    sources = {
        "crm": dataset(tmp_path, "crm", **messages(60), customer=[*KEYS[:-1], None]),
        "customers": table(tmp_path, tier=["gold"] * 12),
    }
    facts, _, tables = prepare(tmp_path / "out", sources, joins=join("inner"))
    assert facts["quarantined"] == {"no row of `customers` has its `customer`": 1}
    assert tables["quarantine"]["reason"].to_list() == ["no row of `customers` has its `customer`: missing"]


def test_the_label_may_come_from_a_table(tmp_path: Path) -> None:
    rows = messages(60)
    sources = {
        "crm": dataset(tmp_path, "crm", text=rows["text"], customer=[f"c{i}" for i in range(60)]),
        "customers": table(tmp_path, label=rows["label"]),
    }
    facts, _, _ = prepare(tmp_path / "out", sources, joins=join())
    assert facts["labels"] == ["card", "loan", "refund"]


def test_keys_of_numbers_and_texts_meet(tmp_path: Path) -> None:
    sources = {
        "crm": dataset(tmp_path, "crm", **messages(60), customer=[float(i % 12) for i in range(60)]),
        "customers": dataset(tmp_path, "customers", customer=[f" {i}" for i in range(12)], tier=["gold"] * 12),
    }
    facts, _, _ = prepare(tmp_path / "out", sources, joins=join())
    assert {one["outcome"]: one["rows"] for one in facts["changes"]} == {"found": 60}


def test_a_key_that_occurs_twice_is_refused_with_examples(tmp_path: Path) -> None:
    sources = {
        "crm": dataset(tmp_path, "crm", **messages(60), customer=KEYS),
        "customers": dataset(tmp_path, "customers", customer=["c1", "c2", "c1 ", None, None], tier=["a"] * 5),
    }
    with pytest.raises(DataError, match=r"1 key occurs more than once[\s\S]*c1 \(2 times\)"):
        prepare(tmp_path / "out", sources, joins=join())


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"custommer": ["c1"], "tier": ["gold"]}, "the table `customers` has no key `customer`"),
        ({"customer": ["c1"], "label": ["gold"]}, "both have a column `label`"),
    ],
)
def test_tables_that_do_not_fit(columns: dict[str, list[Any]], words: str, tmp_path: Path) -> None:
    sources = {
        "crm": dataset(tmp_path, "crm", **messages(60), customer=KEYS),
        "customers": dataset(tmp_path, "customers", **columns),
    }
    with pytest.raises(RecipeError, match=words):
        prepare(tmp_path / "out", sources, joins=join())


def test_rows_without_the_key_column(tmp_path: Path) -> None:
    sources = {"crm": dataset(tmp_path, "crm", **messages(60)), "customers": table(tmp_path, tier=["gold"])}
    with pytest.raises(RecipeError, match="the join with `customers` names the column `customer`"):
        prepare(tmp_path / "out", sources, joins=join())


@pytest.mark.parametrize(
    ("columns", "words"), [({"tier": "tier"}, "has no key `id`"), ({"id": "id"}, "adds no column")]
)
def test_a_join_that_says_too_little(columns: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        JoinConfig.model_validate(
            {"table": {"kind": "csv", "name": "t", "path": "t.csv", "columns": columns}, "on": "id"}
        )
