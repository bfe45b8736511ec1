"""Events: what a step tells the outside while it works, one JSON object a line."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Event = dict[str, Any]
"""``{"t": seconds since the epoch, "event": kind, ...}``; kinds: step, progress, metric, warning, error."""

Listener = Callable[[Event], None]


class EventLog:
    """An append-only file of events; every event also goes to the listeners."""

    def __init__(self, path: Path, *listeners: Listener) -> None:
        self.path = path
        self.listeners = listeners
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = path.open("a", encoding="utf-8")

    def emit(self, event: str, **fields: Any) -> None:
        """Write one event at once, so that a reader in another process sees it."""
        self.forward({"event": event, **fields})

    def forward(self, event: Event) -> None:
        """Write an event that was made elsewhere; one without a time gets this moment's."""
        event = {"t": time.time(), **event}
        self._stream.write(json.dumps(event, ensure_ascii=False, allow_nan=False, default=str) + "\n")
        self._stream.flush()
        for listener in self.listeners:
            listener(event)

    def close(self) -> None:
        """Close the file; later events raise."""
        self._stream.close()


def read(path: Path, offset_bytes: int = 0) -> tuple[list[Event], int]:
    """The whole events after a byte offset, and the offset to go on from; a line still being written is left."""
    if not path.exists():
        return [], offset_bytes
    with path.open("rb") as stream:
        stream.seek(offset_bytes)
        data = stream.read()
    whole = data[: data.rfind(b"\n") + 1]
    return list(_parse(whole)), offset_bytes + len(whole)


def _parse(data: bytes) -> Iterator[Event]:
    for line in data.splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            # A killed writer can leave half a line in front of the next writer's first one.
            continue
