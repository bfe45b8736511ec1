"""A real HTTP server for tests: on loopback, in a thread, answering as a function of the request says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    """A request as the server saw it."""

    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: Any
    number: int
    """1 for the first request."""


@dataclass(frozen=True)
class Reply:
    """What to answer: a JSON value, or bytes."""

    document: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None
    content_type: str = "application/json"
    cut_after: int | None = None
    """Close the connection after so many bytes of the body."""
    has_length: bool = True
    repeat: int = 1
    """Send the content so many times, as chunks without a length."""


Answering = Callable[[Asked], Reply]


class Api:
    """A server whose answers a test writes."""

    def __init__(self, answer: Answering) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                pass

            def _serve(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                parts = urlsplit(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(
                    self.command, parts.path, dict(parse_qsl(parts.query)), headers, body, len(outer.asked) + 1
                )
                outer.asked.append(asked)
                outer._reply(self, outer.answer(asked))

            do_GET = do_POST = do_HEAD = _serve

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()

    def _reply(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        content = json.dumps(reply.document).encode() if reply.content is None else reply.content
        handler.send_response(reply.status)
        handler.send_header("Content-Type", reply.content_type)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        if reply.repeat > 1:
            handler.send_header("Transfer-Encoding", "chunked")
        elif reply.has_length:
            handler.send_header("Content-Length", str(len(content)))
        else:
            handler.send_header("Connection", "close")
        handler.end_headers()
        if handler.command == "HEAD":
            return
        try:
            if reply.repeat > 1:
                for _ in range(reply.repeat):
                    handler.wfile.write(b"%x\r\n%b\r\n" % (len(content), content))
                handler.wfile.write(b"0\r\n\r\n")
            else:
                handler.wfile.write(content[: reply.cut_after])
        except OSError:  # the client had enough
            handler.close_connection = True
        if reply.cut_after is not None or not reply.has_length:
            handler.close_connection = True


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that had enough and left is no error."""


@contextmanager
def serving(answer: Answering) -> Iterator[Api]:
    """A server for as long as the context lasts."""
    api = Api(answer)
    try:
        yield api
    finally:
        api.close()


class FakeClock:
    """A clock that never waits and remembers how long it was told to."""

    def __init__(self, now_s: float = 1_700_000_000.0) -> None:
        self.now_s = now_s
        self.waits: list[float] = []

    def time(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float, /) -> None:
        self.waits.append(seconds)
        self.now_s += seconds
