"""Signed messages, posted to a real server on this machine."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from tunesmith.connectors import webhook
from tunesmith.core.errors import DataError

SECRET = "s3cret-of-the-receiver"


class Receiver(BaseHTTPRequestHandler):
    answers: ClassVar[list[int]] = []
    taken: ClassVar[list[tuple[dict[str, str], bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
        status = self.answers.pop(0) if self.answers else 204
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


class Clock:
    def __init__(self) -> None:
        self.waits: list[float] = []

    def time(self) -> float:
        return 1_700_000_000.5

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float, /) -> None:
        self.waits.append(seconds)


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    Receiver.answers, Receiver.taken = [], []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/alerts?team=support"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_receiver_can_check_who_sent_it(url: str) -> None:
    tries = webhook.send(url, SECRET, {"event": "alert", "words": "ä"}, is_private_allowed=True, clock=Clock())
    assert tries == 1
    (headers, body), *_ = Receiver.taken
    assert json.loads(body) == {"event": "alert", "words": "ä"}
    signed = headers["x-tunesmith-timestamp"].encode() + b"." + body
    assert headers["x-tunesmith-timestamp"] == "1700000000"
    wanted = "sha256=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(headers["x-tunesmith-signature"], wanted)


def test_what_may_pass_is_tried_again_each_time_later(url: str) -> None:
    Receiver.answers = [503, 429, 200]
    clock = Clock()
    assert webhook.send(url, SECRET, {}, is_private_allowed=True, clock=clock) == 3
    assert len(clock.waits) == 2 and 0.25 <= clock.waits[0] <= 0.5 <= clock.waits[1] <= 1.0


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (302, 1), (500, 3)])
def test_what_is_not_taken_says_so_without_secrets(url: str, status: int, tries: int) -> None:
    Receiver.answers = [status] * 9
    with pytest.raises(DataError, match="not taken") as raised:
        webhook.send(url, SECRET, {}, num_retries=2, is_private_allowed=True, clock=Clock())
    assert len(Receiver.taken) == tries
    assert str(status) in str(raised.value) and SECRET not in str(raised.value) and "team" not in str(raised.value)


def test_private_addresses_are_refused_unless_allowed(url: str) -> None:
    for address in (url, url.replace("127.0.0.1", "[::ffff:127.0.0.1]"), "http://169.254.169.254/latest"):
        with pytest.raises(DataError, match=r"not on the public internet|credentials"):
            webhook.send(address, SECRET, {}, clock=Clock())
    with pytest.raises(DataError, match="credentials"):
        webhook.send("http://169.254.169.254/x", SECRET, {}, is_private_allowed=True, clock=Clock())
    assert Receiver.taken == []


@pytest.mark.parametrize("address", ["ftp://host/x", "not a url", "http://me:pw@host/", "http:///x"])
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(DataError, match="cannot be used"):
        webhook.send(address, SECRET, {})


def test_a_short_secret_signs_nothing() -> None:
    with pytest.raises(DataError, match="too short"):
        webhook.send("https://host/x", "short", {})
