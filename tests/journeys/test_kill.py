"""A run killed with ``kill -9`` at random moments and resumed ends with the metrics of a run that was never killed.

CI kills twice, or until a kill struck a run on record; ``make journeys`` kills 5 times,
``TUNESMITH_KILLS=30 make journeys`` as often as is said.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import sentences, write_encoder

from tunesmith.lifecycle.session import open_session

KILLS = int(os.environ.get("TUNESMITH_KILLS", "2"))
LONGEST_S = 120.0


@pytest.mark.timeout(200 + 60 * KILLS)
def test_a_run_killed_at_random_moments_ends_like_one_never_killed(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    started = time.monotonic()
    expected = outcome(finish(["run", str(recipe)], tmp_path / "whole"))
    whole_s = time.monotonic() - started

    chance = random.Random(20261121)
    kills, resumed, round_number = 0, 0, 0
    # On a busy machine the first kills may all strike a process that has not begun its run: what is proven is the rest.
    while kills < KILLS or resumed == 0:
        round_number += 1
        home = tmp_path / f"home-{round_number}"
        words = ["run", str(recipe)]
        while True:
            if (kills < KILLS or resumed == 0) and killed(words, home, chance.uniform(0.05, whole_s)):
                kills += 1
                check_store(home)
                run_id = newest_run(home)
                words = ["run", str(recipe)] if run_id is None else ["resume", run_id]
                resumed += run_id is not None
                continue
            assert outcome(finish(words, home)) == expected
            check_store(home)
            break
    print(f"{kills} kills in {round_number} workspaces, {resumed} resumed runs, an unbroken run takes {whole_s:.0f} s")
    assert resumed >= 1


def write_recipe(folder: Path) -> Path:
    """A run that trains a whole tiny encoder, checkpoints after every step, in all its stages."""
    write_encoder("bert", folder / "model")
    texts, labels = sentences(120)
    lines = [
        json.dumps({"text": f"{text} {at}", "label": label})
        for at, (text, label) in enumerate(zip(texts, labels, strict=True))
    ]
    (folder / "rows.jsonl").write_text("\n".join(lines))
    recipe = {
        "name": "kill",
        "task": "classify",
        "data": {
            "sources": [{"kind": "jsonl", "name": "rows", "path": "rows.jsonl"}],
            "clean": {"near_duplicates": None},
        },
        "model": str(folder / "model"),
        "train": {"epochs": 12, "batch": 8, "checkpoint_every_s": 0.0, "optimizer": {"lr": 1e-3}},
        "gate": {},
    }
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(recipe))
    return path


def start(words: list[str], home: Path) -> subprocess.Popen[bytes]:
    """A call of the command line, its answer as JSON."""
    command = [sys.executable, "-m", "tunesmith.cli.main", *words, "--json", "--quiet", "--home", str(home)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(words: list[str], home: Path) -> dict[str, Any]:
    """The answer of a call that is left alone."""
    out, err = start(words, home).communicate(timeout=LONGEST_S)
    assert out, err.decode()
    answer: dict[str, Any] = json.loads(out)
    assert answer.get("status") == "done", answer
    return answer


def killed(words: list[str], home: Path, after_s: float) -> bool:
    """Whether a call was still running when it was killed."""
    process = start(words, home)
    try:
        process.wait(after_s)
        return False
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    finally:
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def outcome(answer: dict[str, Any]) -> dict[str, Any]:
    """What must be the same however often a run was killed."""
    return {name: answer[name] for name in ("verdict", "metrics", "baselines", "rows", "comparisons", "gate")}


def newest_run(home: Path) -> str | None:
    """The run that was killed, if it got as far as the ledger and its recipe."""
    with open_session(home) as session:
        runs = [one for one in session.ledger.runs() if (home / "runs" / one.id / "recipe.yaml").is_file()]
    return runs[0].id if runs else None


def check_store(home: Path) -> None:
    """Every artifact on record has every byte it was recorded with."""
    with open_session(home) as session:
        for run in session.ledger.runs():
            for step in session.ledger.run_steps(run.id):
                for one in (session.ledger.find_step(step.step_key or "") or {}).values():
                    session.workspace.blobs.verify(one.digest)
