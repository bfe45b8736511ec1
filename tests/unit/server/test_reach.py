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


@pytest.mark.parametrize(
    ("soft", "hard", "becomes"),
    [(1024, 20_000, 4352), (1024, 2000, 2000), (1024, -1, 4352), (9000, 20_000, None), (-1, -1, None)],
)
def test_the_limit_of_open_files_leaves_room_for_every_connection(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, becomes: int | None
) -> None:
    import resource

    from tunesmith.server.sockets import make_room

    assert resource.RLIM_INFINITY == -1
    was_set: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: was_set.append(limits))
    make_room(4096)
    assert was_set == ([] if becomes is None else [(becomes, hard)])
