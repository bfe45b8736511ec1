"""A server process and those who mean it harm: no memory without bound, no connection that keeps others out, no key
that counts for longer than is said."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.journeys.test_serve_command import command, owner
from tests.journeys.test_serving_ledger import made
from tests.serving import Running, fake_server, started

from tunesmith.lifecycle.session import open_session
from tunesmith.server.auth import KNOWN_S
from tunesmith.store import access

KEY = {"Authorization": "Bearer key-one"}
POST = (
    b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer key-one\r\n"
    b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)
ANSWERED = b"e\r\n" + b'{"texts": "x"}' + b"\r\n0\r\n"
MB = 2**20


@pytest.fixture(scope="module")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with fake_server(tmp_path_factory.mktemp("fakes")) as running:
        yield running


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("hostile"))


def connected(running: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(running.url.rpartition(":")[2])), timeout=20)


def memory(running: Running) -> int:
    """The bytes that the server's process holds."""
    lines = Path(f"/proc/{running.process.pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) * 1024


def flooded(running: Running, head: bytes, piece: bytes, most: int) -> tuple[int, bytes]:
    """How many bytes of a flood were taken before the connection ended, and what was answered."""
    sent, told = 0, b""
    with connected(running) as one, contextlib.suppress(ConnectionError):
        one.sendall(head)
        with contextlib.suppress(ConnectionError):
            while sent < most:
                sent += one.send(piece)
        while part := one.recv(65_536):
            told += part
    return sent, told


@pytest.mark.parametrize(
    ("head", "piece", "most", "status"),
    [
        # A body in chunks that never ends: read and thrown away up to a bound, so that its sender reads the refusal.
        (POST, b"10000\r\n" + b"a" * 65_536 + b"\r\n", 200 * MB, b"413"),
        # Header fields behind the body, which uvicorn keeps: 20 MB of them took 600 MB and stopped all answers.
        (POST + ANSWERED, b"x:\r\n" * 4000, 20 * MB, b""),
        (POST + ANSWERED, (b"x: " + b"a" * 1000 + b"\r\n") * 16, 20 * MB, b""),
        # Questions sent without waiting for an answer, each of which costs a hundred times its bytes.
        (b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 2000, 20 * MB, b""),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"a: b\r\n" * 2000, 20 * MB, b""),
        (b"GET /", b"a" * 60_000, 20 * MB, b""),
        (POST + b"FFFFFFFFFFFFFFFFFF\r\n", b"a" * 60_000, 20 * MB, b"400"),
    ],
    ids=["chunks", "small trailers", "trailers", "pipelined", "headers", "url", "chunk size"],
)
def test_a_flood_ends_its_connection_and_costs_no_memory(
    fakes: Running, head: bytes, piece: bytes, most: int, status: bytes
) -> None:
    assert httpx.post(f"{fakes.url}/v1/predict", json={"texts": "x"}, headers=KEY).status_code == 200
    before = memory(fakes)
    sent, told = flooded(fakes, head, piece, most)
    assert sent < most, "the whole flood was taken"
    assert not status or told.startswith(b"HTTP/1.1 " + status)
    assert memory(fakes) - before < 40 * MB
    assert httpx.post(f"{fakes.url}/v1/predict", json={"texts": "x"}, headers=KEY).status_code == 200


def test_a_few_trailers_and_pipelined_questions_are_answered_and_change_no_header(fakes: Running) -> None:
    with connected(fakes) as one:
        told = b""
        trailers = b"Authorization: Bearer key-two\r\nContent-Encoding: gzip\r\n\r\n"
        one.sendall((POST + ANSWERED + trailers) * 3 + POST + ANSWERED + b"\r\n")
        while told.count(b"one@1|x") < 4:
            part = one.recv(65_536)
            assert part, told
            told += part
        assert told.count(b"HTTP/1.1 200") == 4 and b"two@1" not in told


def test_idle_connections_keep_nobody_out_and_cut_nobody_off_who_asked(tmp_path: Path) -> None:
    with fake_server(tmp_path, delay_ms=3000, max_connections=20) as running, contextlib.ExitStack() as held:
        answers: list[httpx.Response] = []

        def ask() -> None:
            answers.append(httpx.post(f"{running.url}/v1/predict", json={"texts": "x"}, headers=KEY, timeout=30))

        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(0.5)
        begun = time.monotonic()
        idle = [held.enter_context(connected(running)) for _ in range(100)]
        assert httpx.get(f"{running.url}/healthz", timeout=5).status_code == 200
        assert time.monotonic() - begun < 3
        files = len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))
        for one in idle[:70]:
            assert one.recv(1) == b"", "who came first and asked nothing is let go"
        asking.join(30)
        assert [one.status_code for one in answers] == [200], "who has asked is answered"
        assert files < 70


def test_names_of_others_and_pages_of_others_get_nothing(home: Path, tmp_path: Path) -> None:
    with started(command(home, "desk@production", "--port", "0"), tmp_path) as running:
        port = running.url.rpartition(":")[2]
        for host in (
            "evil.example",
            f"evil.example:{port}",
            f"127.0.0.1.evil.example:{port}",
            "",
            "localhost.",
            "[::1",
        ):
            refused = httpx.get(f"{running.url}/healthz", headers={"Host": host})
            assert refused.status_code == 421, host
        asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
        preflight = httpx.options(f"{running.url}/v1/predict", headers=asked)
        page = httpx.get(f"{running.url}/v1/models", headers={**owner(home), **asked})
        assert preflight.status_code == 401 and page.status_code == 200
        for answer in (preflight, page):
            assert not [name for name in answer.headers if name.startswith("access-control")]
        assert running.stop() == 0


@pytest.mark.parametrize("end", ["revoked", "disabled"])
def test_a_key_ends_within_the_time_that_is_said_for_cached_answers_as_well(
    home: Path, tmp_path: Path, end: str
) -> None:
    with (
        open_session(home) as session,
        started(command(home, "desk@production", "--port", "0", "--rate", "0"), tmp_path) as running,
    ):
        engine, project, by = session.ledger.engine, session.ledger.project, session.actor
        access.add_user(engine, project, by, end, "engineer")
        made_key = access.make_key(engine, project, by, end)
        with httpx.Client(base_url=running.url, headers={"Authorization": f"Bearer {made_key.key}"}) as client:

            def status() -> int:
                return client.post("/v1/predict", json={"texts": "the same"}).status_code

            assert {status() for _ in range(5)} == {200}
            if end == "revoked":
                access.revoke_key(engine, project, by, made_key.id)
            else:
                access.disable_user(engine, project, by, end)
                access.add_user(engine, project, by, end, "viewer")  # back, with fewer rights and no key
            begun, statuses = time.monotonic(), []
            while time.monotonic() - begun < KNOWN_S + 1.5:
                statuses.append((time.monotonic() - begun, status()))
            assert all(one == 401 for at, one in statuses if at > KNOWN_S)
            counted = [one for _, one in statuses]
            assert set(counted) == {200, 401} and counted == sorted(counted), "once it has ended it stays so"
            assert httpx.get(f"{running.url}/v1/models", headers=owner(home)).status_code == 200
        assert running.stop() == 0
