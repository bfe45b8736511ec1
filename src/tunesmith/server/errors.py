"""Errors as HTTP answers: a status, and the same four parts that the command line prints.

An error that nobody foresaw says no more than an id; the log has the rest under that id.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tunesmith.core.errors import (
    DataError,
    Denied,
    Interrupted,
    LedgerDown,
    RecipeError,
    StoreError,
    TunesmithError,
    Unauthenticated,
)
from tunesmith.engines.batching import Closed, QueueFull

log = logging.getLogger(__name__)
SHOWN_CHARS = 200
"""Characters of what was seen that an answer repeats."""


class Refused(TunesmithError):
    """A request that is answered with a status of its own."""

    def __init__(
        self,
        status: int,
        what: str,
        *,
        reason: str,
        seen: object = None,
        allowed: object = None,
        next: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """``reason`` is the name under which metrics count it."""
        self.status, self.reason, self.headers = status, reason, dict(headers or {})
        super().__init__(what, seen=seen, allowed=allowed, next=next)


@dataclass(frozen=True)
class ErrorAnswer:
    """What is sent: the status, the body's JSON and further headers; ``reason`` is for the metrics."""

    status: int
    body: dict[str, Any]
    reason: str
    headers: dict[str, str] = field(default_factory=dict)


def answer_of(error: BaseException) -> ErrorAnswer:
    """The answer to an error, of whatever kind."""
    if isinstance(error, Refused):
        return ErrorAnswer(error.status, _body(error), error.reason, error.headers)
    if isinstance(error, QueueFull):
        return ErrorAnswer(503, _body(error), "queue full", {"Retry-After": "1"})
    if isinstance(error, Closed | Interrupted):
        return ErrorAnswer(503, _body(error), "draining", {"Retry-After": "2"})
    if isinstance(error, Unauthenticated):
        return ErrorAnswer(401, _body(error), "key", {"WWW-Authenticate": "Bearer"})
    if isinstance(error, Denied):
        return ErrorAnswer(403, _body(error), "forbidden")
    if isinstance(error, RecipeError | DataError):
        return ErrorAnswer(422, _body(error), "invalid")
    if isinstance(error, StoreError):
        if isinstance(error, LedgerDown):
            # Not its own words: they name hosts and paths.
            told = StoreError("the ledger is out of reach", next="ask again; GET /readyz tells when it is back")
            return ErrorAnswer(503, _body(told), "ledger down", {"Retry-After": "2"})
        return ErrorAnswer(404, _body(error), "unknown")
    assert is_unforeseen(error)
    return _unforeseen(error)


def is_unforeseen(error: BaseException) -> bool:
    """Whether the answer to an error is 500."""
    return not isinstance(
        error, Refused | QueueFull | Closed | Interrupted | Denied | RecipeError | DataError | StoreError
    )


def _unforeseen(error: BaseException) -> ErrorAnswer:
    number = secrets.token_hex(8)
    log.error("request failed, id %s", number, exc_info=error)
    told = TunesmithError("the server failed", next=f"tell whoever runs it this id: {number}")
    return ErrorAnswer(500, {**_body(told), "id": number}, "failed")


def _body(error: TunesmithError) -> dict[str, Any]:
    parts = {"what": error.what, "seen": error.seen, "allowed": error.allowed, "next": error.next}
    return {"error": {name: None if part is None else shown(part) for name, part in parts.items()}}


def shown(value: object) -> str:
    """A value as an answer repeats it: a line, cut, and encodable whatever it holds."""
    text = str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"
