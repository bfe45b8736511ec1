"""How much one request, one key and all together may ask."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tunesmith.server.errors import Refused

MAX_BUCKETS = 10_000
"""Keys whose rate is remembered; beyond it the one that asked longest ago is forgotten, which only does it a favour."""


@dataclass(frozen=True)
class Limits:
    """The bounds of a server."""

    max_body_bytes: int = 4 * 2**20
    """Bytes of a request's body; more are never kept in memory."""
    max_texts: int = 256
    """Texts of one request."""
    max_chars: int = 100_000
    """Characters of one text."""
    max_attributed: int = 16
    """Texts of one request that asks for attribution, which costs a hundred times an answer."""
    requests_per_s: float = 200.0
    """Requests a second of one key, in the long run; 0: unbounded."""
    burst: int = 400
    """Requests of one key at once."""
    max_open_per_key: int = 256
    """Requests of one key that are being answered."""
    max_open: int = 1024
    """Requests of all keys that are being answered."""
    max_connections: int = 4096
    """Connections at once, each a file of the process; beyond it, whoever has asked nothing for longest is let go."""
    max_pipelined: int = 32
    """Requests that a connection may send before the first of them is answered; one that sends more is closed."""
    header_timeout_s: float = 10.0
    """How long a client may take to send a header it has begun; the connection is closed then."""
    max_header_bytes: int = 65_536
    """Most bytes of a header, and of what follows a body in chunks; a connection that sends more is closed."""
    body_timeout_s: float = 20.0
    """How long a client may take to send a body."""


class Rate:
    """A bucket of tokens for each key, refilled evenly."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits, self._clock = limits, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> None:
        """Count one request.

        Raises: Refused (429) with the seconds to wait.
        """
        per_s, burst = self._limits.requests_per_s, float(self._limits.burst)
        if per_s <= 0:
            return
        now = self._clock()
        tokens, then = self._buckets.get(key, (burst, now))
        tokens = min(burst, tokens + (now - then) * per_s)
        self._buckets[key] = (tokens - 1 if tokens >= 1 else tokens, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        if tokens < 1:
            wait_s = max(1, round((1 - tokens) / per_s + 0.5))
            raise Refused(
                429,
                "this key asks too often",
                reason="rate",
                allowed=f"{per_s:g} requests a second, {self._limits.burst} at once",
                next=f"ask again in {wait_s} s, or send several texts in one request",
                headers={"Retry-After": str(wait_s)},
            )


class OpenRequests:
    """Counts the requests that are being answered, of each key and of all."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_key: dict[str, int] = {}
        self.number = 0

    @contextmanager
    def one_more(self, key: str) -> Iterator[None]:
        """Count a request for as long as the context lasts.

        Raises: Refused: 429 where the key has too many, 503 where all have.
        """
        mine = self._by_key.get(key, 0)
        if self.number >= self._limits.max_open:
            raise _too_many(503, "too many requests are being answered", self._limits.max_open)
        if mine >= self._limits.max_open_per_key:
            raise _too_many(429, "this key has too many requests open", self._limits.max_open_per_key)
        self._by_key[key] = mine + 1
        self.number += 1
        try:
            yield
        finally:
            self.number -= 1
            self._by_key[key] -= 1
            if not self._by_key[key]:
                del self._by_key[key]


def _too_many(status: int, what: str, allowed: int) -> Refused:
    return Refused(
        status, what, reason="concurrency", allowed=allowed, next="ask again in a second", headers={"Retry-After": "1"}
    )
