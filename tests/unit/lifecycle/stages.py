"""Small stages for the runner's tests: light and heavy, good and bad. Every run of one leaves a line in a log."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from tunesmith.core import wiring
from tunesmith.core.config import Config
from tunesmith.core.stage import Facts, Given, StepContext


class WriteConfig(Config):
    """What a stage writes and how it fails."""

    text: str = "x"
    """The text in front of what its inputs hold."""
    log: str = ""
    """The file that every run is noted in."""
    do: str = ""
    """What it does besides."""


class Write:
    """Writes its text and its inputs' texts; with ``do`` it fails, dies, or waits."""

    makes: ClassVar[Mapping[str, str]] = {"text": "dataset"}

    def __init__(self, config: WriteConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The text."""
        with Path(self.config.log).open("a") as stream:
            stream.write(f"{self.config.text} {os.getpid()}\n")
        texts = [(one.path / "text.txt").read_text() for one in given.values()]
        (context.out / "text" / "text.txt").write_text(self.config.text.strip() + "".join(texts))
        getattr(self, "_" + (self.config.do or "nothing"))(context)
        return {"text": {"chars": len(self.config.text.strip())}}

    def _nothing(self, context: StepContext) -> None:
        pass

    def _fail(self, context: StepContext) -> None:
        raise ValueError("a fault in the stage")

    def _die(self, context: StepContext) -> None:
        print("last words", flush=True)
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    def _exit(self, context: StepContext) -> None:
        print("exit words", flush=True)
        os._exit(7)

    def _wait(self, context: StepContext) -> None:
        for step in range(6000):
            context.progress(step, 6000, "naps")
            context.check_cancelled()
            time.sleep(0.01)

    def _nap(self, context: StepContext) -> None:
        time.sleep(0.5)

    def _forget(self, context: StepContext) -> None:
        (context.out / "text" / "text.txt").unlink()

    def _nest(self, context: StepContext) -> None:
        made: Any = context.step("write", WriteConfig(text="inner", log=self.config.log), {})
        (context.out / "text" / "inner.txt").write_text((made["text"].path / "text.txt").read_text())


@contextmanager
def wired() -> Iterator[None]:
    """The wiring with the stage in a light and a heavy form."""
    make, config = "stages:Write", "stages:WriteConfig"
    with wiring.added(
        wiring.Wire("stage", "write", make, config),
        wiring.Wire("stage", "write_heavy", make, config, is_heavy=True),
        wiring.Wire("stage", "write_elsewhere", make, config, interpreter="TUNESMITH_TEST_PYTHON"),
    ):
        yield
