"""Erasures in the ledger: one thing stands where another stood, wherever it is named; bytes are gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tunesmith.core.actor import Actor
from tunesmith.core.artifact import MadeBy
from tunesmith.core.errors import StoreError
from tunesmith.store import erasures
from tunesmith.store.anchors import Custody
from tunesmith.store.blobs import Blobs
from tunesmith.store.ledger import Ledger
from tunesmith.store.records import ArtifactRecord, CursorMove

ADMIN = Actor("ann", "admin")
SECRET = "a text of a person who is to be forgotten " * 20


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", "p", Custody.of(tmp_path)) as opened:
        yield opened


def record(ledger: Ledger, key: str, kind: str, digest: str, *parents: str, **facts: object) -> None:
    one = ArtifactRecord(kind, digest * 64, facts, MadeBy(key, "stage", 0), tuple(each * 64 for each in parents))
    moves = CursorMove("crm", "pull", None) if kind == "dataset" else None
    made = {"dataset": one, "cursor": one} if moves else {kind: one}
    ledger.record_step(key, f"content-{key}", "stage", made, moves=moves)


def begin(ledger: Ledger, id: str = "e1", subject: str = "f" * 32) -> erasures.Erasure:
    return erasures.begin(ledger.engine, "p", id, subject, "asked", ADMIN)


def test_one_that_is_under_way_is_gone_on_with_and_an_ended_one_is_not(ledger: Ledger) -> None:
    assert begin(ledger).id == "e1" and begin(ledger, "e2").id == "e1"
    assert begin(ledger, "e3", "a" * 32).id == "e3"
    erasures.finish(ledger.engine, "p", "e1", "f" * 32, lambda sequence: {"audit": sequence}, ADMIN)
    assert begin(ledger, "e4").id == "e4"
    assert erasures.subjects(ledger.engine, "p") == ("a" * 32, "f" * 32)
    assert erasures.read(ledger.engine, "p")[0].proof == {"audit": 3}
    assert erasures.subjects(ledger.engine, "q") == ()


def test_everything_that_named_the_old_one_names_the_new_one(ledger: Ledger) -> None:
    record(ledger, "k1", "dataset", "1", rows=3)
    record(ledger, "k2", "splits", "2", "1")
    begin(ledger)
    erasures.replace(ledger.engine, "p", "e1", "1" * 64, "9" * 64, "dataset", lambda facts: {**facts, "erased": 1})
    found = ledger.find_step("k1")
    assert found is not None and found["dataset"].digest == "9" * 64
    assert found["dataset"].facts == {"rows": 3, "erased": 1} == ledger.artifact("9" * 64).facts
    assert ledger.parents("2" * 64) == ["9" * 64] and ledger.children("9" * 64) == ["2" * 64]
    cursor = ledger.cursor("crm")
    assert cursor is not None and (cursor.dataset, cursor.cursor) == ("9" * 64, "9" * 64)
    with pytest.raises(StoreError):
        ledger.artifact("1" * 64)
    # A second time, as after a kill, changes nothing; with nothing in its place the record stays.
    erasures.replace(ledger.engine, "p", "e1", "1" * 64, "9" * 64, "dataset", lambda facts: facts)
    erasures.replace(ledger.engine, "p", "e1", "2" * 64, None, "splits", lambda facts: {"gone": True})
    assert ledger.artifact("2" * 64).facts == {"gone": True}
    graves = [(one.digest[0], one.replaced_by) for one in erasures.tombstones(ledger.engine, "p", "e1")]
    assert graves == [("1", "9" * 64), ("2", None)]


def test_what_goes_on_from_a_stale_model_is_stale(ledger: Ledger) -> None:
    record(ledger, "k1", "splits", "1")
    record(ledger, "k2", "model", "2", "1")
    record(ledger, "k3", "report", "3", "2")
    record(ledger, "k4", "base", "4", "2")
    record(ledger, "k5", "model", "5", "4")
    record(ledger, "k6", "model", "6", "1", "3")
    assert erasures.stale(ledger.engine, "p") == {}
    begin(ledger)
    erasures.mark_stale(ledger.engine, "p", "e1", ["2" * 64])
    erasures.mark_stale(ledger.engine, "p", "e1", ["2" * 64])
    assert erasures.stale(ledger.engine, "p") == {digest * 64: ["e1"] for digest in "245"}
    begin(ledger, "e2", "a" * 32)
    between = datetime.now(UTC)
    erasures.mark_stale(ledger.engine, "p", "e2", ["5" * 64])
    assert erasures.stale(ledger.engine, "p")["5" * 64] == ["e2", "e1"]
    marks = erasures.stale_marks(ledger.engine, "p")
    assert list(marks) == ["e1", "e2"] and marks["e1"] < between <= marks["e2"]
    assert erasures.stale_marks(ledger.engine, "other") == {}


def test_the_bytes_of_what_was_deleted_are_gone(ledger: Ledger, tmp_path: Path) -> None:
    record(ledger, "k1", "report", "1", sample=SECRET)
    begin(ledger)
    assert any(SECRET.encode() in path.read_bytes() for path in tmp_path.glob("ledger.db*"))
    assert erasures.clean_facts(ledger.engine, "p", lambda facts: {"sample": "[erased]"}) == 2
    assert erasures.compact(ledger.engine) is None
    assert not any(SECRET[:40].encode() in path.read_bytes() for path in tmp_path.glob("ledger.db*"))
    assert not any(SECRET in words for _, words in erasures.texts_of(ledger.engine, None))


def test_a_payload_is_removed_once_and_for_all(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    blobs.folder.mkdir()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "x.txt").write_text("bytes")
    digest, _ = blobs.put(tmp_path / "new")
    assert blobs.digests() == [digest]
    blobs.remove(digest)
    blobs.remove(digest)
    assert blobs.digests() == [] and not blobs.has(digest)
    assert [path.name for path in blobs.folder.iterdir()] == [".lock"]
