"""Observations in the ledger: windows, versions, the latest feedback, counts that add up."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import StoreError
from tunesmith.store import audit, observations
from tunesmith.store.anchors import Custody
from tunesmith.store.ledger import Ledger
from tunesmith.store.observations import Observation, Served, Word
from tunesmith.store.verify_audit import verify

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SERVER = os.environ.get("TUNESMITH_TEST_LEDGER")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    url = SERVER or f"sqlite:///{tmp_path / 'ledger.db'}"
    with Ledger.open(url, f"p{uuid.uuid4().hex}", Custody.of(tmp_path)) as opened:
        yield opened


def observation(id: str, *, version: int = 1, minutes: int = 0, name: str = "m", **more: Any) -> Observation:
    return Observation(
        id,
        name,
        version,
        AT + timedelta(minutes=minutes),
        f"text {id}",
        None,
        {"label": "a", "probability": 0.5},
        2.5,
        **more,
    )


def test_a_window_of_a_version_in_its_order(ledger: Ledger) -> None:
    rows = [observation(str(at), minutes=at, version=1 + at % 2) for at in range(1200)]
    observations.add(ledger.engine, ledger.project, [*rows, observation("other", name="n")])
    read = lambda **asked: [one.id for one in observations.read(ledger.engine, ledger.project, "m", **asked)]  # noqa: E731
    assert read() == [str(at) for at in range(1200)]
    assert read(version=2, most=3) == ["1195", "1197", "1199"]
    assert read(since=AT + timedelta(minutes=1197)) == ["1197", "1198", "1199"]
    assert read(since=AT + timedelta(minutes=2), until=AT + timedelta(minutes=4)) == ["2", "3"]
    assert observations.count(ledger.engine, ledger.project, "m", 1) == 600
    assert observations.read(ledger.engine, ledger.project, "unknown") == []
    first = observations.find(ledger.engine, ledger.project, "0")
    assert first == rows[0]


def test_rows_that_are_sent_again_stay_as_they_were(ledger: Ledger) -> None:
    observations.add(ledger.engine, ledger.project, [observation("a")])
    observations.add(ledger.engine, ledger.project, [observation("a", minutes=9), observation("b")])
    assert [one.id for one in observations.read(ledger.engine, ledger.project, "m")] == ["a", "b"]
    found = observations.find(ledger.engine, ledger.project, "a")
    assert found is not None and found.at == AT


def test_the_latest_word_counts(ledger: Ledger) -> None:
    observations.add(ledger.engine, ledger.project, [observation("a"), observation("b")])
    say = lambda truth: observations.add_feedback(ledger.engine, ledger.project, "a", truth, actor="local:me")  # noqa: E731
    assert [say("x"), say(["y", "z"])] == [1, 2]
    truths = [(one.truth, one.has_truth) for one in observations.read(ledger.engine, ledger.project, "m")]
    assert truths == [(["y", "z"], True), (None, False)]
    with pytest.raises(StoreError, match="no such prediction"):
        observations.add_feedback(ledger.engine, ledger.project, "zzz", "x", actor="local:me")
    entries = audit.entries(ledger.engine, ledger.project)
    assert [(one.action, one.target) for one in entries] == [("feedback", "a"), ("feedback", "a")]
    assert not any("y" in one.details for one in entries if one.details.count('"y"'))


def test_words_said_at_once_are_one_transaction_and_each_gets_its_own_answer(ledger: Ledger) -> None:
    observations.add(ledger.engine, ledger.project, [observation("a"), observation("b", version=2)])
    observations.add_feedback(ledger.engine, ledger.project, "a", "first", actor="local:me")
    said = [("a", "x"), ("zzz", "x"), ("b", "y"), ("a", ["z"])]
    words = [Word(id, truth, f"local:{place}", f"key{place}") for place, (id, truth) in enumerate(said)]
    first, unknown, second, third = observations.add_words(ledger.engine, ledger.project, words)
    assert (first, second, third) == (2, 1, 3)
    assert isinstance(unknown, StoreError) and unknown.seen == "zzz"
    truths = {one.id: one.truth for one in observations.read(ledger.engine, ledger.project, "m")}
    assert truths == {"a": ["z"], "b": "y"}
    entries = audit.entries(ledger.engine, ledger.project)[1:]
    told = [(one.actor, one.target, json.loads(one.details)) for one in entries]
    assert told == [
        ("local:0", "a", {"model": "m@1", "words": 2}),
        ("local:2", "b", {"model": "m@2", "words": 1}),
        ("local:3", "a", {"model": "m@1", "words": 3}),
    ]
    [refused] = observations.add_words(ledger.engine, ledger.project, [Word("no", 1, "local:me")])
    assert isinstance(refused, StoreError)
    assert len(audit.entries(ledger.engine, ledger.project)) == 4 and verify(ledger.engine, ledger.project).is_whole


def test_counts_of_requests_add_up(ledger: Ledger) -> None:
    one = Served("m", 1, AT, "answered", 3, 6.0)
    observations.add(ledger.engine, ledger.project, [], [one, Served("m", 1, AT, "failed", 1, 9.0)])
    observations.add(ledger.engine, ledger.project, [], [one, Served("m", 2, AT, "answered", 5, 1.0)])
    found = observations.served(ledger.engine, ledger.project, "m", 1)
    assert found == [Served("m", 1, AT, "answered", 6, 12.0), Served("m", 1, AT, "failed", 1, 9.0)]
    assert observations.served(ledger.engine, ledger.project, "m", since=AT + timedelta(minutes=1)) == []


def test_projects_never_meet(ledger: Ledger, tmp_path: Path) -> None:
    observations.add(ledger.engine, ledger.project, [observation("a")])
    with Ledger.open(
        str(ledger.engine.url.render_as_string(hide_password=False)), "other", Custody.of(tmp_path)
    ) as two:
        assert observations.find(two.engine, "other", "a") is None
        with pytest.raises(StoreError, match="no such prediction"):
            observations.add_feedback(two.engine, "other", "a", "x", actor="local:me")
