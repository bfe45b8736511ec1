"""How long and how large what a client sends may be, and how many may be connected: uvicorn itself waits for ever for
the end of a header, and keeps all of it and of what follows a body."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tunesmith.server.limits import Limits


def patient(limits: Limits) -> type[HttpToolsProtocol]:
    """The HTTP protocol of a server that closes connections whose header does not come in time, or to no end.

    Where more are connected than may be, whoever has asked nothing for longest is let go: no question is lost by it.
    """
    idle: dict[HttpToolsProtocol, None] = {}

    class Patient(HttpToolsProtocol):
        _due: asyncio.TimerHandle | None = None
        _is_waiting_for_more = False
        _num_waiting = 0
        """Bytes of a header whose end has not come."""
        _num_trailing: int | None = None
        """Bytes of header fields behind the body; None as long as the header itself has not ended."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            # A client may connect before it has a question: it has as long as between two questions.
            self._due = self.loop.call_later(self.timeout_keep_alive, self._give_up)
            idle[self] = None
            if len(self.connections) > limits.max_connections:
                next(iter(idle))._give_up()  # type: ignore[attr-defined]

        def data_received(self, data: bytes) -> None:
            is_first = not self._is_waiting_for_more
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._cancel()
                idle.pop(self, None)
                return
            if is_first:
                self._cancel()
                self._is_waiting_for_more = True
            self._num_waiting += len(data)
            if self._num_waiting > limits.max_header_bytes:
                self._give_up()
            elif is_first:
                self._due = self.loop.call_later(limits.header_timeout_s, self._give_up)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._num_trailing = None

        def on_headers_complete(self) -> None:
            self._num_trailing = 0
            if len(self.pipeline) < limits.max_pipelined:
                super().on_headers_complete()
            else:
                self._give_up()

        def on_header(self, name: bytes, value: bytes) -> None:
            if self._num_trailing is None:
                super().on_header(name, value)
                return
            # A trailer, behind a body in chunks. Nobody reads them, and they would change the header that was checked.
            self._num_trailing += len(name) + len(value) + 4
            if self._num_trailing > limits.max_header_bytes:
                self._give_up()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self.cycle is None or self.cycle.response_complete:
                idle[self] = None

        def connection_lost(self, exc: Exception | None) -> None:
            self._cancel()
            idle.pop(self, None)
            super().connection_lost(exc)

        def _cancel(self) -> None:
            self._is_waiting_for_more, self._num_waiting = False, 0
            if self._due is not None:
                self._due.cancel()
                self._due = None

        def _give_up(self) -> None:
            self._due = None
            idle.pop(self, None)
            if self.transport is not None and not self.transport.is_closing():
                self.transport.close()

    return Patient
