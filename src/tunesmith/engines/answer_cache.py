"""Answers that were given before, so that an equal question costs nothing.

An entry belongs to one owner (an API key of a project) and is never seen by another: how fast an answer comes would
tell one customer what another has asked. No text is kept: entries are found by a keyed hash of it.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")
_Place = tuple[str, bytes]


class AnswerCache(Generic[Value]):
    """The least recently used leave first: of an owner over ``max_per_owner``, of all over ``max_entries``."""

    def __init__(
        self,
        max_per_owner: int = 1024,
        max_entries: int = 8192,
        max_age_s: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``max_per_owner`` 0: nothing is kept; ``max_age_s``: how long an answer is given again."""
        self.max_per_owner, self.max_entries, self.max_age_s = max_per_owner, max_entries, max_age_s
        self.num_hits = self.num_misses = 0
        self._clock = clock
        self._salt = secrets.token_bytes(32)
        self._owners: OrderedDict[str, OrderedDict[_Place, tuple[float, Value]]] = OrderedDict()
        self._num_entries = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._num_entries

    def get(self, owner: str, model_digest: str, text: str) -> Value | None:
        """The answer this owner got to this text from this model; None where there was none lately."""
        place = (model_digest, self._hash(text))
        with self._lock:
            mine = self._owners.get(owner)
            found = None if mine is None else mine.get(place)
            if mine is None or found is None:
                self.num_misses += 1
                return None
            if self._clock() - found[0] > self.max_age_s:
                self._drop(owner, mine, place)
                self.num_misses += 1
                return None
            mine.move_to_end(place)
            self._owners.move_to_end(owner)
            self.num_hits += 1
            return found[1]

    def put(self, owner: str, model_digest: str, text: str, value: Value) -> None:
        """Keep an answer for its owner."""
        if not self.max_per_owner:
            return
        place = (model_digest, self._hash(text))
        with self._lock:
            mine = self._owners.setdefault(owner, OrderedDict())
            self._owners.move_to_end(owner)
            self._num_entries += place not in mine
            mine[place] = (self._clock(), value)
            mine.move_to_end(place)
            if len(mine) > self.max_per_owner:
                self._drop(owner, mine, next(iter(mine)))
            while self._num_entries > self.max_entries:
                oldest, entries = next(iter(self._owners.items()))
                self._drop(oldest, entries, next(iter(entries)))

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._owners.clear()
            self._num_entries = 0

    def _drop(self, owner: str, mine: OrderedDict[_Place, tuple[float, Value]], place: _Place) -> None:
        del mine[place]
        self._num_entries -= 1
        if not mine:
            del self._owners[owner]

    def _hash(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=self._salt, digest_size=20).digest()
