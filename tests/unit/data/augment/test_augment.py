"""Rows made from rows: what changes, what never may, and that every turn is counted."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError
from tests.unit.data.context import FakeContext

from tunesmith.core.errors import DataError
from tunesmith.data.augment.config import AugmentConfig, SlotsConfig, SynonymsConfig
from tunesmith.data.augment.slots import Slots
from tunesmith.data.augment.stage import Augment
from tunesmith.data.augment.synonyms import Synonyms


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    full = [{"source_id": "s", "subject": "p", "parents": [], "label": "a", "city": None, **row} for row in rows]
    schema = {"row_id": pl.String, "source_id": pl.String, "subject": pl.String, "parents": pl.List(pl.String)}
    schema |= {"text": pl.String, "label": pl.String, "city": pl.String}
    return pl.DataFrame(full, schema=schema)


def _run(
    folder: Path, train: list[dict[str, Any]], *methods: Any, test: list[dict[str, Any]] | None = None, **more: Any
) -> tuple[pl.DataFrame, dict[str, Any]]:
    given = FakeContext(folder / "given", seed=3)
    (given.out / "splits").mkdir()
    frames = {"train": train, "validation": [], "test": test or []}
    for name, rows in frames.items():
        _frame(rows).write_parquet(given.out / "splits" / f"{name}.parquet")
    facts = {"splits": {name: len(rows) for name, rows in frames.items()}}
    context = FakeContext(folder / "own", seed=3)
    config = AugmentConfig.model_validate({"methods": methods, **more})
    made = Augment(config).run({"splits": given.artifact("splits", "splits", facts)}, context)
    assert pl.read_parquet(context.out / "splits" / "test.parquet").height == len(frames["test"])
    return pl.read_parquet(context.out / "splits" / "train.parquet"), dict(made["splits"])


TRAIN = [{"row_id": f"r{at}", "text": f"please send the parcel number {at} again today"} for at in range(20)]


def test_every_turn_is_a_row_or_counted(tmp_path: Path) -> None:
    train, facts = _run(tmp_path, TRAIN, "typos", "punctuation", copies=3)
    typos, punctuation = facts["augmented"]["methods"]
    for one in (typos, punctuation):
        assert one["rows"] + sum(one["left_out"].values()) == 60
    assert punctuation == {"method": "punctuation", "rows": 0, "left_out": {"nothing to change": 60}, "examples": []}
    assert facts["augmented"]["rows"] == train.height - 20 == facts["splits"]["train"] - 20 > 20


def test_a_new_row_names_its_parent_and_keeps_the_rest(tmp_path: Path) -> None:
    train, _ = _run(tmp_path, TRAIN, "typos")
    assert train.head(20).equals(_frame(TRAIN))
    texts = {row["row_id"]: row["text"] for row in TRAIN}
    new = train.tail(-20)
    assert new["row_id"].n_unique() == new.height and not set(new["row_id"]) & set(texts)
    for row in new.iter_rows(named=True):
        (parent,) = row["parents"]
        assert texts[parent] != row["text"] and (row["label"], row["subject"], row["source_id"]) == ("a", "p", "s")


def test_no_row_is_made_that_is_there_already_least_of_all_in_the_test_rows(tmp_path: Path) -> None:
    train = [{"row_id": "r", "text": "Refund, please!"}]
    with pytest.raises(DataError, match="made no row"):
        _run(tmp_path, train, "punctuation", test=[{"row_id": "t", "text": "refund  please"}])


def test_another_letter_case_is_another_row(tmp_path: Path) -> None:
    train, facts = _run(tmp_path, TRAIN, "case")
    assert facts["augmented"]["rows"] >= 8 and len(set(train["text"])) == train.height


def test_a_row_that_is_added_changes_no_other_ones(tmp_path: Path) -> None:
    one, _ = _run(tmp_path / "one", TRAIN, "typos")
    two, _ = _run(tmp_path / "two", [{"row_id": "first", "text": "another text stands here"}, *TRAIN], "typos")
    texts = dict(zip(two["row_id"], two["text"], strict=True))
    assert all(texts[row["row_id"]] == row["text"] for row in one.iter_rows(named=True))


def test_only_rare_labels_where_asked(tmp_path: Path) -> None:
    rare = [{"row_id": f"x{at}", "text": f"an invoice from last month {at}", "label": "rare"} for at in range(4)]
    train, _ = _run(tmp_path, [*TRAIN, *rare], "typos", labels_below=5)
    assert set(train.tail(-24)["label"]) == {"rare"}


def _synonyms(folder: Path, lines: str, strength: float = 1.0) -> Synonyms:
    path = folder / "synonyms.txt"
    path.write_text(lines, "utf-8")
    return Synonyms(SynonymsConfig(path=str(path), strength=strength))


def _text(method: Any, text: str, **columns: Any) -> Any:
    return method.changed({"text": text, **columns}, random.Random(0)).get("text")


def test_synonyms_keep_letter_case_and_prefer_the_longest_phrase(tmp_path: Path) -> None:
    method = _synonyms(tmp_path, "# banking\nmoney back, refund\ncard, plastic\nmoney, cash\n")
    assert _text(method, "Money back on my CARD!") == "Refund on my PLASTIC!"
    assert _text(method, "discard the cards") is None


def test_a_share_of_the_synonyms_one_at_least(tmp_path: Path) -> None:
    method = _synonyms(tmp_path, "a1, b1\na2, b2\na3, b3\na4, b4", strength=0.5)
    changed = _text(method, "a1 a2 a3 a4")
    assert sum(word.startswith("b") for word in changed.split()) == 2


@pytest.mark.parametrize(("lines", "words"), [("alone", "line 1"), ("", "empty"), ("# only this", "empty")])
def test_a_file_of_synonyms_that_is_none_is_refused(tmp_path: Path, lines: str, words: str) -> None:
    with pytest.raises(DataError, match="synonyms") as caught:
        _synonyms(tmp_path, lines)
    assert words in f"{caught.value.what} {caught.value.seen}"


def test_a_missing_file_of_synonyms_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        Synonyms(SynonymsConfig(path=str(tmp_path / "none.txt")))


def test_slots_replace_whole_values_the_longest_first() -> None:
    method = Slots(SlotsConfig(values={"city": ("New York", "York", "Oslo")}))
    assert _text(method, "from new york to here") in ("from York to here", "from Oslo to here")
    assert _text(method, "from Yorkshire") is None


def test_slots_from_columns_change_the_column_too() -> None:
    train = _frame(
        [{"row_id": "1", "text": "to Oslo", "city": "Oslo"}, {"row_id": "2", "text": "to Rome", "city": "Rome"}]
    )
    method = Slots(SlotsConfig(value_column="city"))
    method.fit(train)
    assert method.changed(train.row(0, named=True), random.Random(0)) == {"text": "to Rome", "city": "Rome"}
    assert method.changed({"text": "to the sea", "city": None}, random.Random(0)) == {}


def test_slots_name_a_column_that_is_not_there() -> None:
    with pytest.raises(DataError, match="`town`"):
        Slots(SlotsConfig(value_column="town")).fit(_frame(TRAIN))


@pytest.mark.parametrize(
    "config",
    [{"methods": []}, {"methods": ["slots"]}, {"methods": [{"kind": "slots", "values": {"city": ["Oslo"]}}]}],
)
def test_what_augments_nothing_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AugmentConfig.model_validate(config)
