"""Claims: of all the runners on one ledger, one does a step at a time."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text

from tunesmith.core.errors import Interrupted
from tunesmith.store.database import told

FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 1.0


@contextmanager
def claimed(
    engine: Engine,
    project: str,
    content_key: str,
    *,
    is_cancelled: Callable[[], bool] = lambda: False,
    on_wait: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Hold a step for as long as the context lasts; who comes later waits, and can be cancelled while waiting.

    On PostgreSQL it is an advisory lock of a connection of its own, which falls when the holder is killed. A ledger
    in SQLite stands on the disk of its runners, where the lock on the step's folder does the same.
    Raises: Interrupted where it was cancelled before it could be had.
    """
    if engine.dialect.name != "postgresql":
        yield
        return
    lock = {"lock": lock_of(project, content_key)}
    with told(engine):
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    try:
        with told(engine):
            _take(connection, lock, is_cancelled, on_wait)
        yield
    finally:
        # Closed for good: an advisory lock belongs to the connection and would outlive its return to the pool.
        connection.invalidate()
        connection.close()


def lock_of(project: str, content_key: str) -> int:
    """The number of a step's lock: 63 bits, so that two steps meeting by chance only wait for each other."""
    return int.from_bytes(hashlib.sha256(f"{project}\0{content_key}".encode()).digest()[:8], "big") >> 1


def _take(
    connection: Connection, lock: dict[str, int], is_cancelled: Callable[[], bool], on_wait: Callable[[], None]
) -> None:
    wait_s = FIRST_WAIT_S
    while not connection.execute(text("select pg_try_advisory_lock(:lock)"), lock).scalar():
        if wait_s == FIRST_WAIT_S:
            on_wait()
        if is_cancelled():
            raise Interrupted("interrupted while another runner did the step")
        time.sleep(wait_s)
        wait_s = min(wait_s * 2, LONGEST_WAIT_S)
