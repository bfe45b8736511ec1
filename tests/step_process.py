"""A step that a test can kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tunesmith.core import wiring
from tunesmith.core.stage import Given
from tunesmith.store.workspace import Workspace


def step_process(stage: str, settings: Any, given: Given, folder: Path) -> subprocess.Popen[bytes]:
    """A step in a process of its own, as the runner starts it."""
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
        "parent": os.getpid(),
    }
    (folder / "step.json").write_text(json.dumps(request))
    return subprocess.Popen(
        [sys.executable, "-m", "tunesmith.step", str(folder / "step.json")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
