"""Where a server listens: an address, a port that nobody else has, room for its connections."""

from __future__ import annotations

import errno
import ipaddress
import logging
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tunesmith.core.errors import TunesmithError

log = logging.getLogger(__name__)
OTHER_FILES = 256
"""Files besides connections: the ledger, its log, libraries."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server bound there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """A socket bound to that place, closed in the end.

    Raises: TunesmithError where the port is taken or the host is not this machine's.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
    except OSError as error:
        raise _cannot_bind(host, port, error) from error
    with listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            # Two that start together can both bind; the queue is what only one of them gets.
            listener.listen(2048)
        except OSError as error:
            raise _cannot_bind(host, port, error) from error
        yield listener


def _cannot_bind(host: str, port: int, error: OSError) -> TunesmithError:
    if error.errno == errno.EADDRINUSE:
        return TunesmithError(
            f"port {port} is in use", seen=f"{host}:{port}", next="stop what listens there, or give another --port"
        )
    if error.errno == errno.EACCES:
        return TunesmithError(f"port {port} may not be used", seen=error.strerror, next="give a --port above 1023")
    return TunesmithError("the address cannot be listened on", seen=f"{host}:{port}: {error}", next="see --host")


def url_of(listener: socket.socket) -> str:
    """The URL of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def make_room(num_connections: int) -> None:
    """Let the process have as many files open as it may have connections, as far as the system allows.

    Where there are fewer, nobody new is accepted until somebody leaves: shells often begin with 1,024.
    """
    wanted = num_connections + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        if most < wanted:
            log.warning("%s files may be open: %s connections need %s (ulimit -Hn)", most, num_connections, wanted)
