"""What people said of old rows becomes their label: in the split they had, counted, and only where people agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.unit.data.context import FakeContext
from tests.unit.data.test_extend import SPLITS, extended, of, prepared, rows, texts
from tests.unit.data.test_prepare import dataset

from tunesmith.core import digests
from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import DataError
from tunesmith.data.corrections import CORRECTED
from tunesmith.data.extend import Extend
from tunesmith.data.extend_config import ExtendConfig


def said(folder: Path, pairs: list[tuple[str | None, Any]], column: str = "label") -> Artifact:
    """A dataset of corrections."""
    columns = {"text": [text for text, _ in pairs], column: [label for _, label in pairs]}
    return dataset(folder, "fixes", **columns)  # type: ignore[arg-type]


def labels(tables: dict[str, pl.DataFrame]) -> dict[str, dict[str, Any]]:
    """Split → text → label."""
    return {name: dict(tables[name].select("text", "label").iter_rows()) for name in SPLITS}


def labels_of(splits: Artifact) -> dict[str, dict[str, Any]]:
    return labels({name: pl.read_parquet(splits.path / f"{name}.parquet") for name in SPLITS})


def test_the_label_that_people_gave_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    before = prepared(tmp_path / "a", {"desk": rows(40)})
    was = labels_of(before)
    (one, two, three, *_), (held, *_), (proof, *_) = (list(was[name]) for name in SPLITS)
    other = {"card": "loan", "loan": "card", "refund": "fee", "transfer": "card"}
    fixes: list[tuple[str | None, Any]] = [
        (f"  {one.upper()}\n", other[was["train"][one]]),
        (one, other[was["train"][one]]),  # a second person says the same
        (two, was["train"][two]),  # it was right
        (three, "card"),
        (three, "fee"),  # people disagree
        (held, other[was["validation"][held]]),
        (proof, other[was["test"][proof]]),
        ("a text that nobody has", "card"),
        (None, "card"),
        (two, None),
    ]
    # The source is read again and still says what it said.
    fresh = prepared(tmp_path / "b", {"desk": rows(40)})
    facts, tables, context = extended(tmp_path / "c", before, fresh, said(tmp_path / "d", fixes))
    expected = {name: dict(of_split) for name, of_split in was.items()}
    for split, text in (("train", one), ("validation", held), ("test", proof)):
        expected[split][text] = other[was[split][text]]
    assert labels(tables) == expected
    told = facts["extended"]
    assert told["corrected"] == {"train": 1, "validation": 1, "test": 1}
    assert told["corrections"] == {
        "read": 10,
        "unreadable": 2,
        "conflicting": 2,
        "out_of_scope": 0,
        "unmatched": 1,
        "confirming": 1,
        "used": 4,
    }
    assert told["corrections"]["read"] == sum(n for name, n in told["corrections"].items() if name != "read")
    assert told["relabelled"] == 0 and told["known"] == 40 and tables["new"].height == 0
    assert context.warnings == ["3 old rows got another label: the one that people gave their text"]
    changed = {row["row_id"]: row for row in tables["corrected"].iter_rows(named=True)}
    ids = {text: id for name in SPLITS for id, text in tables[name].select("row_id", "text").iter_rows()}
    assert changed[ids[proof]] == {
        "row_id": ids[proof],
        "split": "test",
        "was": was["test"][proof],
        "label": other[was["test"][proof]],
    }
    assert len(changed) == 3
    counted = tables["train"]["label"].value_counts()
    assert facts["label_counts"]["train"] == dict(counted.iter_rows())
    assert "fixes" not in facts["by_source"]


def test_equal_words_give_equal_bytes_and_none_leave_them_as_they_were(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two", "none"):
        before = prepared(tmp_path / name / "a", {"desk": rows(30)})
        fresh = prepared(tmp_path / name / "b", {"desk": rows(30), "more": rows(9, 200)})
        fix = said(tmp_path / name / "d", [(texts(1)[0], "fee")]) if name != "none" else None
        extended(tmp_path / name / "c", before, fresh, fix)
        files = sorted((tmp_path / name / "c" / "out" / "splits").iterdir())
        made.append({file.name: digests.of_file(file) for file in files})
    assert made[0] == made[1] and CORRECTED in made[0] and CORRECTED not in made[2]
    differing = {name for name in made[2] if made[0][name] != made[2][name]}
    assert len(differing) == 1 and differing < {f"{name}.parquet" for name in SPLITS}


def test_a_correction_is_news_enough_and_a_quarrel_is_none(tmp_path: Path) -> None:
    before = prepared(tmp_path / "a", {"desk": rows(40)})
    fresh = prepared(tmp_path / "b", {"desk": rows(40)})
    (text,) = texts(1)
    for number, pairs in enumerate(([(text, "loan"), (text, "fee")], [(text, "card")])):
        with pytest.raises(DataError, match="no row is new"):
            extended(tmp_path / f"c{number}", before, fresh, said(tmp_path / f"d{number}", pairs))  # type: ignore[arg-type]
    facts, tables, _ = extended(tmp_path / "e", before, fresh, said(tmp_path / "f", [(text, "passcode")]))
    assert sum(facts["extended"]["corrected"].values()) == 1 and tables["corrected"]["was"].to_list() == ["card"]
    split = of(before)[text]
    assert facts["extended"]["new_labels"] == (["passcode"] if split == "train" else [])


def test_several_labels_and_numbers(tmp_path: Path) -> None:
    a, b, c = texts(3)
    names = [["card", "fee"], ["loan"], []] * 10
    before = prepared(
        tmp_path / "a", {"desk": {"text": texts(30), "label": [json.dumps(one) for one in names]}}, task="tag"
    )
    fix = said(tmp_path / "d", [(a, '["fee", "card"]'), (b, '["limit", "card"]'), (c, '["loan"]'), (c, "[]")])
    facts, tables, _ = extended(tmp_path / "c", before, before, fix, task="tag")
    now = {text: label for one in labels(tables).values() for text, label in one.items()}
    assert (now[a], now[b], now[c]) == (["card", "fee"], ["card", "limit"], [])
    assert facts["extended"]["corrections"] | {"read": 4} == facts["extended"]["corrections"]
    assert [facts["extended"]["corrections"][one] for one in ("confirming", "used", "conflicting")] == [1, 1, 2]

    number = {"desk": {"text": texts(30), "label": [float(at) for at in range(30)]}}
    before = prepared(tmp_path / "e", number, task="regress")
    fix = said(tmp_path / "f", [(a, 0.0), (b, 2.5), (c, float("nan"))])
    facts, tables, _ = extended(tmp_path / "g", before, before, fix, task="regress")
    now = {text: label for one in labels(tables).values() for text, label in one.items()}
    assert (now[a], now[b], now[c]) == (0.0, 2.5, 2.0)
    assert [facts["extended"]["corrections"][one] for one in ("confirming", "used", "unreadable")] == [1, 1, 1]
    assert facts["target"]["mean"] == pytest.approx(tables["train"]["label"].mean())


def test_several_targets(tmp_path: Path) -> None:
    a, b, c = texts(3)
    several: dict[str, Any] = {"task": "regress", "targets": ["joy", "anger"]}
    joy, anger = [float(at % 5) for at in range(30)], [float(at % 7) for at in range(30)]
    columns = {"text": texts(30), "label:joy": joy, "label:anger": anger}
    before = prepared(tmp_path / "a", {"desk": columns}, **several)
    fixes = {"text": [a, b, c], "label:joy": [0.0, 9.0, None], "label:anger": [0.0, 1.0, 4.0]}
    facts, tables, _ = extended(tmp_path / "c", before, before, dataset(tmp_path / "d", "fixes", **fixes), **several)  # type: ignore[arg-type]
    now = {text: label for one in labels(tables).values() for text, label in one.items()}
    assert (now[a], now[b], now[c]) == ([0.0, 0.0], [9.0, 1.0], [2.0, 2.0])
    assert [facts["extended"]["corrections"][one] for one in ("confirming", "used", "unreadable")] == [1, 1, 1]


def test_rows_out_of_scope_stay_there_and_none_join_them(tmp_path: Path) -> None:
    strange = {"text": texts(10, 200), "label": ["oos"] * 10}
    before = prepared(tmp_path / "a", {"desk": rows(40), "strange": strange}, outside="oos")
    (inside, fixed), (aside, *_) = texts(2), texts(1, 200)
    fix = said(tmp_path / "d", [(inside, "oos"), (fixed, "fee"), (aside, "card")])
    facts, tables, _ = extended(tmp_path / "c", before, before, fix)
    now = {text: label for one in labels(tables).values() for text, label in one.items()}
    assert now[inside] == "card" and now[fixed] == "fee" and aside not in now
    assert set(tables["outside"]["label"]) == {"oos"} and tables["outside"].height == 10
    assert [facts["extended"]["corrections"][one] for one in ("out_of_scope", "used", "unmatched")] == [1, 1, 1]


def test_what_augmentation_made_of_a_corrected_row_follows_it(tmp_path: Path) -> None:
    before = prepared(tmp_path / "a", {"desk": rows(40)})
    train = pl.read_parquet(before.path / "train.parquet")
    first, second = train.head(2).iter_rows(named=True)
    made = train.head(2).with_columns(
        (pl.col("text") + " mistpyed").alias("text"),
        pl.concat_list("row_id").alias("parents"),
        (pl.col("row_id") + "#1").alias("row_id"),
    )
    pl.concat([train, made.select(train.columns)]).write_parquet(before.path / "train.parquet")
    fresh = prepared(tmp_path / "b", {"desk": rows(40)})
    context = FakeContext(tmp_path / "c")
    given = {"before": before, "splits": fresh, "corrections": said(tmp_path / "d", [(first["text"], "fee")])}
    # Rows that augmentation made are in no count of what was read.
    Extend(ExtendConfig(task="classify")).run(given, context)
    tables = {file.stem: pl.read_parquet(file) for file in (context.out / "splits").glob("*.parquet")}
    now = labels(tables)["train"]
    assert now[first["text"]] == now[f"{first['text']} mistpyed"] == "fee"
    assert now[second["text"]] == now[f"{second['text']} mistpyed"] == second["label"]
    assert tables["corrected"].height == 2
