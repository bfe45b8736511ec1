"""Every request passes here, before any route: foreign hosts, keys, rates, errors as JSON, headers, counts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunesmith.server.errors import ErrorAnswer, Refused, answer_of
from tunesmith.server.service import Service

OPEN = frozenset({"/healthz", "/readyz"})
"""Paths that ask for no key."""
PREDICT = "/v1/predict"
"""The path whose refusals are a model's."""
HEADERS = {
    "Cache-Control": "private, no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}


class ClientGone(Exception):
    """The client left; nobody reads an answer."""


class Gate:
    """An ASGI middleware; ``hosts`` are the names a request may be sent to, None: any."""

    def __init__(self, app: ASGIApp, service: Service, hosts: frozenset[str] | None) -> None:
        self.app, self.service, self.hosts = app, service, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent = _Sent(send, self.service)
        started = time.perf_counter()
        try:
            await self._pass(scope, receive, sent)
        except ClientGone:
            self.service.instruments.gone.inc()
            return
        except Exception as error:
            answer = answer_of(error)
            if sent.status is not None:
                return  # it broke in the middle of its answer, which the log now tells
            await answer_to(answer)(scope, receive, sent)
        self._count(scope, sent.status or 500, time.perf_counter() - started)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        self._check_host(headers)
        if scope["path"] in OPEN:
            await self.app(scope, receive, send)
            return
        caller = await self.service.door.caller(headers.get("authorization"))
        scope.setdefault("state", {})["caller"] = caller
        with ExitStack() as held:
            try:
                self.service.rate.take(caller.owner)
                held.enter_context(self.service.open.one_more(caller.owner))
            except Refused as error:
                if scope["path"] == PREDICT:
                    self.service.unanswered(caller, None, error, 0.0)
                raise
            held.enter_context(self._gauge())
            await self.app(scope, receive, send)

    def _check_host(self, headers: Headers) -> None:
        if self.hosts is None:
            return
        given = headers.get("host", "")
        name = "".join(given.partition("]")[:2]) if given.startswith("[") else given.partition(":")[0]
        if name.lower() not in self.hosts:
            # A page in someone's browser can point its own name at 127.0.0.1, and would then speak to us.
            raise Refused(
                421,
                "this server does not answer to that host",
                reason="host",
                seen=given or "none",
                allowed=", ".join(sorted(self.hosts)),
            )

    @contextmanager
    def _gauge(self) -> Iterator[None]:
        self.service.instruments.open.inc()
        try:
            yield
        finally:
            self.service.instruments.open.dec()

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        # The route's pattern and never the path, of which there could be any number.
        route = getattr(scope.get("route"), "path", None) or (scope["path"] if scope["path"] in OPEN else "none")
        self.service.instruments.requests.labels(route, str(status)).inc()
        self.service.instruments.seconds.labels(route).observe(seconds)


class _Sent:
    """``send`` with the headers every answer has; remembers the status."""

    def __init__(self, send: Send, service: Service) -> None:
        self._send, self._service = send, service
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if self._service.is_draining:
                headers["Connection"] = "close"
            if reason := headers.get("x-refused"):
                self._service.instruments.refused.labels(reason).inc()
                del headers["x-refused"]
        await self._send(message)


def answer_to(answer: ErrorAnswer) -> JSONResponse:
    """The response for an error; ``x-refused`` is taken off again by the gate, which counts it."""
    return JSONResponse(answer.body, answer.status, {**answer.headers, "x-refused": answer.reason})
