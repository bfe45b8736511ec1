"""What checks of a model found, in one log, and who is told: each cause once in a while, not at every check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tunesmith.core import events
from tunesmith.core.events import Event, EventLog
from tunesmith.lifecycle.session import Session
from tunesmith.monitoring.alerts import Alert, Cause, Delivery, tell
from tunesmith.monitoring.config import WebhookConfig, seconds_of

EVENTS = "events.jsonl"
READ_BYTES = 2**20
"""What is read of a log's end: thousands of checks."""
SHOWN_CHECKS = 30


def logged(folder: Path) -> list[Event]:
    """The latest events of a model's checks, the oldest first."""
    path = folder / EVENTS
    size = path.stat().st_size if path.exists() else 0
    found, _ = events.read(path, max(0, size - READ_BYTES))
    return found


def checks(before: Sequence[Event]) -> list[Event]:
    """The latest checks among events, the newest first."""
    return [one for one in reversed(before) if one["event"] == "check"][:SHOWN_CHECKS]


def told_lately(
    before: Sequence[Event], causes: Sequence[Cause], webhook: WebhookConfig | None, now: datetime, file: str | None
) -> str | None:
    """When the webhook took the last of these causes, in words; None where one of them is still to be told.

    Causes of captured answers and of each file are told apart. What nobody took was not told.
    """
    if webhook is None or not causes:
        return None
    since = now.timestamp() - seconds_of(webhook.repeat)
    taken: dict[str, float] = {}
    for one in before:
        if one["event"] == "webhook" and one["is_taken"] and one["t"] > since and one.get("file") == file:
            taken |= dict.fromkeys(one.get("causes", ()), one["t"])
    if not all(one.name in taken for one in causes):
        return None
    last = datetime.fromtimestamp(min(taken[one.name] for one in causes), UTC)
    return f"the webhook was told of this at {last:%Y-%m-%d %H:%M} UTC; it is told again after {webhook.repeat}"


def record(
    session: Session,
    alert: Alert,
    webhook: WebhookConfig | None,
    folder: Path,
    *,
    file: str | None,
    primary: Mapping[str, Any] | None,
    is_tested: bool,
    is_told: bool,
) -> Delivery | None:
    """Write a check to the log, and tell of its alert unless it ``is_told``; None where the webhook was not asked."""
    log = EventLog(folder / EVENTS, session.listener)
    names = [one.name for one in alert.causes]
    score = None if primary is None else {"metric": primary["metric"], "value": primary["value"]}
    try:
        check = {"model": alert.model, "at": alert.at, "file": file, "rows": alert.rows, "is_tested": is_tested}
        log.emit("check", **check, causes=names, score=score)
        if not alert.causes:
            return None

        def emit(event: str, **fields: Any) -> None:
            log.emit(event, **fields, **({"causes": names, "file": file} if event == "webhook" else {}))

        return tell(alert, None if is_told else webhook, emit=emit)
    finally:
        log.close()
