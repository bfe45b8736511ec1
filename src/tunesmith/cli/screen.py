"""What a verb writes to: its result on stdout, all else on stderr; with ``--json``, JSON alone on stdout."""

from __future__ import annotations

import json
import shlex
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from tunesmith.cli.progress import display
from tunesmith.cli.stop import stoppable
from tunesmith.cli.tables import hung
from tunesmith.core.errors import Interrupted, RecipeError, StepError, TunesmithError
from tunesmith.core.events import Event, Listener

PLAIN_COLUMNS = 140
"""Width of tables that no terminal bounds."""


@dataclass
class Work:
    """What the api is given so that work can be followed and stopped."""

    listener: Listener
    cancel: threading.Event = field(default_factory=threading.Event)


class Screen:
    """One call of a verb, as its user sees it."""

    def __init__(
        self, *, is_json: bool = False, home: Path | None = None, project: str = "default", is_quiet: bool = False
    ) -> None:
        self.is_json, self.home, self.project, self.is_quiet = is_json, home, project, is_quiet
        self.out, self.err = _console(is_stderr=False), _console(is_stderr=True)
        self._run_id: str | None = None

    @property
    def where(self) -> dict[str, Any]:
        """The workspace, as the api takes it."""
        return {"home": self.home, "project": self.project}

    def command(self, *words: str) -> str:
        """A command that goes on in the same workspace."""
        more = [] if self.home is None else ["--home", str(self.home)]
        more += [] if self.project == "default" else ["--project", self.project]
        return shlex.join(["tunesmith", *words, *more])

    @contextmanager
    def working(self) -> Iterator[Work]:
        """Show progress, and let Ctrl-C stop the work, for as long as the context lasts."""
        with display(self.err, is_quiet=self.is_quiet) as shown:

            def listen(event: Event) -> None:
                self._run_id = event.get("run") or self._run_id
                shown.listen(event)

            work = Work(listen)
            with stoppable(work.cancel, self.say):
                yield work

    def say(self, words: str, style: str = "yellow") -> None:
        """A line for people, on stderr."""
        self.err.print(Text(words, style), soft_wrap=True)

    def result(self, value: Any, *shown: RenderableType) -> None:
        """The result: as JSON where that was asked for, else as it is shown."""
        if self.is_json:
            self.write_json(value)
            return
        for one in shown:
            if isinstance(one, Text) and self.out.is_terminal:
                one = hung(one, self.out)
            self.out.print(one, soft_wrap=isinstance(one, str | Text))

    def write_json(self, value: Any) -> None:
        """One JSON value, and nothing else, on stdout."""
        self.out.file.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n")
        self.out.file.flush()

    def fail(self, error: BaseException) -> int:
        """Tell how it ended and what to do next; the exit code."""
        if isinstance(error, KeyboardInterrupt):
            error = Interrupted("interrupted", next="run the same command again")
        trace = None
        if not isinstance(error, TunesmithError):
            trace = _keep_trace(error)
            told = StepError(f"this should not have happened: {type(error).__name__}: {error}", next=f"trace: {trace}")
            told.run_id = self._run_id
            error = told
        resume = self._resume(error)
        if self.is_json:
            self.write_json({**error.to_dict(), "exit_code": error.exit_code, "resume": resume, "trace": trace})
        self._tell(error)
        if resume is not None:
            self.say("what is done is kept; go on with:", "")
            self.say(resume, "bold")
        return error.exit_code

    def _tell(self, error: TunesmithError) -> None:
        word = "interrupted" if isinstance(error, Interrupted) else "error"
        what, *rest = error.render().splitlines()
        self.err.print(
            Text.assemble((f"{word}: ", "bold yellow" if word == "interrupted" else "bold red"), what), soft_wrap=True
        )
        for line in rest:
            self.err.print(Text(line), soft_wrap=True)

    def _resume(self, error: TunesmithError) -> str | None:
        # A wrong recipe fails again however often it is resumed: it is corrected and run anew, done steps are kept.
        if error.run_id is None or isinstance(error, RecipeError):
            return None
        return self.command("resume", error.run_id)


def _console(*, is_stderr: bool) -> Console:
    console = Console(stderr=is_stderr, markup=False, highlight=False, emoji=False)
    return (
        console
        if console.is_terminal
        else Console(stderr=is_stderr, markup=False, highlight=False, emoji=False, width=PLAIN_COLUMNS)
    )


def _keep_trace(error: BaseException) -> str:
    """Write the whole trace to a file that only this user can read; its path."""
    with tempfile.NamedTemporaryFile("w", prefix="tunesmith-error-", suffix=".txt", delete=False) as stream:
        stream.write("".join(traceback.format_exception(error)))
    return stream.name


Verb = Callable[..., None]
