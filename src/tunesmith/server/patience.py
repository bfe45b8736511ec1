"""How long and how large what a client sends may be, and how many may be connected: uvicorn itself waits for ever for
the end of a header, and keeps all of it and of what follows a body."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tunesmith.server.limits import Limits


class Patient(HttpToolsProtocol):
    """The HTTP protocol of a connection, with bounds."""

    limits: ClassVar[Limits]
    idle: ClassVar[dict[Patient, None]]
    """The connections that have asked nothing that is not answered, the longest idle first."""
    _due: asyncio.TimerHandle | None = None
    _is_waiting_for_more = False
    _num_waiting = 0
    """Bytes of a header whose end has not come."""
    _num_trailing: int | None = None
    """Bytes of header fields behind the body; None as long as the header itself has not ended."""

    def connection_made(self, transport: Any) -> None:
        """Give it time for a first question, and let the longest idle one go where there are too many."""
        super().connection_made(transport)
        # A client may connect before it has a question: it has as long as between two questions.
        self._due = self.loop.call_later(self.timeout_keep_alive, self._give_up)
        self.idle[self] = None
        if len(self.connections) > self.limits.max_connections:
            next(iter(self.idle))._give_up()

    def data_received(self, data: bytes) -> None:
        """Read on, and count what belongs to a header whose end has not come."""
        is_first = not self._is_waiting_for_more
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._cancel()
            self.idle.pop(self, None)
            return
        if is_first:
            self._cancel()
            self._is_waiting_for_more = True
        self._num_waiting += len(data)
        if self._num_waiting > self.limits.max_header_bytes:
            self._give_up()
        elif is_first:
            self._due = self.loop.call_later(self.limits.header_timeout_s, self._give_up)

    def on_message_begin(self) -> None:
        """A header begins."""
        super().on_message_begin()
        self._num_trailing = None

    def on_headers_complete(self) -> None:
        """Begin to answer, unless too many questions wait already."""
        self._num_trailing = 0
        if len(self.pipeline) < self.limits.max_pipelined:
            super().on_headers_complete()
        else:
            self._give_up()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the header; one behind the body is counted and left."""
        if self._num_trailing is None:
            super().on_header(name, value)
            return
        # A trailer, behind a body in chunks. Nobody reads them, and they would change the header that was checked.
        self._num_trailing += len(name) + len(value) + 4
        if self._num_trailing > self.limits.max_header_bytes:
            self._give_up()

    def on_response_complete(self) -> None:
        """Go on with the next question; without one, the connection is idle."""
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self.idle[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._cancel()
        self.idle.pop(self, None)
        super().connection_lost(exc)

    def _cancel(self) -> None:
        self._is_waiting_for_more, self._num_waiting = False, 0
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _give_up(self) -> None:
        self._due = None
        self.idle.pop(self, None)
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()


def patient(limits: Limits) -> type[Patient]:
    """The HTTP protocol of a server that closes connections whose header does not come in time, or to no end.

    Where more are connected than may be, whoever has asked nothing for longest is let go: no question is lost by it.
    """
    return type("Bounded", (Patient,), {"limits": limits, "idle": {}})
