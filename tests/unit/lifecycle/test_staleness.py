"""What a served version is told of people who were erased: looked up again only where something was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.serving import version_of

from tunesmith.core.artifact import MadeBy
from tunesmith.lifecycle.session import Session, open_session
from tunesmith.lifecycle.staleness import Stale, Staleness
from tunesmith.store import erasures
from tunesmith.store.records import ArtifactRecord


def record(session: Session, number: int, *parents: int) -> None:
    """A model on record, made from others."""
    name = f"k{number}"
    made = ArtifactRecord(
        "model", f"{number:064d}", {}, MadeBy(name, "train", 0), tuple(f"{one:064d}" for one in parents)
    )
    session.ledger.record_step(name, f"content-{name}", "train", {"model": made})


def erase(session: Session, id: str, subject: str, number: int) -> None:
    """Somebody is erased whose rows a version learned from."""
    engine, project = session.ledger.engine, session.ledger.project
    erasures.begin(engine, project, id, subject * 32, "asked", session.actor)
    erasures.mark_stale(engine, project, id, [f"{number:064d}"])


def test_a_version_is_stale_from_the_first_erasure_on_and_with_it_what_goes_on_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walks: list[str] = []
    walk = erasures.stale

    def counted(*given: Any) -> dict[str, list[str]]:
        walks.append("walk")
        return walk(*given)

    monkeypatch.setattr(erasures, "stale", counted)
    with open_session(tmp_path) as session:
        record(session, 1)
        record(session, 2, 1)
        record(session, 3)
        asked = Staleness(session)
        assert asked.of(version_of(2)) is None and walks == [], "nobody was erased: nothing is walked"
        erase(session, "e1", "a", 1)
        first = asked.of(version_of(2))
        assert first is not None and first.erasures == ("e1",)
        assert asked.of(version_of(2)) == first == asked.of(version_of(1)) and len(walks) == 2
        assert asked.of(version_of(3)) is None
        erase(session, "e2", "b", 2)
        assert asked.of(version_of(2)) == Stale(first.since, ("e1", "e2")), "since the first one, which is named first"
        assert asked.of(version_of(1)) == first
