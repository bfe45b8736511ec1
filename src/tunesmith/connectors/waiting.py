"""How long to wait before a request is sent again: as the server says, else longer each time."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

FIRST_S, LONGEST_S = 0.5, 30.0


class Clock(Protocol):
    """Time as a client sees it; tests bring one that does not wait."""

    def time(self) -> float:
        """Seconds since the epoch."""

    def monotonic(self) -> float:
        """Seconds since some moment, never set back."""

    def sleep(self, seconds: float, /) -> None:
        """Wait."""


class SystemClock:
    """The clock of this machine."""

    def time(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since some moment, never set back."""
        return time.monotonic()

    def sleep(self, seconds: float, /) -> None:
        """Wait."""
        time.sleep(seconds)


def retry_after_s(value: str, date: str | None, now_s: float) -> float | None:
    """The seconds that a Retry-After header asks for, in either of its forms; None where it cannot be read.

    A moment is taken against the answer's own ``Date``, so that the server's clock may be wrong.
    Source: RFC 9110, section 10.2.3.
    """
    try:
        return max(0.0, float(int(value.strip())))
    except ValueError:
        pass
    until = _moment_s(value)
    if until is None:
        return None
    sent = _moment_s(date) if date else None
    return max(0.0, until - (now_s if sent is None else sent))


def backoff_s(attempt: int, jitter: random.Random) -> float:
    """The wait after a failed attempt (the first is 0): doubled each time, up to 30 s, and between half and all of it,
    so that clients that failed together do not come back together."""
    return float(min(LONGEST_S, FIRST_S * 2.0 ** min(attempt, 10)) * jitter.uniform(0.5, 1.0))


def _moment_s(text: str) -> float | None:
    try:
        moment: datetime = parsedate_to_datetime(text.strip())
    except (ValueError, TypeError, IndexError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
