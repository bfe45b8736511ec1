"""A server that watches the ledger: once somebody is erased, no answer is given from memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.core.actor import Actor
from tunesmith.lifecycle.session import open_session
from tunesmith.store import erasures


def test_answers_in_memory_are_forgotten_with_the_person(tmp_path: Path) -> None:
    run = pytest.importorskip("tunesmith.server.run")
    forgotten: list[bool] = []
    with open_session(tmp_path) as session:
        reach = run._Reach({"default": session}, lambda: forgotten.append(True))
        reach.check()
        reach.check()
        assert forgotten == []
        erasures.begin(session.ledger.engine, "default", "e1", "f" * 32, "asked", Actor("ann", "admin"))
        reach.check()
        reach.check()
    assert forgotten == [True]
