"""Locks between processes: held by the kernel, so that they fall when their holder is killed."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from tunesmith.core.errors import StoreError
from tunesmith.store.files import make_folder, reported


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock for as long as the context lasts; the file stays, for deleting it would let two in.

    Raises: StoreError naming the holder when the lock is taken and ``wait`` is off.
    """
    make_folder(path.parent)
    with reported("cannot open the lock", path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        _take(descriptor, path, wait)
        _sign(descriptor, {"pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")})
        yield
        _sign(descriptor, None)
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path, wait: bool) -> None:
    with reported("cannot lock", path):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise _taken(descriptor, path) from None
            fcntl.flock(descriptor, fcntl.LOCK_EX)


def _sign(descriptor: int, holder: dict[str, object] | None) -> None:
    # Only for people: a full disk must not cost the lock.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        if holder:
            os.pwrite(descriptor, json.dumps(holder).encode(), 0)


def _taken(descriptor: int, path: Path) -> StoreError:
    try:
        holder = json.loads(os.pread(descriptor, 1000, 0))
        seen, who = f"held by process {holder['pid']} since {holder['since']}", f"process {holder['pid']}"
    except (ValueError, KeyError, TypeError):
        seen, who = "held by a process that has not signed yet", "the other process"
    return StoreError(f"{path} is locked", seen=seen, next=f"wait until {who} ends, or stop it, and try again")
