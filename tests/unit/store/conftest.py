"""Faults of the disk, on demand."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest

CALLS = ("write", "fsync", "replace", "rename", "mkdir", "open")


def _fail_at(monkeypatch: pytest.MonkeyPatch, k: int, number: int = errno.ENOSPC) -> Callable[[], int]:
    """Let the k-th call that changes the disk fail; the returned function tells how many there were."""
    count = 0

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            if real.__name__ != "open" or args[1] & os.O_CREAT:
                count += 1
                if count == k:
                    raise OSError(number, os.strerror(number))
            return real(*args, **kwargs)

        return call

    for name in CALLS:
        monkeypatch.setattr(os, name, failing(getattr(os, name)))
    return lambda: count


@pytest.fixture
def fail_at() -> Callable[..., Callable[[], int]]:
    """``fail_at(patch, k)`` lets the k-th call fail."""
    return _fail_at
