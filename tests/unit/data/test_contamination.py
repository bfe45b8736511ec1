"""Test rows in training rows: planted ones are all found, clean data raises no alarm, test rows are never removed."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.data.test_prepare import dataset, prepare

from tunesmith.core.errors import DataError
from tunesmith.data.contained import RUN, contained, run_hashes
from tunesmith.data.near import NearTexts

WORDS = [f"word{i}" for i in range(3000)]
CHARACTERS = [chr(0x4E00 + i) for i in range(2000)]


def texts(num: int, seed: int, length: tuple[int, int] = (8, 40)) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(*length))) for _ in range(num)]


def planted(test: list[str]) -> dict[str, list[str]]:
    """Copies of test texts as they get into training data."""
    draw = random.Random(7)
    other = texts(len(test), 99)

    def nearly(text: str) -> str:
        words = text.split()
        # One word of twenty or more: similarity at least 0.9.
        words[draw.randrange(len(words))] = "replaced"
        return " ".join(words)

    return {
        "exact": test,
        "case": [text.upper().replace(" ", "  ") for text in test],
        "punctuation": [", ".join(text.split()) + "!" for text in test],
        "near": [nearly(text) for text in test if len(text.split()) >= 20],
        "embedded": [f"{a} {text} {b}" for text, a, b in zip(test, other, reversed(other), strict=True)],
    }


@pytest.mark.parametrize("kind", ["exact", "case", "punctuation", "near", "embedded"])
@pytest.mark.parametrize("is_given", [True, False])
def test_planted_test_rows_are_all_found(kind: str, is_given: bool, tmp_path: Path) -> None:
    test, clean = texts(60, 1), texts(200, 2)
    copies = planted(test)[kind]
    labels = ["a", "b"]
    columns: dict[str, Any] = {"text": test, "label": [labels[i % 2] for i in range(len(test))]}
    # Under another label, so that no search for duplicates within a label can have found them.
    train: dict[str, Any] = {"text": [*clean, *copies], "label": [*("ab" * 100), *["c"] * len(copies)]}
    sources = {"gold": dataset(tmp_path, "gold", **columns)}
    given: dict[str, Any] = {"gold": "test"}
    if not is_given:
        columns["split"] = ["test"] * len(test)
        sources, given = {"gold": dataset(tmp_path / "b", "gold", **columns)}, {}
    sources["crm"] = dataset(tmp_path, "crm", **train)
    facts, _, tables = prepare(tmp_path / "out", sources, given=given, split={"validation": 0.1})
    assert facts["splits"]["test"] == len(test) and not facts["by_source"]["gold"]["removed"]
    removed = tables["removed"].filter(pl.col("source_id") == "crm")
    left = {tables[name].filter(pl.col("label") == "c").height for name in ("train", "validation")}
    assert (
        left == {0} and removed.height == len(copies) and set(removed["because_of"]) <= {f"gold-{i}" for i in range(60)}
    )


def test_clean_data_raises_no_alarm(tmp_path: Path) -> None:
    columns = {"text": texts(400, 3), "label": ["a", "b"] * 200}
    facts, quality, _ = prepare(tmp_path / "out", {"s": dataset(tmp_path, "s", **columns)})
    assert facts["rows"]["removed"] == 0
    assert facts["contamination"] == {
        "checked": True, "by_test_set": {"drawn": {"rows": 80, "same letters": 0, "nearly the same": 0, "holds it": 0}},
    }  # fmt: skip
    assert quality["uniqueness"]["across_splits"] == 0


def test_each_test_set_has_its_own_count(tmp_path: Path) -> None:
    one, other, clean = texts(20, 4), texts(20, 5), texts(100, 6)
    sources = {
        "one": dataset(tmp_path, "one", text=one, label=["a", "b"] * 10),
        "other": dataset(tmp_path, "other", text=other, label=["a", "b"] * 10),
        "crm": dataset(
            tmp_path, "crm", text=[*clean, *(f"well {text} so" for text in one[:7])], label=[*("ab" * 50), *"abababa"]
        ),
    }
    facts, _, _ = prepare(tmp_path / "out", sources, given={"one": "test", "other": "test"})
    found = facts["contamination"]["by_test_set"]
    assert {name: one_set["rows"] for name, one_set in found.items()} == {"one": 20, "other": 20}
    assert sum(found["one"][what] for what in ("nearly the same", "holds it")) + facts["removed"].get(
        "nearly the same text as a test row", 0
    ) >= 7  # fmt: skip
    assert found["other"] == {"rows": 20, "same letters": 0, "nearly the same": 0, "holds it": 0}


def test_off_means_only_equal_texts(tmp_path: Path) -> None:
    test, clean = texts(20, 8), texts(100, 9)
    sources = {
        "gold": dataset(tmp_path, "gold", text=test, label=["a", "b"] * 10),
        "crm": dataset(
            tmp_path,
            "crm",
            text=[*clean, *(f"{t} {c}" for t, c in zip(test, clean, strict=False))],
            label=["a", "b"] * 60,
        ),
    }
    facts, _, _ = prepare(tmp_path / "out", sources, given={"gold": "test"}, contamination=None)
    assert facts["rows"]["removed"] == 0 and not facts["contamination"]["checked"]


def test_rules_that_leave_nothing_are_refused(tmp_path: Path) -> None:
    test = texts(20, 10)
    sources = {
        "gold": dataset(tmp_path, "gold", text=test, label=["a", "b"] * 10),
        "crm": dataset(tmp_path, "crm", text=[f"well {text} so" for text in test], label=["a", "b"] * 10),
    }
    with pytest.raises(DataError, match="no row is left for train"):
        prepare(tmp_path / "a", sources, given={"gold": "test"}, clean={"near_duplicates": None})
    with pytest.raises(DataError, match=r"no row is left of 40 read[\s\S]*noise: fewer than 900 words: 40"):
        prepare(tmp_path / "b", sources, given={"gold": "test"}, noise={"min_words": 900})


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 14))
def test_runs_have_equal_numbers_where_they_are_equal(words: list[int], size: int) -> None:
    hashed = (np.array(words, dtype=np.uint64) + np.uint64(1)) * np.uint64(0xD1B54A32D192ED03)
    runs = run_hashes(hashed, size).tolist()
    plain = [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]
    assert len(runs) == len(plain)
    assert len(set(runs)) == len(set(plain)) == len(set(zip(runs, plain, strict=True)))


def test_the_share_that_is_held_counts() -> None:
    test = " ".join(WORDS[:40])
    rows = pl.Series([test, " ".join(WORDS[4:40]), " ".join(WORDS[20:40]), " ".join(WORDS[: RUN - 1])])
    looked_for, among = np.array([0]), np.array([1, 2, 3])
    assert contained(rows, looked_for, among, 0.8, 8) == {1: 0}
    assert contained(rows, looked_for, among, 0.5, 8) == {1: 0, 2: 0}
    assert contained(rows, looked_for, among, 0.95, 8) == {}
    assert contained(rows, looked_for, among, 0.1, 50) == {}


def test_texts_without_spaces_are_compared_by_characters() -> None:
    draw = random.Random(0)
    originals = ["".join(draw.choices(CHARACTERS, k=60)) for _ in range(100)]
    copies = [text[:30] + "新" + text[31:] for text in originals]
    thai = "สวัสดีครับผมต้องการความช่วยเหลือเรื่องบัตรของผมที่หายไปเมื่อวานนี้"
    series = pl.Series([*originals, *copies, thai, thai + "ครับ"])
    near = NearTexts(series, 0.9)
    found = near.matches(range(100, 200), range(100))
    assert found == {100 + i: i for i in range(100)}
    # Pairs of characters by hand: 59 of 60, 57 shared with one character changed.
    assert near.similarity(0, 100) == pytest.approx(57 / 61)
    # The same characters in another order are another text.
    shuffled = pl.Series([originals[0], "".join(draw.sample(originals[0], 60)), *originals[1:]])
    assert NearTexts(shuffled, 0.9).matches([1], [0]) == {}
    # Test rows of such a script inside of longer texts.
    rows = pl.Series([originals[0], f"{originals[5]}{originals[0]}{originals[6]}", originals[7]])
    assert contained(rows, np.array([0]), np.array([1, 2]), 0.8, 8) == {1: 0}
