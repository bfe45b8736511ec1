"""The step context: what a running stage may do to the outside, in this process or in a child."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tunesmith.core import wiring
from tunesmith.core.artifact import Artifact
from tunesmith.core.config import Config
from tunesmith.core.errors import Interrupted, StepError
from tunesmith.core.events import EventLog
from tunesmith.core.source import Source
from tunesmith.core.stage import Given
from tunesmith.store.workspace import Workspace

PROGRESS_EVERY_S = 0.2

RunStep = Callable[[str, Config, Given], Mapping[str, Artifact]]


class Context:
    """The one implementation of ``StepContext``."""

    def __init__(
        self,
        *,
        workspace: Workspace,
        folder: Path,
        seed: int,
        events: EventLog,
        is_cancelled: Callable[[], bool],
        run_step: RunStep | None = None,
    ) -> None:
        self.seed, self.project = seed, workspace.project
        self.out, self.scratch = folder / "out", folder / "scratch"
        self._workspace, self._events, self._is_cancelled, self._run_step = workspace, events, is_cancelled, run_step
        self._told_at_s = 0.0

    def progress(self, done: float, total: float, unit: str, note: str = "") -> None:
        """Say how far the work is; most calls are skipped, the last one never."""
        now = time.monotonic()
        if done >= total or now - self._told_at_s >= PROGRESS_EVERY_S:
            self._told_at_s = now
            self._events.emit("progress", done=done, total=total, unit=unit, note=note)

    def metric(self, step: int, **values: float) -> None:
        """Record numbers against an optimizer step."""
        finite = {name: value for name, value in values.items() if value == value and abs(value) != float("inf")}
        self._events.emit("metric", step=step, values=finite)

    def warn(self, message: str) -> None:
        """Tell the user something that does not stop the work."""
        self._events.emit("warning", message=message)

    def check_cancelled(self) -> None:
        """Raise ``Interrupted`` once somebody asked the step to stop."""
        if self._is_cancelled():
            raise Interrupted("the step was interrupted; what it had done is kept")

    def source(self, config: Config) -> Source:
        """The opened source that a configuration names."""
        kind = str(getattr(config, "kind", ""))
        source: Source = wiring.load(wiring.wire("source", kind).make)(config)
        return source

    def subject_key(self) -> bytes:
        """The project's secret key for hashing subjects."""
        return self._workspace.subject_key()

    def step(self, kind: str, config: Config, given: Given) -> Mapping[str, Artifact]:
        """Run another stage as a cached step of its own and return what it made."""
        if self._run_step is None:
            raise StepError(
                "a step in a process of its own cannot start further steps",
                next="start them from a stage that is not marked is_heavy in the wiring table",
            )
        return self._run_step(kind, config, given)
