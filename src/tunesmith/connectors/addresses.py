"""Which addresses of the network may be reached: a recipe must not read what only this machine can see."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable

from tunesmith.core.errors import DataError

Lookup = Callable[[str, int], list[str]]
"""The addresses of a host name, best first."""
METADATA = frozenset({"169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254"})
"""Where clouds hand a machine its own credentials: rows never come from there, so no setting opens these."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def lookup(host: str, port: int) -> list[str]:
    """The addresses that the system knows for a host, best first, each once.

    Raises: OSError for a name that is not known.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def checked(host: str, port: int, *, is_private_allowed: bool, who: str, find: Lookup = lookup) -> list[str]:
    """The addresses of a host, once every one of them is known to be open to be read from.

    One private address among public ones is refused too: whoever answers for the name could swap them.
    Raises: OSError for a name that is not known; DataError for an address that is off limits.
    """
    addresses = find(host, port)
    for address in addresses:
        reason = off_limits(address, is_private_allowed=is_private_allowed)
        if reason:
            raise DataError(
                f"{who}: the host `{host}` is {reason}",
                seen=address,
                allowed="addresses of the public internet",
                next=None if "credentials" in reason else "if this server is yours, write `allow_private: true`",
            )
    return addresses


def off_limits(address: str, *, is_private_allowed: bool) -> str:
    """Why an address may not be reached; empty where it may."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    within = _within(ip)
    # A network without IPv4 reaches every IPv4 host by such an address: the host within is what counts.
    is_translated = ip in _NAT64
    for one in within if is_translated else (ip, *within):
        if str(one) in METADATA:
            return "where a cloud keeps this machine's credentials"
        if not is_private_allowed and (not one.is_global or one.is_multicast or one.is_reserved):
            return "not on the public internet"
    return ""


def _within(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address stands for."""
    if isinstance(ip, ipaddress.IPv4Address):
        return []
    found = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if ip in _NAT64:
        found.append(ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF))
    return [one for one in found if one is not None]
