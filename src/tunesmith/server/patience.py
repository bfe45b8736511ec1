"""How long and how large a header may be: uvicorn itself waits for ever for its end, and keeps all of it."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tunesmith.server.limits import Limits


def patient(limits: Limits) -> type[HttpToolsProtocol]:
    """The HTTP protocol of a server that closes connections whose header does not come in time, or to no end."""

    class Patient(HttpToolsProtocol):
        _due: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            # A client may connect before it has a question: it has as long as between two questions.
            self._due = self.loop.call_later(self.timeout_keep_alive, self._give_up)

        def data_received(self, data: bytes) -> None:
            is_first = not self._is_waiting_for_more
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._cancel()
                return
            if is_first:
                self._cancel()
                self._is_waiting_for_more = True
            self._num_waiting += len(data)
            if self._num_waiting > limits.max_header_bytes:
                self._give_up()
            elif is_first:
                self._due = self.loop.call_later(limits.header_timeout_s, self._give_up)

        def connection_lost(self, exc: Exception | None) -> None:
            self._cancel()
            super().connection_lost(exc)

        _is_waiting_for_more = False
        _num_waiting = 0
        """Bytes of a header whose end has not come."""

        def _cancel(self) -> None:
            self._is_waiting_for_more, self._num_waiting = False, 0
            if self._due is not None:
                self._due.cancel()
                self._due = None

        def _give_up(self) -> None:
            self._due = None
            if self.transport is not None and not self.transport.is_closing():
                self.transport.close()

    return Patient
