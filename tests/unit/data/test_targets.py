"""Labels of rows with several names or numbers, rows out of scope, and splits in which every label keeps its share."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.data.context import FakeContext

from tunesmith.core.errors import DataError
from tunesmith.data.config import IngestConfig
from tunesmith.data.ingest import Ingest
from tunesmith.data.prepare import Prepare
from tunesmith.data.prepare_config import PrepareConfig
from tunesmith.data.stratify import draw_tags
from tunesmith.data.targets import flag_of, joined_names, names_of

WORDS = ["alpha", "bravo", "delta", "echo", "golf", "hotel", "india", "kilo", "lima", "mike"]


def _text(row: int) -> str:
    return f"{WORDS[row % 10]} {WORDS[row // 10 % 10]} number {row} of the ward and {WORDS[row * 7 % 10]}"


def _prepared(tmp_path: Path, lines: list[str], columns: dict[str, Any], **config: Any) -> tuple[Path, dict[str, Any]]:
    """Rows as CSV through ingest and prepare: the folder and the facts of the splits."""
    tmp_path.mkdir(exist_ok=True)
    file = tmp_path / "rows.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    ingest = FakeContext(tmp_path / "ingest")
    source = {"kind": "csv", "name": "rows", "path": str(file), "columns": columns}
    facts = Ingest(IngestConfig.model_validate({"source": source})).run({}, ingest)["dataset"]
    prepare = FakeContext(tmp_path / "prepare")
    made = Prepare(PrepareConfig.model_validate(config)).run(
        {"rows": ingest.artifact("dataset", "dataset", facts)}, prepare
    )
    return prepare.out / "splits", dict(made["splits"])


def _all(folder: Path) -> pl.DataFrame:
    return pl.concat(pl.read_parquet(folder / f"{name}.parquet") for name in ("train", "validation", "test"))


def test_a_column_a_label_becomes_a_sorted_list(tmp_path: Path) -> None:
    lines = ["note,staff,food,delay"]
    lines += [f"{_text(row)},{'yes' if row % 2 else ''},{1 if row % 3 == 0 else 0},{'x' if row % 4 == 0 else 'no'}"
              for row in range(60)]  # fmt: skip
    lines.append(f"{_text(99)},maybe,1,0")
    columns = {"text": "note", "label": ["staff", "food", "delay"]}
    folder, facts = _prepared(tmp_path, lines, columns, task="tag", clean={"near_duplicates": None})
    frame = _all(folder)
    assert frame.schema["label"] == pl.List(pl.String)
    for text, labels in frame.select("text", "label").iter_rows():
        row = int(text.split("number ")[1].split()[0])
        wanted = [("delay", row % 4 == 0), ("food", row % 3 == 0), ("staff", bool(row % 2))]
        assert labels == [name for name, has in wanted if has]
    assert facts["labels"] == ["delay", "food", "staff"]
    assert facts["quarantined"] == {"label cannot be read": 1}
    quarantine = pl.read_parquet(folder / "quarantine.parquet")
    assert quarantine["reason"].to_list() == ["label cannot be read: `staff` is maybe"]
    assert sum(facts["labels_per_row"].values()) == facts["splits"]["train"]
    assert facts["rows"]["read"] == 61 == facts["rows"]["kept"] + facts["rows"]["quarantined"]


def test_names_in_one_cell_and_rows_without_any(tmp_path: Path) -> None:
    cells = ['"[""b"", ""a""]"', "a|b", "c| a |a", "", '"[""a"" oops"']
    lines = ["text,label", *(f"{_text(row)},{cells[row % 4]}" for row in range(40)), f"{_text(77)},{cells[4]}"]
    columns = {"text": "text", "label": "label"}
    folder, facts = _prepared(tmp_path / "keep", lines, columns, task="tag", clean={"near_duplicates": None})
    assert Counter(map(tuple, _all(folder)["label"])) == {("a", "b"): 20, ("a", "c"): 10, (): 10}
    assert facts["quarantined"] == {"label cannot be read": 1}
    none: dict[str, Any] = {"labels": {"none": "quarantine"}, "clean": {"near_duplicates": None}}
    _, facts = _prepared(tmp_path / "out", lines, columns, task="tag", **none)
    assert facts["quarantined"] == {"row has no label": 10, "label cannot be read": 1}


def test_rare_labels_are_taken_off_and_named_or_refused(tmp_path: Path) -> None:
    lines = ["text,label", *(f"{_text(row)},{'a|rare' if row == 3 else 'a' if row % 2 else 'b'}" for row in range(40))]
    columns = {"text": "text", "label": "label"}
    labels = {"min_rows": 2}
    more: dict[str, Any] = {"task": "tag", "clean": {"near_duplicates": None}}
    folder, facts = _prepared(tmp_path / "drop", lines, columns, labels=labels, **more)
    assert facts["labels"] == ["a", "b"] and set(_all(folder)["label"].explode()) == {"a", "b"}
    assert facts["notes"] == ["labels with fewer than 2 rows were taken off 1 row: `rare`"]
    with pytest.raises(DataError, match="fewer than 2 rows: `rare`"):
        _prepared(tmp_path / "refuse", lines, columns, labels={**labels, "rare": "refuse"}, **more)


def test_equal_sets_of_labels_are_duplicates_and_other_sets_are_a_clash(tmp_path: Path) -> None:
    rows = [f"{_text(row)},{'a' if row % 2 else 'b'}" for row in range(30)]
    rows += ["The food was cold,b|a", "the food was cold,a|b", "the staff was kind,a", "the staff was kind,a|b"]
    folder, facts = _prepared(
        tmp_path, ["text,label", *rows], {"text": "text", "label": "label"}, task="tag", clean={"near_duplicates": None}
    )
    assert facts["removed"] == {"exact duplicate": 1}
    assert facts["quarantined"] == {"same text, different labels": 2}
    reasons = pl.read_parquet(folder / "quarantine.parquet")["reason"].to_list()
    assert reasons == ['same text, different labels: ["a", "b"], ["a"]'] * 2


def test_several_targets_are_lists_of_numbers_in_the_recipes_order(tmp_path: Path) -> None:
    lines = [
        "text,V,A",
        *(f"{_text(row)},{row / 4},{-row}" for row in range(30)),
        f"{_text(50)},1.5,",
        f"{_text(51)},x,2",
    ]
    columns = {"text": "text", "label": ["V", "A"]}
    clean = {"near_duplicates": None}
    folder, facts = _prepared(tmp_path, lines, columns, task="regress", targets=("V", "A"), clean=clean)
    frame = _all(folder)
    assert frame.schema["label"] == pl.List(pl.Float64)
    for text, values in frame.select("text", "label").iter_rows():
        row = int(text.split("number ")[1].split()[0])
        assert values == [row / 4, float(-row)]
    assert facts["targets"] == ["V", "A"] and set(facts["scale"]["A"]) == {"mean", "std", "min", "max"}
    assert facts["quarantined"] == {"target `A` is missing": 1, "target `V` is not a number": 1}


def test_rows_out_of_scope_are_never_trained_on(tmp_path: Path) -> None:
    labels = ["a", "b", "elsewhere"]
    lines = ["text,label", *(f"{_text(row)},{labels[row % 3]}" for row in range(90))]
    columns = {"text": "text", "label": "label"}
    more: dict[str, Any] = {"task": "classify", "clean": {"near_duplicates": None}, "outside": "elsewhere"}
    folder, facts = _prepared(tmp_path / "one", lines, columns, **more)
    assert set(_all(folder)["label"]) == {"a", "b"} == set(facts["labels"])
    outside = pl.read_parquet(folder / "outside.parquet")
    assert facts["outside"] == {"label": "elsewhere", "validation": 10, "test": 20}
    assert outside.height == 30 and set(outside["label"]) == {"elsewhere"}
    assert facts["rows"]["kept"] == 90 == sum(facts["splits"].values()) + 30
    shuffled = [lines[0], *reversed(lines[1:])]
    again, _ = _prepared(tmp_path / "two", shuffled, columns, **more)
    assert dict(outside.select("text", "split").iter_rows()) == dict(
        pl.read_parquet(again / "outside.parquet").select("text", "split").iter_rows()
    )
    with pytest.raises(DataError, match="no row has the out-of-scope label"):
        _prepared(tmp_path / "three", lines, columns, **{**more, "outside": "nowhere"})


def test_every_label_keeps_its_share() -> None:
    sets = [[name for place, name in enumerate("abcd") if row % (place + 2) == 0] for row in range(1000)]
    ids = [f"row {row}" for row in range(1000)]
    splits = draw_tags(sets, ids, {"test": 0.2, "validation": 0.1}, 0)
    for name in "abcd":
        rows = [row for row, labels in enumerate(sets) if name in labels]
        counts = Counter(splits[row] for row in rows)
        assert counts["test"] == pytest.approx(0.2 * len(rows), abs=2)
        assert counts["validation"] == pytest.approx(0.1 * len(rows), abs=2)
    assert Counter(splits)["test"] == pytest.approx(200, abs=10)
    assert splits == draw_tags(sets, ids, {"test": 0.2, "validation": 0.1}, 0)
    assert splits != draw_tags(sets, ids, {"test": 0.2, "validation": 0.1}, 1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.frozensets(st.sampled_from("abcdef"), max_size=4), min_size=3, max_size=60), st.integers(0, 3))
def test_any_rows_are_split_whatever_their_order(sets: list[frozenset[str]], seed: int) -> None:
    label_sets = [sorted(one) for one in sets]
    ids = [f"row {row}" for row in range(len(sets))]
    shares: Any = {"test": 0.2, "validation": 0.1}
    splits = draw_tags(label_sets, ids, shares, seed)
    assert len(splits) == len(sets) and "train" in splits
    back = draw_tags(label_sets[::-1], ids[::-1], shares, seed)
    assert back == splits[::-1]
    counts = Counter(label for labels in label_sets for label in labels)
    trained = {label for labels, split in zip(label_sets, splits, strict=True) if split == "train" for label in labels}
    assert {label for label, count in counts.items() if count < 3} <= trained


def test_names_are_written_as_they_are_read() -> None:
    for names in (["a", "b"], ["a|b", "c"], ["[x"], [], ['say "hi"', "ü"]):
        assert names_of(joined_names(names), "|") == sorted(names)
    assert flag_of(True) and flag_of(" Yes ") and flag_of(1.0) and not flag_of(None) and not flag_of("0")
    with pytest.raises(ValueError, match="neither yes"):
        flag_of("perhaps")
