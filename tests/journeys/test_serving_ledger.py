"""A served model and its ledger: counts as clients saw them, PostgreSQL that stops, explanations beside answers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from tests import tiny
from tests.journeys.test_serve_command import command, owner, trained, wait_for
from tests.postgres import PASSWORD, PostgresServer
from tests.serving import ROOT, started

from tunesmith.lifecycle.session import open_session
from tunesmith.store import audit, erasures, observations
from tunesmith.store.verify_audit import verify

TEXTS = tiny.sentences(12)[0]


def made(folder: Path) -> Path:
    """A workspace with ``desk@production``."""
    with open_session(folder / "home") as session:
        model = trained(session, folder, "step")
        session.ledger.register_version("desk", model.digest, None, "better")
        session.ledger.set_alias("desk", "production", 1)
    return folder / "home"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("ledger"))


def counted(home: Path) -> Counter[str]:
    """The requests of ``desk@1`` on record, by what became of them."""
    with open_session(home) as session:
        rows = observations.served(session.ledger.engine, session.ledger.project, "desk", 1)
    found: Counter[str] = Counter()
    for one in rows:
        found[one.outcome] += one.requests
    return found


def test_the_counts_of_the_ledger_are_what_a_client_saw(home: Path, tmp_path: Path) -> None:
    before, seen = counted(home), Counter[str]()  # another test may have asked the same model
    with started(command(home, "desk@production", "--port", "0", "--rate", "5"), tmp_path) as running:
        with httpx.Client(base_url=running.url, headers=owner(home)) as client:
            # What is no question to this model is not counted for it.
            assert client.post("/v1/predict", json={"texts": []}).status_code == 422
            assert client.post("/v1/predict", json={"texts": "x", "model": "other@1"}).status_code == 404
            large = ("x" * 100_001, ["x"] * 257, "x" * 5_000_000)
            bodies: list[dict[str, object]] = [{"texts": TEXTS[:2]}, *({"texts": one} for one in large)]
            statuses: Counter[int] = Counter()
            while statuses[429] < 5 and statuses.total() < 500:
                status = client.post("/v1/predict", json=bodies[statuses.total() % 4]).status_code
                statuses[status] += 1
                seen["answered" if status == 200 else "refused"] += 1
        assert running.stop() == 0
    assert set(statuses) == {200, 413, 429}, statuses
    after = counted(home)
    after.subtract(before)
    assert after == seen


def test_each_bad_input_has_its_status_and_says_what_to_do(home: Path, tmp_path: Path) -> None:
    with started(command(home, "desk@production", "--port", "0"), tmp_path) as running:
        key, url = owner(home), f"{running.url}/v1/predict"
        wrong, typed = {"Authorization": "Bearer tsk_0_wrong"}, {**key, "Content-Type": "application/json"}
        id = httpx.post(url, json={"texts": TEXTS[0]}, headers=key).json()["predictions"][0]["id"]
        feedback = f"{running.url}/v1/feedback"
        told = [
            (httpx.post(url, json={"texts": "x", "model": "dsk@production"}, headers=key), 404, "next", "desk@pro"),
            (httpx.post(url, json={"texts": "x", "model": "desk@prod"}, headers=key), 404, "next", "desk@production"),
            (httpx.post(url, json={"texts": "x" * 10_000_000}, headers=key), 413, "seen", "10,000,"),
            (httpx.post(url, json={"texts": []}, headers=key), 422, "what", "`texts`"),
            (httpx.post(url, content=b'{"texts": ["x"', headers=typed), 400, "seen", "line 1, column"),
            (httpx.post(url, json={"texts": "x"}, headers=wrong), 401, "next", "key"),
            (httpx.post(url, json={"texts": "x"}), 401, "what", "missing"),
            (httpx.post(feedback, json={"id": "f" * 32, "label": "card"}, headers=key), 404, "seen", "fff"),
            (httpx.post(feedback, json={"id": id, "label": "cart"}, headers=key), 422, "next", "`card`"),
        ]
        for response, status, part, words in told:
            error = response.json()["error"]
            assert response.status_code == status and words in error[part], (status, response.text)
            assert response.headers["cache-control"] == "private, no-store"
        taken = running.url.rpartition(":")[2]
        done = subprocess.run(
            command(home, "desk@production", "--port", taken), cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1 and f"port {taken} is in use" in json.loads(done.stdout)["what"]
        assert httpx.post(feedback, json={"id": id, "label": "card"}, headers=key).status_code == 200, "nothing is lost"
        assert running.stop() == 0


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_explanations_leave_the_answers_of_others_alone(home: Path, tmp_path: Path, precision: str) -> None:
    words = ("desk@production", "--port", "0", "--rate", "0", "--precision", precision)

    async def ask(url: str) -> tuple[list[object], list[httpx.Response]]:
        async with httpx.AsyncClient(base_url=url, headers=owner(home), timeout=60, verify=False) as client:

            async def answers(texts: list[str]) -> list[dict[str, float]]:
                told = (await client.post("/v1/predict", json={"texts": texts})).json()["predictions"]
                return [one["probabilities"] for one in told]

            async def explained(number: int) -> httpx.Response:
                body = {"texts": [TEXTS[number]], "attribution": True}
                return await client.post("/v1/predict", json=body)

            # Spaces behind a text change its place in the cache, and none of its tokens.
            alone = await answers(TEXTS)
            both = await asyncio.gather(
                *(answers([one + " " * number for one in TEXTS]) for number in range(1, 9)),
                *(explained(number) for number in range(8)),
            )
            return [alone, *both[:8]], both[8:]

    with started(command(home, *words), tmp_path) as running:
        [alone, *beside], explanations = asyncio.run(ask(running.url))
        assert running.stop() == 0
    tolerance = 1e-5 if precision == "float32" else 0.02
    for answers in beside:
        for one, other in zip(alone, answers, strict=True):  # type: ignore[call-overload]
            assert other == pytest.approx(one, abs=tolerance)
    for number, response in enumerate(explanations):
        assert response.status_code == 200
        [told] = response.json()["predictions"]
        found = told["attribution"]
        assert found["text"] == TEXTS[number] and found["words"]
        assert found["method"] == "ig" and abs(found["error"]) < 0.05


def test_a_served_model_says_that_it_learned_from_somebody_who_is_gone(tmp_path: Path) -> None:
    home = made(tmp_path)
    with open_session(home) as session, started(command(home, "desk@production", "--port", "0"), tmp_path) as running:
        client = httpx.Client(base_url=running.url, headers=owner(home))

        def stale() -> Any:
            [told] = client.get("/v1/models").json()["models"]
            return told["stale"]

        assert stale() is None and 'tunesmith_model_stale{model="desk@production"} 0.0' in client.get("/metrics").text
        engine, digest = session.ledger.engine, session.ledger.resolve("desk", 1).digest
        erasures.begin(engine, "default", "e1", "f" * 32, "asked", session.actor)
        erasures.mark_stale(engine, "default", "e1", [digest])
        assert wait_for(lambda: stale() is not None, 10) < 3
        assert stale()["erasures"] == ["e1"] and "1 person erased since" in stale()["reason"]
        assert 'tunesmith_model_stale{model="desk@production"} 1.0' in client.get("/metrics").text
        assert running.stop() == 0


def test_any_server_of_a_ledger_takes_feedback_on_an_answer_of_another(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"postgresql+psycopg://tester:{quote(PASSWORD, safe='')}@/postgres?host={postgres.folder}"
    monkeypatch.setenv("TUNESMITH_LEDGER", url)
    home, words = made(tmp_path), ("desk@production", "--port", "0")
    with started(command(home, *words), tmp_path) as one, started(command(home, *words), tmp_path) as other:
        clients = [httpx.Client(base_url=server.url, headers=owner(home), verify=False) for server in (one, other)]
        told = {}
        for at, text in enumerate(TEXTS):
            answering, taking = clients[at % 2], clients[1 - at % 2]
            [answer] = answering.post("/v1/predict", json={"texts": text}).json()["predictions"]
            told[answer["id"]] = taking.post("/v1/feedback", json={"id": answer["id"], "label": "card"}).status_code
        assert set(told.values()) == {200} and len(told) == len(TEXTS)
        assert (one.stop(), other.stop()) == (0, 0)
    with open_session(home) as session:
        engine, project = session.ledger.engine, session.ledger.project
        kept = [observations.find(engine, project, id) for id in told]
        assert [row is not None and row.truth for row in kept] == ["card"] * len(TEXTS)
        assert verify(engine, project).is_whole


def outage(home: Path, folder: Path, stop: Callable[[], object], start: Callable[[], object], secret: str) -> None:
    """A ledger goes and comes back under a server: the one rule, whatever the ledger is kept in."""
    with started(command(home, "desk@production", "--port", "0"), folder) as running:
        key = owner(home)

        # Plain HTTP, and one client: a new one would read the system's certificates for each look.
        plain = httpx.Client(base_url=running.url, timeout=5, verify=False)

        def ready() -> bool:
            return plain.get("/readyz").status_code == 200

        ids: list[str] = []

        def predict(text: str) -> int:
            response = httpx.post(f"{running.url}/v1/predict", json={"texts": text}, headers=key, timeout=15)
            if response.status_code == 200:
                ids.append(response.json()["predictions"][0]["id"])
            return response.status_code

        def tell(id: str) -> httpx.Response:
            body = {"id": id, "label": "card"}
            return httpx.post(f"{running.url}/v1/feedback", json=body, headers=key, timeout=40)

        assert ready() and [predict(text) for text in TEXTS[:3]] == [200] * 3
        assert tell(ids[0]).status_code == 200
        stop()
        # What would be acknowledged is refused from the first moment on.
        at_once = tell(ids[0])
        # A key that counted lately still does; what is answered now waits for the ledger.
        statuses = [predict(text) for text in TEXTS[3:6]]
        assert set(statuses) <= {200, 503}
        assert wait_for(lambda: not ready(), 10) < 2
        assert httpx.get(f"{running.url}/healthz").status_code == 200
        wait_for(lambda: predict("later") == 503, 10)
        for told in (at_once, tell(ids[0])):
            assert told.status_code == 503 and told.headers["retry-after"]
            assert told.json()["error"]["what"] == "the ledger is out of reach" and told.json()["error"]["next"]
            assert secret not in told.text and str(home) not in told.text
        start()
        wait_for(ready, 20)
        wait_for(lambda: predict("back") == 200, 10)
        begun = time.monotonic()
        assert {tell(id).status_code for id in ids} == {200}
        assert time.monotonic() - begun < 60
        assert running.stop() == 0
    with open_session(home) as session:
        kept = [observations.find(session.ledger.engine, session.ledger.project, id) for id in ids]
        words = len(audit.entries(session.ledger.engine, session.ledger.project, action="feedback"))
        assert verify(session.ledger.engine, session.ledger.project).is_whole
    assert None not in kept and len(kept) >= 4
    assert words == len(ids) + 1, "each that was acknowledged, and none that was refused"


def test_postgresql_that_stops_turns_readiness_red_and_loses_no_accepted_prediction(
    postgres: PostgresServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = f"postgresql+psycopg://tester:{quote(PASSWORD, safe='')}@/postgres?host={postgres.folder}"
    monkeypatch.setenv("TUNESMITH_LEDGER", url)
    outage(made(tmp_path), tmp_path, postgres.stop, postgres.start, PASSWORD)


def test_a_ledger_file_that_is_moved_away_is_a_ledger_that_is_down(tmp_path: Path) -> None:
    home = made(tmp_path)
    away = home / "away.db"

    def stop() -> None:
        (home / "ledger.db").rename(away)

    def start() -> None:
        # Meanwhile the command line makes no empty ledger there, and says what to do.
        for words in (["monitor", "desk@production"], ["models"], ["users", "list"], ["audit", "verify"]):
            given = [sys.executable, "-m", "tunesmith.cli.main", *words, "--home", str(home), "--json"]
            done = subprocess.run(given, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 1, done.stdout + done.stderr
            told = json.loads(done.stdout)
            assert "ledger of the project `default` is gone" in told["what"] and "TUNESMITH_LEDGER" in told["next"]
        assert not (home / "ledger.db").exists()
        away.rename(home / "ledger.db")

    outage(home, tmp_path, stop, start, "away.db")
    log = (tmp_path / "server.log").read_text(encoding="utf-8")
    assert str(home / "ledger.db") in log and "put it back" in log, "whoever runs the server reads which file"
