"""Who asks: a Bearer key becomes an actor of one project, and a route asks for a right."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fastapi import Depends, Request
from fastapi.params import Depends as Dependency

from tunesmith.core.actor import Actor
from tunesmith.governance.access import Right, require
from tunesmith.server.errors import Refused

KNOWN_S = 2.0
"""How long a key that counted still counts unasked: a revoked one ends within this."""
MAX_KNOWN = 4096
MAX_LOOKUPS = 8
"""Keys looked up at once: whoever tries keys must not take every thread."""
MAX_KEY_CHARS = 256


@dataclass(frozen=True)
class Caller:
    """Whoever showed a key: the project it belongs to, and whose it is."""

    project: str
    actor: Actor

    @property
    def owner(self) -> str:
        """Names this key among all projects: what rates, caches and counts are kept by."""
        return f"{self.project}/{self.actor.key_id}"


class Keys(Protocol):
    """Where keys are known; may wait for a database."""

    def find(self, key: str) -> Caller | None:
        """Whose key it is; None where it is nobody's, expired, revoked, or of a project not served.

        Raises: StoreError where the ledger is out of reach.
        """


class Door:
    """Finds the caller of a request, and remembers keys that counted for two seconds."""

    def __init__(self, keys: Keys, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys, self._clock = keys, clock
        self._known: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()
        self._lookups = asyncio.Semaphore(MAX_LOOKUPS)
        self._asking: dict[bytes, tuple[float, asyncio.Task[Caller]]] = {}

    async def caller(self, authorization: str | None) -> Caller:
        """Whoever sent this Authorization header.

        Raises: Refused (401).
        """
        scheme, _, key = (authorization or "").partition(" ")
        key = key.strip()
        if not authorization:
            raise _refused("a key is missing")
        if scheme.lower() != "bearer" or not key or len(key) > MAX_KEY_CHARS or not _is_plain(key):
            raise _refused("this is no key")
        place = hashlib.sha256(key.encode()).digest()
        known = self._known.get(place)
        if known is not None and self._clock() - known[0] <= KNOWN_S:
            return known[1]
        since, asking = self._asking.get(place, (0.0, None))
        # Of many requests with one key, one asks the ledger; but none waits for what was asked before it can have been
        # revoked: a ledger that is slow must not let it count for longer.
        if asking is None or self._clock() - since > KNOWN_S:
            asking = asyncio.create_task(self._look_up(place, key))
            self._asking[place] = self._clock(), asking
            asking.add_done_callback(lambda done: self._asked(place, done))
        return await asyncio.shield(asking)

    async def _look_up(self, place: bytes, key: str) -> Caller:
        async with self._lookups:
            asked_at = self._clock()
            found = await asyncio.to_thread(self._keys.find, key)
        if found is None:
            self._known.pop(place, None)
            raise _refused("this key does not count here")
        if place not in self._known or self._known[place][0] <= asked_at:  # an older look may end later
            self._known[place] = (asked_at, found)
        self._known.move_to_end(place)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return found

    def _asked(self, place: bytes, done: asyncio.Task[Caller]) -> None:
        if self._asking.get(place, (0.0, None))[1] is done:
            del self._asking[place]
        if not done.cancelled():
            done.exception()  # whoever waited was told; where nobody does any more, asyncio need not complain


def _is_plain(key: str) -> bool:
    """Whether a key holds only what a key may: no byte that a database or a log could stumble over."""
    return key.isascii() and key.isprintable()


def _refused(what: str) -> Refused:
    return Refused(
        401,
        what,
        reason="key",
        allowed="Authorization: Bearer KEY",
        next="ask whoever runs this server for a key",
        headers={"WWW-Authenticate": 'Bearer realm="tunesmith"'},
    )


def caller_of(request: Request) -> Caller:
    """Whoever asks; the gate has found it before any route runs."""
    caller: Caller = request.state.caller
    return caller


class Needs:
    """A route's right, as its dependency; a test reads it off every route."""

    def __init__(self, right: Right) -> None:
        self.right = right

    async def __call__(self, request: Request) -> None:
        require(caller_of(request).actor, self.right)


def needs(right: Right) -> Dependency:
    """The dependency of a route that asks for a right."""
    made: Dependency = Depends(Needs(right))
    return made
