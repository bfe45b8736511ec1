"""Steps that a test can kill, again and again."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tunesmith.core import wiring
from tunesmith.core.stage import Given
from tunesmith.store.workspace import Workspace

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


class StepServer:
    """Starts steps as forks of a process that has imported everything: a start costs milliseconds, not seconds.

    It imports and does nothing else, so that a fork is as a new process right after its imports.
    """

    def __init__(self, imports: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.step_process", *imports],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **ENVIRONMENT, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            cwd=Path(__file__).parents[1],
        )
        assert self._read() == ["ready"]
        self.peak_mb = 0.0
        """The most memory that the last step held, what was imported before it included."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait(timeout=30)
        self._process.stdout.close()  # type: ignore[union-attr]

    def run(self, stage: str, settings: Any, given: Given, folder: Path, kill_after_s: float | None = None) -> int:
        """The exit code of a step, once it is over; -9 where it was killed (``kill -9``) after so many seconds."""
        _write_request(stage, settings, given, folder, self._process.pid)
        print(json.dumps([str(folder / "step.json"), kill_after_s]), file=self._process.stdin, flush=True)
        code, peak_kb = self._read()
        self.peak_mb = int(peak_kb) / 1024
        return int(code)

    def _read(self) -> list[str]:
        return self._process.stdout.readline().split()  # type: ignore[union-attr]


def _write_request(stage: str, settings: Any, given: Given, folder: Path, parent: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    workspace = Workspace.open(folder / "workspace")
    request = {
        "stage": asdict(wiring.wire("stage", stage)),
        "config": settings.model_dump(mode="json"),
        "given": {name: {**asdict(one), "path": str(one.path)} for name, one in given.items()},
        "workspace": str(workspace.root),
        "project": workspace.project,
        "seed": 0,
        "wiring": [],
        "parent": parent,
    }
    (folder / "step.json").write_text(json.dumps(request))


def _serve(imports: Sequence[str]) -> None:
    from tunesmith.step import main

    for name in imports:
        importlib.import_module(name)
    print("ready", flush=True)
    for line in sys.stdin:
        path, kill_after_s = json.loads(line)
        child = os.fork()
        if child == 0:
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1):  # those of the server are how it talks with the test
                os.dup2(nothing, stream)
            code = 70
            with suppress(BaseException):
                code = main(Path(path))
            os._exit(code)
        print(*_wait(child, kill_after_s), flush=True)


def _wait(child: int, kill_after_s: float | None) -> tuple[int, int]:
    """Its exit code, and the kilobytes that it held at most."""
    # The child is waited for here alone, so its id cannot be another process's when the timer fires.
    lock, is_over = threading.Lock(), False

    def kill() -> None:
        with lock:
            if not is_over:
                os.kill(child, signal.SIGKILL)

    timer = threading.Timer(kill_after_s, kill) if kill_after_s is not None else None
    if timer:
        timer.start()
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    with lock:
        is_over = True
    if timer:
        timer.cancel()
        timer.join()
    _, status, used = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), used.ru_maxrss


if __name__ == "__main__":
    _serve(sys.argv[1:])
    os._exit(0)  # taking torch down takes seconds
