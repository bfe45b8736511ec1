"""What preparation changed can be had back, and is counted by source."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunesmith.data import changes as changes_of
from tunesmith.data.changes import Changes
from tunesmith.data.clean import repair
from tunesmith.data.prepare_config import CleanConfig

CELL = st.one_of(st.none(), st.sampled_from(["  a  b ", "cafÃ©", "x &amp; y", "plain", "", " "]), st.text(max_size=12))


def frame(texts: list[str | None]) -> pl.DataFrame:
    size = len(texts)
    ids = {"row_id": [f"r{i}" for i in range(size)], "source_id": ["a" if i % 3 else "b" for i in range(size)]}
    return pl.DataFrame({**ids, "text": texts}, schema=dict.fromkeys(("row_id", "source_id", "text"), pl.String))


def test_only_what_differs_is_recorded(tmp_path: Path) -> None:
    changes = Changes(tmp_path)
    rows = frame([" a", "b", None, "c ", "d"])
    assert changes.changed("trim", rows, "text", rows["text"].str.strip_chars()) == 2
    assert changes.changed("again", rows, "text", rows["text"]) == 0
    assert changes_of.scan(tmp_path).collect().rows() == [
        ("r0", "text", "trim", " a", "a"),
        ("r3", "text", "trim", "c ", "c"),
    ]
    assert changes.facts() == [
        {"step": "trim", "column": "text", "outcome": "changed", "rows": 2, "by_source": {"b": 2}}
    ]


def test_nothing_changed_leaves_no_file(tmp_path: Path) -> None:
    rows = frame(["a"])
    Changes(tmp_path).changed("trim", rows, "text", rows["text"])
    assert list(tmp_path.iterdir()) == []
    assert changes_of.undone(rows, tmp_path).equals(rows)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CELL, max_size=12))
def test_several_steps_are_undone_to_the_first_value(tmp_path: Path, cells: list[str | None]) -> None:
    folder = tmp_path / str(abs(hash(tuple(cells))))
    changes = Changes(folder)
    rows = frame(cells)
    repaired, counts = repair(rows, ["text"], CleanConfig(), changes)
    upper = repaired["text"].str.to_uppercase()
    changes.changed("upper", repaired, "text", upper)
    last = repaired.with_columns(upper)
    # Rows may be fewer and in another order by the time somebody asks.
    some = last.reverse().head(max(1, last.height // 2))
    assert changes_of.undone(some, folder)["text"].to_list() == rows.reverse()["text"].head(some.height).to_list()
    facts = {one["step"]: one["rows"] for one in changes.facts()}
    assert {step: facts.get(step, 0) for step in counts} == counts
