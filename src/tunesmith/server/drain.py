"""A uvicorn server that stops without dropping what it has accepted.

Order: readiness turns red and every answer says ``Connection: close``; no new connection is completed; those that were
are accepted and answered; clients that keep a connection open get a moment to have their next question answered with
that header; then what is in flight is waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import socket
import struct
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn

from tunesmith.server.service import Service

ACCEPT_S = 0.2
"""How long connections that are complete may take to be accepted."""
LINGER_S = 3.0
"""How long idle connections are kept for a question that may be on its way."""
IN_FLIGHT_S = 15
"""How long questions that are being answered are waited for."""
_SO_ATTACH_FILTER = 26


class DrainingServer(uvicorn.Server):
    """Stops on the first SIGTERM or SIGINT, at once on the second, and does not die of the signal afterwards."""

    def __init__(self, config: uvicorn.Config, service: Service, on_start: Callable[[], None] = lambda: None) -> None:
        """``on_start`` is called once connections are accepted."""
        super().__init__(config)
        self._service, self._on_start = service, on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept, and say so."""
        # What was imported and opened lives as long as the process: a full collection of it, which stops every answer
        # for most of a second, would find nothing. A model that is replaced is freed without: it has no cycles.
        gc.collect()
        gc.freeze()
        await super().startup(sockets)
        self._on_start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; uvicorn would raise the signal again at the end, and the exit code would not be 0."""
        self._service.is_draining = True
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what was accepted, then close."""
        self._service.is_draining = True
        for one in sockets or []:
            stop_handshakes(one)
        await asyncio.sleep(ACCEPT_S)
        for server in self.servers:
            server.close()
        until = asyncio.get_running_loop().time() + LINGER_S
        while self.server_state.connections and not self.force_exit and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)


def stop_handshakes(listener: socket.socket) -> None:
    """Let no further connection be completed, where the system can do that (Linux).

    A listener that is closed resets the connections its queue holds: clients that are connected, and have perhaps
    asked. With a filter that drops every packet to the listener, the queue can be emptied first. Source: HAProxy's
    way to reload; socket(7), SO_ATTACH_FILTER.
    """
    if sys.platform != "linux":
        return
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # one instruction: return 0
    program = struct.pack("HL", 1, ctypes.addressof(drop_all))
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
