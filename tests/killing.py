"""kill -9 at random moments of a training step, and what has to be left of it in the end."""

from __future__ import annotations

import json
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.step_process import StepServer

from tunesmith.core.stage import Given

NUM_KILLS = int(os.environ.get("TUNESMITH_KILLS", "1"))
"""Times that a step is killed; ``make parity`` does it 60 times."""


@dataclass(frozen=True)
class Killed:
    """What came of a step that was killed until it had been often enough, begun anew whenever it was over."""

    num_kills: int
    num_resumed: int
    """Starts that found a checkpoint."""
    ends: tuple[dict[str, bytes], ...]
    """The files that each of the runs left in the end."""
    facts: tuple[dict[str, Any], ...]
    """What the model of each of them says of itself."""
    start_s: float
    """Seconds from a start to its end, on average."""


def killed(server: StepServer, stage: str, settings: Any, given: Given, folder: Path) -> Killed:
    """Kill a step ``NUM_KILLS`` times, each at a moment drawn from the time that it takes when it is left alone."""
    started_s = time.monotonic()
    assert server.run(stage, settings, given, folder / "alone") == 0
    alone_s = time.monotonic() - started_s
    rng = random.Random(0)
    num_kills = num_starts = num_resumed = 0
    ends: list[Path] = []
    run = folder / "0"
    started_s = time.monotonic()
    while num_kills < NUM_KILLS or run.exists():
        num_resumed += any((run / "scratch" / "checkpoints").glob("step-*"))
        kill_after_s = rng.uniform(0, alone_s) if num_kills < NUM_KILLS else None
        code = server.run(stage, settings, given, run, kill_after_s)
        assert code in (0, -9), (run / "error.json").read_text()
        num_starts += 1
        num_kills += code == -9
        if code == 0:
            ends.append(run)
            run = folder / str(len(ends))
    return Killed(
        num_kills,
        num_resumed,
        tuple(_files(run / "out") for run in ends),
        tuple(json.loads((run / "result.json").read_text())["facts"]["model"] for run in ends),
        (time.monotonic() - started_s) / num_starts,
    )


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
