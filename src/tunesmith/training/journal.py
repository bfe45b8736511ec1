"""The journal of a search: what was started and what came of it, a line each, so that a killed search comes back."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from tunesmith.core.search import Move
from tunesmith.training.trial import Outcome


@dataclass(frozen=True)
class Told:
    """A move that is done."""

    trial: int
    share: float
    is_closing: bool
    outcome: Outcome


class Journal:
    """An append-only file; a line that a kill cut in half is passed over."""

    MOST_STARTS: ClassVar[int] = 3
    """Times a move is begun before it counts as failed: a trial that needs too much memory takes its process along."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.lines = _read(path)
        self._started_at_s: float | None = None

    def told(self) -> list[Told]:
        """Every move that is done, in order."""
        return [
            Told(one["trial"], one["share"], one["is_closing"], Outcome(**one["outcome"]))
            for one in self.lines
            if one["what"] == "told"
        ]

    def num_started(self) -> int:
        """How often the move that is not done yet was begun and not ended by a request."""
        starts = 0
        for one in reversed(self.lines):
            if one["what"] != "started":
                break
            starts += 1
        return starts

    def spent_s(self) -> float:
        """The seconds of all that is done or was interrupted."""
        return float(sum(one["seconds"] for one in self.lines if "seconds" in one))

    def running_s(self) -> float:
        """The seconds since the present move was begun."""
        return 0.0 if self._started_at_s is None else max(1e-9, time.monotonic() - self._started_at_s)

    def start(self, move: Move) -> None:
        """A move is begun."""
        self._started_at_s = time.monotonic()
        self._append({"what": "started", "trial": move.trial, "share": move.share})

    def interrupted(self) -> None:
        """The present move was stopped on request; its checkpoint is kept."""
        self._append({"what": "interrupted", "seconds": self.running_s()})
        self._started_at_s = None

    def tell(self, move: Move, is_closing: bool, outcome: Outcome) -> None:
        """A move is done."""
        told = Told(move.trial, move.share, is_closing, outcome)
        self._append({"what": "told", **asdict(told), "seconds": outcome.seconds})
        self._started_at_s = None

    def _append(self, line: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        self.lines.append(line)


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    if text and not text.endswith("\n"):
        # Half a line of a killed writer: the next line must not be joined to it.
        text = text[: text.rfind("\n") + 1]
        path.write_text(text, encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
