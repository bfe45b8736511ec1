"""A server that is killed at random moments under load: what it acknowledged is there, and it comes back.

``TUNESMITH_KILLS`` says how often it is killed (2 here).
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from tests.journeys.test_serve_command import command, moved, owner, trained
from tests.serving import started

from tunesmith.lifecycle.session import open_session
from tunesmith.store.verify_audit import verify

KILLS = int(os.environ.get("TUNESMITH_KILLS", "2"))
CLIENTS = 8


@dataclass
class Seen:
    """What clients were told over all lives of the server."""

    answered: int = 0
    acknowledged: dict[str, str] = field(default_factory=dict)
    """The true label by prediction, where the server said that it kept it."""
    wrong: list[object] = field(default_factory=list)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kills")
    with open_session(folder / "home") as session:
        for number, changes in ((1, {}), (2, {"batch": 12})):
            model = trained(session, folder, f"step{number}", **changes)
            assert session.ledger.register_version("desk", model.digest, None, "better") == number
        session.ledger.set_alias("desk", "production", 1)
    return folder / "home"


async def ask(url: str, key: dict[str, str], seen: Seen, number: int) -> None:
    """Ask, and tell the true answer to some, until the server is gone."""
    rng = random.Random(f"{url}{number}")
    async with httpx.AsyncClient(base_url=url, headers=key, timeout=30, verify=False) as client:
        try:
            while True:
                told = await client.post("/v1/predict", json={"texts": f"the card {rng.random()}"})
                if told.status_code != 200:
                    seen.wrong.append((told.status_code, told.text))
                    continue
                seen.answered += 1
                id, label = told.json()["predictions"][0]["id"], rng.choice(("card", "refund"))
                if rng.random() < 0.3:
                    kept = await client.post("/v1/feedback", json={"id": id, "label": label})
                    if kept.status_code == 200:
                        seen.acknowledged[id] = label
                    else:
                        seen.wrong.append((kept.status_code, kept.text))
        except httpx.HTTPError:
            return  # killed


async def killed(url: str, key: dict[str, str], seen: Seen, home: Path, pid: int, rng: random.Random) -> None:
    """Load, moved aliases beside it, and after a while the end."""
    clients = [asyncio.ensure_future(ask(url, key, seen, number)) for number in range(CLIENTS)]
    before = seen.answered
    while seen.answered == before and not seen.wrong:
        await asyncio.sleep(0.01)
    await asyncio.sleep(rng.random())
    await asyncio.to_thread(moved, home, rng.choice((1, 2)))
    await asyncio.sleep(rng.random() * 1.5)
    os.kill(pid, signal.SIGKILL)
    await asyncio.gather(*clients)


def check(home: Path, seen: Seen) -> None:
    """The ledger opens, is whole, and holds what was acknowledged."""
    with closing(sqlite3.connect(home / "ledger.db")) as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        told = dict(connection.execute("select observation_id, truth from feedback").fetchall())
        kept = {id for (id,) in connection.execute("select id from observations")}
    for id, label in seen.acknowledged.items():
        assert id in kept, "feedback was kept, and the prediction it is about is lost"
        assert label in str(told.get(id)), "feedback that was acknowledged is lost"
    with open_session(home) as session:
        assert session.ledger.resolve("desk", "production").version in (1, 2)
        found = verify(session.ledger.engine, session.ledger.project)
        assert found.problems == () and found.num_entries > 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_under_load_nothing_that_was_acknowledged_is_lost(home: Path, tmp_path: Path) -> None:
    seen, rng = Seen(), random.Random(5)
    for _ in range(KILLS):
        before = seen.answered
        with started(command(home, "desk@production", "--port", "0", "--rate", "0"), tmp_path) as running:
            asyncio.run(killed(running.url, owner(home), seen, home, running.process.pid, rng))
            assert running.process.wait(30) == -signal.SIGKILL
        check(home, seen)
        assert seen.answered > before
    assert seen.wrong == [] and len(seen.acknowledged) > KILLS
    with started(command(home, "desk@production", "--port", "0"), tmp_path) as running:
        told = httpx.post(f"{running.url}/v1/predict", json={"texts": "the card"}, headers=owner(home))
        assert told.status_code == 200, "it goes on"
        again = httpx.post(
            f"{running.url}/v1/feedback",
            json={"id": next(iter(seen.acknowledged)), "label": "card"},
            headers=owner(home),
        )
        assert again.status_code == 200, "of an earlier life"
        assert running.stop() == 0
    print(f"{KILLS} kills, {seen.answered} answers, {len(seen.acknowledged)} true answers kept", file=sys.stderr)
