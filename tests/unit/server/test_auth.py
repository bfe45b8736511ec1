"""Many requests with one key ask the ledger once; each is told what it found."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest
from tests.serving import FakeKeys

from tunesmith.server.auth import KNOWN_S, MAX_LOOKUPS, Caller, Door
from tunesmith.server.errors import Refused


class SlowKeys(FakeKeys):
    """Keys that are found once ``open`` is set; counts those that look at once."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.num_inside, self.most_inside = threading.Event(), 0, 0

    def find(self, key: str) -> Caller | None:
        self.num_inside += 1
        self.most_inside = max(self.most_inside, self.num_inside)
        assert self.open.wait(10)
        self.num_inside -= 1
        return super().find(key)


async def asked(keys: SlowKeys, door: Door, shown: list[str]) -> list[object]:
    asking = [asyncio.ensure_future(door.caller(f"Bearer {key}")) for key in shown]
    await asyncio.sleep(0)
    asking[0].cancel()  # a client that leaves takes nobody's answer away
    keys.open.set()
    return list(await asyncio.gather(*asking, return_exceptions=True))[1:]


def test_requests_with_one_key_ask_once() -> None:
    keys = SlowKeys()
    found = asyncio.run(asked(keys, Door(keys), ["key-one"] * 40))
    assert {one.project if isinstance(one, Caller) else one for one in found} == {"one"}
    assert keys.num_asked == 1


def test_a_wrong_key_is_refused_to_each_and_asked_anew_later() -> None:
    keys = SlowKeys()
    door = Door(keys)
    found = asyncio.run(asked(keys, door, ["nobody"] * 40))
    assert len(found) == 39 and all(isinstance(one, Refused) and one.status == 401 for one in found)
    assert keys.num_asked == 1
    with pytest.raises(Refused):
        asyncio.run(door.caller("Bearer nobody"))
    assert keys.num_asked == 2


def test_different_keys_do_not_wait_for_each_other_up_to_a_bound() -> None:
    keys = SlowKeys()
    found = asyncio.run(asked(keys, Door(keys), [f"key-two-{number}" for number in range(30)]))
    assert len(found) == 29 and all(isinstance(one, Caller) for one in found)
    assert 1 <= keys.most_inside <= MAX_LOOKUPS


def test_a_key_counts_from_when_it_was_asked_for_and_not_from_when_a_slow_ledger_answered() -> None:
    async def ask() -> None:
        now, keys = [0.0], SlowKeys()
        door = Door(keys, lambda: now[0])
        first = asyncio.ensure_future(door.caller("Bearer key-one"))
        await asyncio.to_thread(_until, lambda: keys.num_inside == 1)
        now[0] = KNOWN_S + 0.5  # the key is revoked meanwhile: what the first one is told was true when it asked
        later = asyncio.ensure_future(door.caller("Bearer key-one"))
        await asyncio.to_thread(_until, lambda: keys.num_inside == 2)
        keys.open.set()
        assert (await first).project == (await later).project == "one"
        keys.projects = ()
        now[0] += KNOWN_S
        assert (await door.caller("Bearer key-one")).project == "one"
        now[0] += 0.01
        with pytest.raises(Refused):
            await door.caller("Bearer key-one")
        assert door._asking == {}

    asyncio.run(ask())


def _until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.001)


def test_a_key_of_strange_bytes_asks_nobody() -> None:
    keys = SlowKeys()
    for key in ("ab\tc", "ab\x00c", "ab\x7fc", "é", "x" * 300):
        with pytest.raises(Refused, match="no key"):
            asyncio.run(Door(keys).caller(f"Bearer {key}"))
    assert keys.num_asked == 0
