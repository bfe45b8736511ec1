"""Runs a light step in this process."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tunesmith.core import machine, wiring
from tunesmith.core.config import Config
from tunesmith.core.errors import StepError
from tunesmith.core.stage import Facts, Given
from tunesmith.lifecycle.context import Context


@dataclass(frozen=True)
class Done:
    """What a step made and cost."""

    facts: Mapping[str, Facts]
    cost: Mapping[str, float]


def run_stage(wire: wiring.Wire, config: Config, given: Given, context: Context) -> Done:
    """Run a stage here; what an earlier try had half written is removed first."""
    stage = wiring.load(wire.make)(config)
    shutil.rmtree(context.out, ignore_errors=True)
    for name in stage.makes:
        (context.out / name).mkdir(parents=True)
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    facts = stage.run(given, context)
    cost = {
        "wall_s": round(time.perf_counter() - wall_s, 3),
        "cpu_s": round(time.process_time() - cpu_s, 3),
        "peak_bytes": float(machine.peak_bytes()),
    }
    missing = [name for name in stage.makes if name not in facts or not _has_files(context.out / name)]
    if missing:
        raise StepError(f"the stage `{wire.kind}` did not make what it promises", seen=", ".join(missing))
    return Done(facts, cost)


def _has_files(folder: Path) -> bool:
    return any(path.is_file() for path in folder.rglob("*"))
