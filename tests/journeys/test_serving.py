"""Serving in a process of its own, asked over HTTP: nothing crosses, nothing is dropped, and it comes back."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.serving import fake_server

CLIENTS = 32


def key(project: str) -> dict[str, str]:
    return {"Authorization": f"Bearer key-{project}"}


# What was accepted is answered, and by its own answer


class Tally:
    """What a load of clients saw."""

    def __init__(self) -> None:
        self.num_right = self.num_cancelled = self.num_turned_away = 0
        self.wrong: list[object] = []
        self.versions: set[str] = set()

    async def ask(self, client: httpx.AsyncClient, project: str, texts: list[str]) -> None:
        """Ask once, and check that each answer names the project and text it belongs to."""
        try:
            response = await client.post("/v1/predict", json={"texts": texts}, headers=key(project))
        except httpx.ConnectError:
            # Refused before a word was said: the server had stopped accepting.
            self.num_turned_away += 1
            raise
        except httpx.HTTPError as error:
            self.wrong.append(("dropped", repr(error), texts))
            return
        if response.status_code != 200:
            self.wrong.append((response.status_code, response.text, texts))
            return
        told = response.json()
        number = told["model"].partition("@")[2]
        self.versions.add(number)
        labels = [one["label"] for one in told["predictions"]]
        ids = [one["id"] for one in told["predictions"]]
        if labels != [f"{project}@{number}|{text}" for text in texts]:
            self.wrong.append((labels, texts))
        elif not all(one.startswith(f"{project}-") for one in ids):
            self.wrong.append((ids, project))
        else:
            self.num_right += 1


async def crowd(work: Callable[[int, httpx.AsyncClient], Coroutine[Any, Any, None]], url: str) -> None:
    """Run ``work`` for 32 clients at once, each with connections of its own."""

    async def one(number: int) -> None:
        # Plain HTTP: each client would read the system's certificates for nothing.
        async with httpx.AsyncClient(base_url=url, timeout=30, verify=False) as client:
            await work(number, client)

    await asyncio.gather(*(one(number) for number in range(CLIENTS)))


@pytest.mark.parametrize(
    "num_requests", [500, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
)
def test_no_answer_crosses_between_two_projects_with_cancellations(num_requests: int, tmp_path: Path) -> None:
    tally, left = Tally(), iter(range(num_requests))

    async def work(number: int, client: httpx.AsyncClient) -> None:
        rng = random.Random(number)
        for at in left:
            project = rng.choice(("one", "two"))
            # Some texts are asked again and again by both projects: a cache that crossed would show.
            texts = [rng.choice(("same", f"{at}.{row}" + "x" * rng.randint(0, 60))) for row in range(rng.randint(1, 4))]
            asked = asyncio.ensure_future(tally.ask(client, project, texts))
            if rng.random() < 0.2:
                await asyncio.sleep(rng.random() * 0.01)
                tally.num_cancelled += asked.cancel()
            await asyncio.wait([asked])
            if not asked.cancelled() and (error := asked.exception()) is not None:
                tally.wrong.append(error)

    with fake_server(tmp_path) as running:
        asyncio.run(crowd(work, running.url))
        page = httpx.get(f"{running.url}/metrics", headers=key("one")).text
    assert tally.wrong == []
    assert tally.num_right + tally.num_cancelled == num_requests
    assert tally.num_cancelled > num_requests * 0.1
    counts = dict(line.rsplit(" ", 1) for line in page.splitlines() if line and line[0] != "#")
    assert float(counts["tunesmith_batch_rows_sum"]) > 1.5 * float(counts["tunesmith_batch_rows_count"]), "batched"
    assert float(counts["tunesmith_open_requests"]) == 1, "nothing of the cancelled is left"
    assert float(counts['tunesmith_queued_texts{model="desk@production"}']) == 0


def test_a_moved_alias_is_taken_up_under_load_without_a_dropped_request(tmp_path: Path) -> None:
    tally, may_end = Tally(), [False]

    with fake_server(tmp_path) as running:

        async def work(number: int, client: httpx.AsyncClient) -> None:
            at = 0
            while not may_end[0]:
                at += 1
                await tally.ask(client, "one", [f"{number}.{at}", f"{number}.{at}b"])

        async def move() -> None:
            for version in (2, 3, 4):
                running.set_version(version)
                seen = time.monotonic()
                while str(version) not in tally.versions:
                    assert time.monotonic() - seen < 20, "the alias moved and nobody noticed"
                    await asyncio.sleep(0.05)
            may_end[0] = True

        async def both() -> None:
            await asyncio.gather(crowd(work, running.url), move())

        asyncio.run(both())
        shown = httpx.get(f"{running.url}/v1/models", headers=key("one")).json()["models"]
    assert tally.wrong == [] and tally.num_right > 100
    assert tally.versions == {"1", "2", "3", "4"}
    assert [(one["version"], one["problem"]) for one in shown] == [("desk@4", None)]


def stopped_under_load(folder: Path, number: int) -> Tally:
    """What clients saw of a server that got SIGTERM (or, every third time, SIGINT) while they asked."""
    tally = Tally()
    with fake_server(folder, delay_ms=5) as running:

        async def work(number: int, client: httpx.AsyncClient) -> None:
            at = 0
            while True:
                at += 1
                try:
                    await tally.ask(client, "two", [f"{number}.{at}"])
                except httpx.ConnectError:
                    return

        async def stop() -> None:
            await asyncio.sleep(0.3 + random.Random(number).random() * 0.5)
            running.process.send_signal(signal.SIGINT if number % 3 == 2 else signal.SIGTERM)

        async def both() -> None:
            await asyncio.gather(crowd(work, running.url), stop())

        asyncio.run(both())
        begun = time.monotonic()
        assert running.process.wait(30) == 0, (folder / "server.log").read_text(encoding="utf-8")
        assert time.monotonic() - begun < 30
    return tally


@pytest.mark.parametrize("times", [3, pytest.param(20, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_a_signal_under_load_drops_nothing_that_was_accepted(times: int, tmp_path: Path) -> None:
    for number in range(times):
        tally = stopped_under_load(tmp_path / str(number), number)
        assert tally.wrong == [], f"time {number}"
        assert tally.num_right > CLIENTS and tally.num_turned_away == CLIENTS


def test_killed_and_started_again_it_answers_again(tmp_path: Path) -> None:
    for _ in range(3):
        with fake_server(tmp_path) as running:
            answer = httpx.post(f"{running.url}/v1/predict", json={"texts": "x"}, headers=key("one"))
            assert answer.json()["predictions"][0]["label"] == "one@1|x"
            assert running.stop(signal.SIGKILL) == -signal.SIGKILL


def test_a_body_of_10_mb_is_refused_with_words_and_the_connection_lives(tmp_path: Path) -> None:
    with fake_server(tmp_path) as running, httpx.Client(base_url=running.url, headers=key("one")) as client:
        large = client.post("/v1/predict", json={"texts": "x" * 10_000_000})
        assert large.status_code == 413 and "bytes" in large.json()["error"]["seen"]
        assert client.post("/v1/predict", json={"texts": "x"}).status_code == 200
        with socket.create_connection(("127.0.0.1", int(running.url.rpartition(":")[2]))) as raw:
            raw.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: nonsense\r\n\r\n")
            assert raw.recv(100).startswith(b"HTTP/1.1 400")
        assert client.get("/healthz").status_code == 200


def test_a_header_without_an_end_ends_its_connection(tmp_path: Path) -> None:
    with fake_server(tmp_path) as running:
        host, port = running.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as endless:
            endless.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
            sent = 0
            with contextlib.suppress(ConnectionError):
                while sent < 10_000_000:
                    sent += endless.send(b"X-More: " + b"a" * 8000 + b"\r\n")
                    time.sleep(0.001)
                assert endless.recv(1) == b""
            assert sent < 10_000_000, "ten megabytes of header were taken"
        assert httpx.get(f"{running.url}/healthz").status_code == 200


def test_slow_headers_and_bodies_end_and_others_are_answered_meanwhile(tmp_path: Path) -> None:
    head = b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer key-one\r\n"
    whole = head + b"Content-Type: application/json\r\nContent-Length: 14\r\n\r\n"
    with fake_server(tmp_path, patience_s=1.0) as running:
        port = int(running.url.rpartition(":")[2])
        slow = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(40)]
        begun = time.monotonic()
        for number, one in enumerate(slow):
            if number % 4 == 3:  # one that was answered before, and is slow afterwards
                one.sendall(whole + b'{"texts": "x"}')
                told = b""
                while not told.endswith(b"]}"):
                    told += one.recv(20_000)
                assert told.startswith(b"HTTP/1.1 200")
            one.sendall(head[:30] if number % 2 else whole + b'{"te')
        for at in range(4):  # a byte now and then changes nothing
            time.sleep(0.2)
            for number, one in enumerate(slow):
                one.sendall(head[30 + at : 31 + at] if number % 2 else b"")
            assert httpx.post(f"{running.url}/v1/predict", json={"texts": "y"}, headers=key("one")).status_code == 200
        for number, one in enumerate(slow):
            answer = b""
            while part := one.recv(20_000):
                answer += part
            assert answer == b"" if number % 2 else answer.startswith(b"HTTP/1.1 408"), (number, answer)
            one.close()
        assert 0.9 < time.monotonic() - begun < 10
        page = httpx.get(f"{running.url}/metrics", headers=key("one")).text
    assert "tunesmith_open_requests 1.0" in page


def test_schemathesis_finds_no_5xx(tmp_path: Path) -> None:
    from hypothesis import HealthCheck, given, settings
    from schemathesis import openapi
    from schemathesis.checks import not_a_server_error

    with fake_server(tmp_path, delay_ms=0) as running:
        schema = openapi.from_url(f"{running.url}/openapi.json", headers=key("one"))
        num_asked = 0
        for result in schema.get_all_operations():
            operation = result.ok()

            @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            def ask(case: Any) -> None:
                nonlocal num_asked
                num_asked += 1
                response = case.call(base_url=running.url, headers=key("one"))
                case.validate_response(response, checks=(not_a_server_error,))

            given(case=operation.as_strategy())(ask)()
        assert num_asked >= 50
