"""Where no source is read, a champion's rows are all there is, and they come through as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.unit.data.context import FakeContext
from tests.unit.data.test_extend import SPLITS, extended, of, prepared, rows

from tunesmith.core.artifact import Artifact
from tunesmith.data.extend import NothingNew
from tunesmith.data.extend_config import ExtendConfig
from tunesmith.data.extend_join import WITHDRAWN
from tunesmith.data.unread import Unread


def unread(folder: Path, before: Artifact, **config: Any) -> tuple[Artifact, dict[str, Any]]:
    """The splits without a row, and what was measured of the champion's."""
    context = FakeContext(folder)
    made = Unread(ExtendConfig(**{"task": "classify", **config})).run({"before": before}, context)
    return context.artifact("splits", "splits", made["splits"]), dict(made["quality"])


def test_the_champions_rows_stay_as_they_are(tmp_path: Path) -> None:
    before = prepared(tmp_path / "a", {"desk": rows(30), "letters": rows(10, 60)})
    before.facts["privacy"] = {"on_pii": "redact"}  # type: ignore[index]
    fresh, quality = unread(tmp_path / "b", before)
    assert fresh.facts["rows"] == {"read": 0, "kept": 0, "removed": 0, "quarantined": 0}
    assert quality["balance"]["counts"] == {"card": 11, "loan": 11, "refund": 9, "transfer": 9}
    assert quality["completeness"]["text"] == {"missing": 0, "share": 0.0}
    facts, tables, _ = extended(tmp_path / "c", before, fresh, needs_new=False)
    assert {text: name for name in SPLITS for text in tables[name]["text"]} == of(before)
    assert facts["extended"]["held"] == {"desk": 30, "letters": 10} and facts["extended"]["known"] == 0
    assert facts["rows"] == {"read": 40, "kept": 40, "removed": 0, "quarantined": 0}
    # Texts are read by the next model as these were prepared.
    assert facts["privacy"] == {"on_pii": "redact"} and facts["repair"] == before.facts["repair"]
    assert facts["label_counts"] == before.facts["label_counts"]
    with pytest.raises(NothingNew) as caught:
        extended(tmp_path / "d", before, fresh)
    assert (caught.value.counts["read"], caught.value.counts["champion"]) == (0, 40)


def test_rows_that_leave_are_not_measured(tmp_path: Path) -> None:
    before = prepared(tmp_path / "a", {"desk": rows(30), "letters": rows(10, 60)})
    fresh, quality = unread(tmp_path / "b", before, without=("letters",))
    assert sum(quality["balance"]["counts"].values()) == 30
    facts, _, _ = extended(tmp_path / "c", before, fresh, without=("letters",))
    assert facts["removed"] == {WITHDRAWN: 10} and facts["extended"]["held"] == {"desk": 30}


def test_rows_out_of_scope_stay_there(tmp_path: Path) -> None:
    before = prepared(tmp_path / "a", {"desk": rows(40) | {"label": ["card", "loan", "card", "none"] * 10}},
                      outside="none")  # fmt: skip
    fresh, _ = unread(tmp_path / "b", before)
    facts, tables, _ = extended(tmp_path / "c", before, fresh, needs_new=False)
    was = pl.read_parquet(before.path / "outside.parquet")
    assert tables["outside"]["row_id"].to_list() == was["row_id"].to_list() and was.height == 10
    assert facts["outside"] == before.facts["outside"]
