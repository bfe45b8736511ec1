"""Capturing answers: what is kept, what privacy leaves, what a kill loses, and the true answers that come later."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.artifact import MadeBy
from tunesmith.core.errors import RecipeError, StoreError
from tunesmith.core.subject import subject_hash
from tunesmith.lifecycle import capture
from tunesmith.lifecycle.capture import Capture, capture_of, is_sampled
from tunesmith.lifecycle.feedback import NotYet, feedback
from tunesmith.lifecycle.model import Prediction
from tunesmith.lifecycle.session import Session, open_session
from tunesmith.recipe.load import dump, load
from tunesmith.recipe.recipe import Recipe
from tunesmith.store import observations
from tunesmith.store.records import ArtifactRecord, ModelVersion

DIGEST = "ab" * 32


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with open_session(tmp_path / "home") as opened:
        yield opened


def recipe(tmp_path: Path, **more: Any) -> Recipe:
    (tmp_path / "rows.csv").write_text("text,label\na,b\n")
    data = {"sources": [{"kind": "csv", "path": str(tmp_path / "rows.csv")}], **more.pop("data", {})}
    loaded = load({"name": "m", "task": "classify", "data": data, **more})
    assert isinstance(loaded, Recipe)
    return loaded


def released(session: Session, made: Recipe, **facts: Any) -> ModelVersion:
    """A version on record, as a run leaves it."""
    facts = {"task": "classify", "labels": ["card", "refund"], **facts}
    one = ArtifactRecord("model", DIGEST, facts, MadeBy("k", "train", 0))
    session.ledger.record_step("k", "c", "train", {"model": one})
    (session.workspace.run_folder("run-1") / "recipe.yaml").write_text(dump(made))
    session.ledger.start_run("run-1", "m", "classify", "x")
    session.ledger.register_version("m", DIGEST, "run-1", "better")
    return session.ledger.resolve("m", "1")


def said(label: str = "card", probability: float = 0.9) -> Prediction:
    return Prediction(label, probability, None, {"card": probability, "refund": 1 - probability})


def kept(session: Session) -> list[observations.Observation]:
    return observations.read(session.ledger.engine, session.ledger.project, "m")


def test_answers_are_kept_with_hashed_subjects_and_counted(session: Session, tmp_path: Path) -> None:
    version = released(session, recipe(tmp_path))
    one = capture_of(session, version)
    ids = one.record(["where is my card", "money back"], [said(), said("refund", 0.6)], 12.5, ["me@x", None], "k1")
    one.count("refused", 1.0)
    one.flush()
    rows = kept(session)
    assert [row.id for row in rows] == ids and [row.text for row in rows] == ["where is my card", "money back"]
    assert rows[1].answer == {"label": "refund", "probability": 0.6}
    assert rows[0].subject == subject_hash(session.workspace.subject_key(), "me@x")
    assert rows[0].subject != "me@x" and rows[1].subject is None and rows[0].key_id == "k1"
    counts = observations.served(session.ledger.engine, session.ledger.project, "m")
    assert sorted((count.outcome, count.requests) for count in counts) == [("answered", 1), ("refused", 1)]


def test_a_share_is_drawn_by_id_and_seed() -> None:
    ids = [f"{number:032x}" for number in range(4000)]
    drawn = [is_sampled(one, 0.25, 7) for one in ids]
    assert drawn == [is_sampled(one, 0.25, 7) for one in ids] != [is_sampled(one, 0.25, 8) for one in ids]
    assert 0.22 < sum(drawn) / 4000 < 0.28
    assert all(is_sampled(one, 1.0, 0) for one in ids) and not any(is_sampled(one, 0.0, 0) for one in ids)


def test_no_two_answers_have_one_id(session: Session, tmp_path: Path) -> None:
    one = capture_of(session, released(session, recipe(tmp_path)))
    ids = [
        *one.record(["t"] * 700, [said()] * 700, 1.0),
        *capture_of(session, released(session, recipe(tmp_path))).record(["t"], [said()], 1.0),
    ]
    assert len({id for id in ids if id is not None and len(bytes.fromhex(id)) == 16}) == 701


def test_what_is_not_sampled_has_no_id(session: Session, tmp_path: Path) -> None:
    version = released(session, recipe(tmp_path, monitor={"capture": 0.3}))
    one = capture_of(session, version)
    ids = one.record(["t"] * 300, [said()] * 300, 1.0)
    one.flush()
    num = sum(id is not None for id in ids)
    assert 50 < num < 130 and len(kept(session)) == num
    assert Capture(session, "m", 1, recipe(tmp_path), sample=0.0).record(["t"], [said()], 1.0) == [None]


@pytest.mark.parametrize(
    ("data", "monitor", "text", "words"),
    [
        ({"privacy": "off"}, {}, "mail me@example.org", "as they are"),
        ({}, {}, "mail me@example.org", "as they are"),
        ({"privacy": "block"}, {}, "mail [EMAIL]", "without what"),
        ({"privacy": {"on_pii": "allow", "entities": {"EMAIL": "block"}}}, {}, "mail [EMAIL]", "without what"),
        ({"privacy": "redact"}, {"capture": {"texts": False}}, "", "not kept"),
    ],
)
def test_texts_are_kept_as_privacy_leaves_them(
    session: Session, tmp_path: Path, data: dict[str, Any], monitor: dict[str, Any], text: str, words: str
) -> None:
    one = capture_of(session, released(session, recipe(tmp_path, data=data, monitor=monitor)))
    one.record(["mail me@example.org"], [said()], 1.0)
    one.flush()
    assert [row.text for row in kept(session)] == [text]
    assert words in one.privacy


def test_without_its_recipe_no_text_is_kept(session: Session, tmp_path: Path) -> None:
    version = released(session, recipe(tmp_path))
    (session.workspace.run_folder("run-1") / "recipe.yaml").unlink()
    one = capture_of(session, version)
    one.record(["mail me@example.org"], [said()], 1.0)
    one.flush()
    assert [row.text for row in kept(session)] == [""]
    assert "gone" in one.privacy


def test_feedback_on_an_answer_just_given(session: Session, tmp_path: Path) -> None:
    one = capture_of(session, released(session, recipe(tmp_path)))
    (id,) = one.record(["t"], [said()], 1.0)
    assert id is not None
    assert [feedback(session, id, "refund"), feedback(session, id, "card")] == [1, 2]
    assert [(row.truth, row.has_truth) for row in kept(session)] == [("card", True)]


def test_feedback_on_an_answer_that_another_server_gave_a_moment_ago(session: Session, tmp_path: Path) -> None:
    (id,) = capture_of(session, released(session, recipe(tmp_path))).record(["t"], [said()], 1.0)
    assert id is not None
    elsewhere = id[:8] + id[8:][::-1]  # an id of this moment that no capture of this process knows

    def written() -> None:
        row = observations.Observation(elsewhere, "m", 1, datetime.now(UTC), "t", None, {"label": "card"}, 1.0, None)
        observations.add(session.ledger.engine, session.ledger.project, [row], [])

    later = threading.Timer(0.3, written)
    later.start()
    try:
        assert feedback(session, elsewhere, "refund") == 1
    finally:
        later.join()


def test_an_answer_of_this_moment_that_does_not_come_is_to_be_told_again(session: Session, tmp_path: Path) -> None:
    (id,) = capture_of(session, released(session, recipe(tmp_path))).record(["t"], [said()], 1.0)
    assert id is not None
    begun = time.monotonic()
    with pytest.raises(NotYet, match="not on record yet"):
        feedback(session, id[:8] + "0" * 24, "card")
    assert time.monotonic() - begun < 3
    # An id of another time is one that nobody gave: no wait, and no second try.
    for stamp in ("00000000", "ffffffff", "no stamp"):
        begun = time.monotonic()
        with pytest.raises(StoreError, match="no such prediction"):
            feedback(session, stamp + "0" * 24, "card")
        assert time.monotonic() - begun < 0.5


def test_feedback_that_cannot_be_taken(session: Session, tmp_path: Path) -> None:
    one = capture_of(session, released(session, recipe(tmp_path)))
    (id,) = one.record(["t"], [said()], 1.0)
    assert id is not None
    with pytest.raises(StoreError, match="no such prediction"):
        feedback(session, "f" * 32, "card")
    with pytest.raises(RecipeError, match="does not know the label `cart`") as raised:
        feedback(session, id, "cart")
    assert "did you mean `card`" in str(raised.value)
    for truth in (["card"], 3.0, "", None):
        with pytest.raises(RecipeError, match="another form"):
            feedback(session, id, truth)
    assert not kept(session)[0].has_truth


def test_new_labels_are_taken_where_the_recipe_says_so(session: Session, tmp_path: Path) -> None:
    made = recipe(tmp_path, monitor={"feedback": {"new_labels": True}})
    (id,) = capture_of(session, released(session, made)).record(["t"], [said()], 1.0)
    assert id is not None and feedback(session, id, "loan") == 1


@pytest.mark.parametrize(("model", "counts"), [("m@production", True), ("m@1", True), ("run:run-2", False)])
def test_what_a_later_release_of_the_same_model_says_of_watching_it_counts(
    session: Session, tmp_path: Path, model: str, counts: bool
) -> None:
    version = released(session, recipe(tmp_path))
    folder = session.workspace.run_folder("run-2")
    (folder / "recipe.yaml").write_text(dump(recipe(tmp_path, monitor={"feedback": {"new_labels": True}})))
    (folder / "result.json").write_text(json.dumps({"model": model}))
    session.ledger.start_run("run-2", "m", "classify", "y")
    session.ledger.end_run("run-2", "done", model_digest=DIGEST)
    [id] = capture_of(session, version).record(["hi"], [said()], 1.0)
    assert id is not None
    if counts:
        assert feedback(session, id, "another") == 1
    else:  # it was only evaluated
        with pytest.raises(RecipeError, match="does not know"):
            feedback(session, id, "another")


@pytest.mark.parametrize(
    ("facts", "truth", "allowed"),
    [
        ({"task": "classify"}, ["card"], "`label`: one label"),
        ({"task": "tag"}, 3.0, "`labels`: a list of labels"),
        ({"task": "regress"}, "high", "`value`: one number"),
        ({"task": "regress", "targets": {"v": {}, "a": {}}}, 1.0, "`value`: a number for each of v, a"),
    ],
)
def test_a_truth_of_another_form_is_told_what_form_it_takes(
    session: Session, tmp_path: Path, facts: dict[str, Any], truth: Any, allowed: str
) -> None:
    [id] = capture_of(session, released(session, recipe(tmp_path), **facts)).record(["t"], [said()], 1.0)
    assert id is not None
    with pytest.raises(RecipeError) as raised:
        feedback(session, id, truth)
    assert raised.value.allowed == allowed


@pytest.mark.parametrize(
    ("facts", "truth", "told"),
    [
        ({"task": "tag"}, ["refund", "card", "card"], ["card", "refund"]),
        ({"task": "regress"}, 3, 3.0),
        ({"task": "regress", "targets": {"v": {}, "a": {}}}, {"a": 1, "v": 2}, [2.0, 1.0]),
    ],
)
def test_truths_take_the_form_of_the_targets(
    session: Session, tmp_path: Path, facts: dict[str, Any], truth: Any, told: Any
) -> None:
    (id,) = capture_of(session, released(session, recipe(tmp_path), **facts)).record(["t"], [said()], 1.0)
    assert id is not None
    feedback(session, id, truth)
    assert kept(session)[0].truth == told


def test_a_ledger_that_is_down_loses_nothing_that_waits(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = capture_of(session, released(session, recipe(tmp_path)))
    real, fails = observations.add, [2]

    def add(*given: Any) -> None:
        if fails[0]:
            fails[0] -= 1
            raise StoreError("the ledger cannot be used")
        real(*given)

    monkeypatch.setattr(observations, "add", add)
    monkeypatch.setattr(capture, "RETRY_S", (0.001, 0.01))
    one.record(["t"] * 5, [said()] * 5, 1.0)
    one.flush()
    assert len(kept(session)) == 5 and fails == [0]
    fails[0] = 10**9
    one.record(["t"], [said()], 1.0)
    with pytest.raises(StoreError, match="could not be written"):
        one.flush(timeout_s=0.05)
    monkeypatch.setattr(capture, "MOST_WAITING", 3)
    assert one.record(["t"] * 4, [said()] * 4, 1.0) == [None] * 4
    assert one.num_lost == 4
    fails[0] = 0
    one.flush()
    assert len(kept(session)) == 6


WRITER = """
import sys
from pathlib import Path
from tunesmith.lifecycle.capture import Capture
from tunesmith.lifecycle.model import Prediction
from tunesmith.lifecycle.session import open_session
with open_session(sys.argv[1]) as session:
    one = Capture(session, "m", 1, None)
    said = Prediction("card", 0.9, None, {"card": 0.9})
    while True:
        ids = one.record(["t"] * 7, [said] * 7, 1.0)
        one.flush()
        print("\\n".join(ids), flush=True)
"""


def test_nothing_that_was_flushed_is_lost_by_a_kill(tmp_path: Path) -> None:
    home = tmp_path / "home"
    acknowledged: list[str] = []
    for kill in range(3):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(home)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        for _ in range(7 * (3 + 5 * kill) + kill):
            acknowledged.append(writer.stdout.readline().strip())
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += [line.strip() for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        writer.wait()
    with open_session(home) as session:
        rows = kept(session)
        counts = observations.served(session.ledger.engine, session.ledger.project, "m")
    ids = [row.id for row in rows]
    assert set(acknowledged) <= set(ids) and len(acknowledged) > 150
    assert len(ids) == len(set(ids))
    # Rows and counts go together: seven rows a request.
    assert sum(one.requests for one in counts) * 7 == len(ids)
    assert json.dumps(rows[0].answer) == '{"label": "card", "probability": 0.9}'
