"""The child side of a heavy step: ``python -m tunesmith.step step.json``. Folders in, a folder out, events beside."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

from tunesmith.core import wiring
from tunesmith.core.artifact import Artifact, MadeBy
from tunesmith.core.errors import Interrupted, StepError, TunesmithError
from tunesmith.core.events import EventLog
from tunesmith.lifecycle.context import Context
from tunesmith.lifecycle.executors.inprocess import run_stage
from tunesmith.store.files import write_json
from tunesmith.store.workspace import Workspace

WATCH_S = 0.5


def main(path: Path) -> int:
    """Run the step that a file describes and return the exit code; its result or error lies beside the file."""
    request = json.loads(path.read_text(encoding="utf-8"))
    folder = path.parent
    _die_with(request["parent"])
    asked = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        asked.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        _run(request, folder, asked)
    except TunesmithError as error:
        write_json(folder / "error.json", error.to_dict())
        return error.exit_code
    except MemoryError:
        full = StepError("memory ran out", next="lower `train.microbatch_tokens` (the same maths in smaller parts)")
        write_json(folder / "error.json", full.to_dict())
        return full.exit_code
    except Exception as error:
        traceback.print_exc()
        if asked.is_set():
            return Interrupted.exit_code
        where = traceback.extract_tb(error.__traceback__)[-1]
        known = StepError(
            f"{type(error).__name__}: {error}",
            seen=f"{Path(where.filename).name}:{where.lineno} in {where.name}",
            next=f"the whole trace is in {folder / 'output.log'}",
        )
        write_json(folder / "error.json", known.to_dict())
        return known.exit_code
    return 0


def _run(request: dict[str, Any], folder: Path, asked: threading.Event) -> None:
    wiring.load_added(request["wiring"])
    wire = wiring.Wire(**request["stage"])
    config = wiring.load(wire.config or "").model_validate(request["config"])
    given = {name: _artifact(one) for name, one in request["given"].items()}
    events = EventLog(folder / "events.jsonl")
    context = Context(
        workspace=Workspace(Path(request["workspace"]), request["project"]),
        folder=folder,
        seed=request["seed"],
        events=events,
        is_cancelled=asked.is_set,
    )
    done = run_stage(wire, config, given, context)
    events.close()
    write_json(folder / "result.json", {"facts": done.facts, "cost": done.cost})


def _artifact(data: dict[str, Any]) -> Artifact:
    made_by = MadeBy(**data["made_by"])
    parents = tuple(data["parents"])
    return Artifact(**{**data, "path": Path(data["path"]), "made_by": made_by, "parents": parents})


def _die_with(parent: int) -> None:
    """End this process soon after its parent is gone: nobody is left to take the result."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
