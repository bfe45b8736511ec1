"""What an erasure finds, takes out, counts and searches, on tables made by hand."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.governance.erasure import recount
from tunesmith.governance.erasure.find import find_rows, find_texts
from tunesmith.governance.erasure.person import Person
from tunesmith.governance.erasure.rewrite import facts_of, rewrite
from tunesmith.governance.erasure.scan import Scanner, scan
from tunesmith.governance.erasure.tables import without
from tunesmith.governance.erasure.values import cleaned

HASH = "0123456789abcdef0123456789abcdef"
SECRET = "Maria Quelzor of Umbrahaven wants her money back today, please"


def rows(**more: Any) -> pl.DataFrame:
    table = {
        "row_id": ["a", "b", "c", "d"],
        "source_id": ["s"] * 4,
        "subject": [HASH, "f" * 32, None, "f" * 32],
        "parents": [[], [], ["a"], ["c", "x"]],
        "text": [SECRET, "the card is blocked", "made of the first", "made of that"],
        "label": ["refund", "card", "refund", "card"],
    }
    return pl.DataFrame(table | more, schema_overrides={"parents": pl.List(pl.String)})


@pytest.fixture
def person() -> Person:
    return Person(HASH, "CUST-0815", row_ids={"a", "c", "d"}, texts={SECRET}, words={"Quelzor"})


def written(folder: Path, **tables: pl.DataFrame) -> Path:
    folder.mkdir(parents=True)
    for name, frame in tables.items():
        frame.write_parquet(folder / f"{name}.parquet")
    return folder


def test_rows_made_of_rows_are_found_over_artifacts(tmp_path: Path) -> None:
    one = written(tmp_path / "one", train=rows().filter(pl.col("row_id") != "c"))
    two = written(tmp_path / "two", train=rows().filter(pl.col("row_id") == "c"))
    assert find_rows([one, two], HASH) == {"a", "c", "d"}
    assert find_rows([one, two], "0" * 32) == set()


def test_only_what_nobody_else_has_is_looked_for(tmp_path: Path) -> None:
    frame = rows(
        text=[SECRET, f"he said: {SECRET[:45]}", "Ask Maria", "x"],
        tier=["gold standard 7", "gold standard 7", "a", "b"],
        city=["Umbrahaven 12345", "b", "c", "d"],
    )
    person = Person(HASH, "CUST-0815", row_ids={"a"})
    find_texts(person, [written(tmp_path / "one", train=frame)], ["Umbrahaven"], ["asked once by ZQ-77"])
    assert person.texts == {SECRET, "Umbrahaven 12345", "asked once by ZQ-77"}
    # The beginning of the text and the tier are somebody else's as well.
    assert person.shared == 2 and person.words == {"12345", "ZQ-77"}


def test_a_table_loses_the_rows_and_nothing_else(person: Person) -> None:
    taken = without(rows(because_of=[None, "a", None, None]), person)
    assert taken.frame["row_id"].to_list() == ["b"] and taken.gone["row_id"].to_list() == ["a", "c", "d"]
    assert taken.frame["because_of"].to_list() == [None] and taken.changed == 1
    neighbours = pl.DataFrame({"row_id": ["b", "b"], "train_row_id": ["a", "b"], "text": [SECRET, "fine"]})
    assert without(neighbours, person).frame["text"].to_list() == ["fine"]
    words = pl.DataFrame({"word": ["quelzor", "card"], "mean": [0.5, 0.1]})
    assert without(words, person).frame["word"].to_list() == ["card"]
    refused = pl.DataFrame({"position": [1, 2, 3], "record": ["CUST-0815,x", "CUST-08151,y", f"…{SECRET}…"]})
    assert without(refused, person).frame["record"].to_list() == ["CUST-08151,y"]
    nobody = pl.DataFrame({"row_id": ["b"], "text": ["Quelzor"]})
    assert not without(nobody, person).is_other
    empty = rows().clear()
    assert without(empty, person).frame.schema == empty.schema


def test_values_lose_entries_and_quotes(person: Person) -> None:
    value = {
        "rows": [{"row_id": "a", "x": 1}, {"row_id": "b", "x": 2}],
        "skipped": ["a", "b"],
        "words": [{"word": "quelzor"}, {"word": "card"}],
        "note": f"as in: {SECRET}!",
        "samples": [["Quel", 1.0]],
        "number": 3,
    }
    plain = {"rows": [{"row_id": "b", "x": 2}], "skipped": ["b"], "words": [{"word": "card"}], "number": 3}
    told = cleaned(value, person)
    assert told == {**plain, "note": "as in: [erased]!", "samples": [["Quel", 1.0]]}
    assert cleaned(value, person, quotes=True)["samples"] == []


def test_a_rewritten_dataset_says_what_it_holds(tmp_path: Path, person: Person) -> None:
    folder = written(tmp_path / "old", **{"part-00000": rows()})
    refused = pl.DataFrame({"position": [9], "reason": ["torn"], "record": ["CUST-0815"]})
    refused.write_parquet(folder / "refused.parquet")
    manifest = {"columns": {}, "shards": ["part-00000.parquet"], "rows": 4}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    out = tmp_path / "new"
    out.mkdir()
    made = rewrite(folder, "dataset", person, out, lambda frame, path: frame.write_parquet(path), is_made_of=True)
    assert made.rows == 4 and json.loads((out / "manifest.json").read_text())["rows"] == 1
    facts = {"rows": 4, "rows_read": 5, "refused": {"torn": 1}, "source": "s"}
    assert facts_of("dataset", person, made)(facts) == {
        "rows": 1,
        "rows_read": 1,
        "refused": {},
        "source": "s",
        "erased": 4,
    }
    assert pl.read_parquet(out / "part-00000.parquet")["row_id"].to_list() == ["b"]


@pytest.mark.parametrize(("kind", "is_lost", "is_other"), [("activations", True, True), ("model", False, False)])
def test_numbers_are_lost_and_weights_stay(
    tmp_path: Path, person: Person, kind: str, is_lost: bool, is_other: bool
) -> None:
    folder, out = tmp_path / "old", tmp_path / "new"
    folder.mkdir()
    (folder / "features.safetensors").write_bytes(b"\0" * 64)
    made = rewrite(folder, kind, person, out, lambda frame, path: None, is_made_of=True)
    assert (made.is_lost, made.is_other) == (is_lost, is_other)
    assert not rewrite(folder, kind, person, out, lambda frame, path: None, is_made_of=False).is_other


def test_splits_are_counted_anew_with_what_augmentation_made() -> None:
    facts = {
        "rows": {"read": 9, "kept": 6, "removed": 2, "quarantined": 1},
        "by_source": {"s": {"read": 9, "kept": 6, "removed": 2, "quarantined": 1}},
        "splits": {"train": 6, "validation": 1, "test": 1},
        "label_counts": {"train": {"refund": 4, "card": 2}},
        "removed": {"exact duplicate": 2},
        "augmented": {"rows": 2, "of": 4},
    }
    gone = {"train.parquet": rows().filter(pl.col("row_id").is_in(["a", "c"]))}
    gone["removed.parquet"] = rows(reason=["exact duplicate of b"] * 4).head(1)
    made = recount.of_splits(facts, gone)
    assert made["splits"]["train"] == 4 and made["label_counts"]["train"] == {"refund": 2, "card": 2}
    assert made["augmented"] == {"rows": 1, "of": 3} and made["removed"] == {"exact duplicate": 1}
    assert made["rows"] == {"read": 7, "kept": 5, "removed": 1, "quarantined": 1} == made["by_source"]["s"]
    assert made["erased"] == 3 and facts["splits"]["train"] == 6


def test_the_scan_sees_through_spellings_tables_and_packing(tmp_path: Path) -> None:
    text = 'Ünal said "5 < 6" & left, number 12'
    person = Person(HASH, "CUST-0815", texts={text}, words={"Ünal"})
    (tmp_path / "plain.bin").write_bytes(b"\xff\0" + text.encode() + b"\xff")
    (tmp_path / "page.html").write_text("<p>Ünal said &#34;5 &lt; 6&#34; &amp; left, number 12</p>")
    (tmp_path / "value.json").write_text(json.dumps({"x": text}))
    (tmp_path / "packed.gz").write_bytes(gzip.compress(b"CUST-0815 was here"))
    pl.DataFrame({"x": [[text]]}).write_parquet(tmp_path / "table.parquet")
    (tmp_path / "longer.txt").write_text("CUST-08151 and xCUST-0815")
    (tmp_path / "CUST-0815.txt").write_text("")
    hits, num = scan(tmp_path, person, lambda path: False, lambda path: path.name == "page.html")
    assert num == 7 and {(hit.place, hit.kind) for hit in hits} == {
        ("plain.bin", "text"),
        ("page.html", "text"),
        ("value.json", "text"),
        ("value.json", "word"),
        ("packed.gz", "identifier"),
        ("table.parquet", "text"),
        ("table.parquet", "word"),
        ("CUST-0815.txt", "identifier"),
    }


@settings(max_examples=25, deadline=None)
@given(before=st.integers(0, 40), size=st.integers(50, 90))
def test_nothing_hides_between_two_parts(tmp_path_factory: pytest.TempPathFactory, before: int, size: int) -> None:
    from tunesmith.governance.erasure import scan as module

    path = tmp_path_factory.mktemp("parts") / "x.bin"
    path.write_bytes(b"." * before + SECRET.encode() + b"." * 30)
    kept, module.PART_BYTES = module.PART_BYTES, size
    try:
        assert Scanner(Person(HASH, "", texts={SECRET})).of_file(path)["text"] >= 1
    finally:
        module.PART_BYTES = kept
