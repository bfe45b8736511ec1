"""What is being done, while it is done: bars on a terminal, plain lines elsewhere. On stderr, never on stdout."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from tunesmith.cli import figures
from tunesmith.core.events import Event

PLAIN_EVERY_S = 10.0
MARKS = {
    "done": ("✓", "green"),
    "cached": ("✓", "cyan"),
    "failed": ("✗", "red"),
    "interrupted": ("■", "yellow"),
}


class Display(Protocol):
    """Shows events until it is closed."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def listen(self, event: Event) -> None:
        """Take an event."""


def display(console: Console, *, is_quiet: bool) -> Display:
    """Bars on a terminal, plain lines elsewhere, nothing where quiet was asked for."""
    if is_quiet:
        return Silent()
    return Bars(console) if console.is_terminal else Lines(console)


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""

    def listen(self, event: Event) -> None:
        """Nobody looks."""


class Lines(Silent):
    """A line when a step begins and ends, and at most every ten seconds in between."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._started: dict[str, float] = {}
        self._told_at_s: dict[str, float] = {}
        self._warned: set[str] = set()

    def listen(self, event: Event) -> None:
        """Take an event."""
        step, now = str(event.get("step", "")), self._clock()
        match event.get("event"):
            case "step" if event["status"] == "running":
                self._started[step] = self._told_at_s[step] = now
                self._begun(step)
            case "step":
                self._ended(step, str(event["status"]), now - self._started.get(step, now))
            case "progress":
                self._progress(step, event, now)
            case "warning" if (message := figures.shown(event.get("message"), 400)) not in self._warned:
                self._warned.add(message)
                self._print(Text(f"! {step}: {message}" if step else f"! {message}", "yellow"))

    def _begun(self, step: str) -> None:
        self._print(Text(f"{step} …"))

    def _ended(self, step: str, status: str, took_s: float) -> None:
        mark, style = MARKS.get(status, ("·", ""))
        took = "" if status == "cached" else f"  {figures.seconds(took_s)}"
        self._print(Text.assemble((f"{mark} ", style), f"{step:<18} ", (status, "dim"), took))

    def _progress(self, step: str, event: Event, now: float) -> None:
        self._started.setdefault(step, now)
        # A verb without steps of its own (predict) is told like a step that has just begun.
        if now - self._told_at_s.setdefault(step, now) < PLAIN_EVERY_S:
            return
        self._told_at_s[step] = now
        took_s, done, total = now - self._started[step], float(event["done"]), float(event["total"])
        rate = done / took_s if took_s else 0.0
        left_s = (total - done) / rate if total and rate else None
        self._print(Text(f"  {step}: {_state(done, total, event['unit'], rate, left_s, event.get('note', ''))}"))

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)


class Bars(Lines):
    """A bar for each step at work; finished steps stay as lines above it."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._bars = Progress(
            SpinnerColumn(style="cyan"),
            TextColumn("{task.description:<18}", markup=False),
            BarColumn(bar_width=28),
            _Figures(),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bars off the screen."""
        self._bars.stop()

    def _begun(self, step: str) -> None:
        if step not in self._tasks:
            self._tasks[step] = self._bars.add_task(step, total=None, unit="", note="")

    def _ended(self, step: str, status: str, took_s: float) -> None:
        if step in self._tasks:
            self._bars.remove_task(self._tasks.pop(step))  # type: ignore[arg-type]
        super()._ended(step, status, took_s)

    def _progress(self, step: str, event: Event, now: float) -> None:
        self._begun(step)
        more = {"unit": event["unit"], "note": event.get("note", "")}
        task = self._tasks[step]
        self._bars.update(task, completed=event["done"], total=event["total"] or None, **more)  # type: ignore[arg-type]


class _Figures(ProgressColumn):
    """Done of total, speed, time left and the step's note."""

    def render(self, task: Task) -> Text:
        """The figures of one bar."""
        if not task.fields["unit"]:
            return Text(figures.seconds(task.elapsed or 0.0), "dim")
        state = _state(
            task.completed,
            task.total or 0.0,
            task.fields["unit"],
            task.speed or 0.0,
            task.time_remaining,
            task.fields["note"],
        )
        return Text(state, overflow="ellipsis", no_wrap=True)


def _state(done: float, total: float, unit: str, rate: float, left_s: float | None, note: str) -> str:
    parts = [f"{done:,.0f}/{total:,.0f} {unit}" if total else f"{done:,.0f} {unit}"]
    if rate:
        parts.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s" if rate >= 0.1 else f"{rate:.2g}/s")
    if left_s is not None and done < total:
        parts.append(f"{figures.seconds(left_s)} left")
    if note:
        parts.append(figures.shown(note))
    return " · ".join(parts)
