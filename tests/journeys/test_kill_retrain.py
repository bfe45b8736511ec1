"""A retraining killed with ``kill -9`` at random moments: the champion stays in production until its challenger takes
its place whole, and going on, or starting anew, ends like a retraining that was never killed.

CI kills 3 times; ``TUNESMITH_KILLS=15`` is the long form.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.test_kill import LONGEST_S, check_store, killed, outcome, start
from tests.tiny import LABELS, sentences, write_encoder

from tunesmith.lifecycle.session import open_session
from tunesmith.store import retrainings
from tunesmith.store.verify_audit import verify

KILLS = int(os.environ.get("TUNESMITH_KILLS", "3"))


@pytest.mark.slow
@pytest.mark.timeout(200 + 120 * KILLS)
def test_a_retraining_killed_at_random_moments_releases_all_or_nothing(tmp_path: Path) -> None:
    recipe, later = write(tmp_path)
    first = tmp_path / "first"
    assert answer(["run", str(recipe)], first)["status"] == "done"
    # The version, not the alias: that may have moved before the kill.
    words = ["retrain", "kill@1", "--add", str(later), "--set", "gate.forgetting.at_most=1"]
    shutil.copytree(first, tmp_path / "whole")
    started = time.monotonic()
    expected = outcome(answer(words, tmp_path / "whole"))
    whole_s = time.monotonic() - started
    assert expected["verdict"] == "better" and production(tmp_path / "whole") == 2

    chance = random.Random(20261121)
    kills, moments, seen = 0, [], Counter[str]()
    while kills < KILLS:
        home = tmp_path / f"home-{len(moments)}"
        shutil.copytree(first, home)
        call = words
        # Every other workspace is left to a new retraining, the others go on with what was begun.
        is_resumed = len(moments) % 2 == 0
        after_s = chance.uniform(0.05, whole_s)
        moments.append(after_s)
        while kills < KILLS and killed(call, home, after_s):
            kills += 1
            run = check(home)
            seen["before the run was on record" if run is None else "in the run"] += 1
            print(f"kill {kills} after {after_s:.1f} s of {whole_s:.0f}: run {run}", flush=True)
            if run is not None and is_resumed:
                call = ["resume", run]
                seen["resumed"] += 1
            after_s = chance.uniform(0.05, whole_s)
        assert outcome(answer(call, home)) == expected
        check(home)
        assert production(home) == 2
    print(f"\n{kills} kills in {len(moments)} workspaces: {dict(seen)}; an unbroken retraining takes {whole_s:.0f} s")


def write(folder: Path) -> tuple[Path, Path]:
    """A recipe of a tiny encoder that knows all labels but one, and rows of them all for later."""
    write_encoder("bert", folder / "model")
    texts, labels = sentences(180)
    lines = [
        {"text": f"{text} {at}", "label": label} for at, (text, label) in enumerate(zip(texts, labels, strict=True))
    ]
    known = [one for one in lines if one["label"] != LABELS[-1]]
    later = [*known[-20:], *(one for one in lines if one["label"] == LABELS[-1])]
    for name, rows in (("rows", known[:-20]), ("later", later)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    recipe = {
        "name": "kill",
        "task": "classify",
        "data": {
            "sources": [{"kind": "jsonl", "name": "rows", "path": "rows.jsonl"}],
            "clean": {"near_duplicates": None},
        },
        "model": str(folder / "model"),
        "train": {"epochs": 10, "batch": 8, "checkpoint_every_s": 0.0, "optimizer": {"lr": 1e-3}},
        "evaluate": {"baselines": ["majority"], "bootstrap_samples": 200},
        "gate": {},
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    return folder / "recipe.yaml", folder / "later.jsonl"


def answer(words: list[str], home: Path) -> dict[str, Any]:
    """The run of a call that is left alone."""
    out, err = start(words, home).communicate(timeout=LONGEST_S)
    assert out, err.decode()
    found: dict[str, Any] = json.loads(out)
    found = found.get("run", found) if isinstance(found.get("run"), dict) else found
    assert found.get("status") == "done", found
    return found


def production(home: Path) -> int:
    with open_session(home) as session:
        return session.ledger.resolve("kill", "production").version


def check(home: Path) -> str | None:
    """The retraining that was begun last, if one is on record; all that is there is whole."""
    check_store(home)
    with open_session(home) as session:
        engine, project = session.ledger.engine, session.ledger.project
        versions = {one.version: one for one in session.ledger.models()}
        newest = max(versions)
        assert newest in (1, 2) and session.ledger.resolve("kill", "production").version == newest
        found = verify(engine, project)
        assert found.problems == (), found
        runs = [one for one in session.ledger.runs() if one.id != versions[1].run_id]
        for one in runs:
            told = retrainings.find(engine, project, one.id)
            assert told is None or (told.name, told.from_version) == ("kill", 1)
            # A run that trained anything says which model it goes on from.
            assert told is not None or not session.ledger.run_steps(one.id)
        there = [one for one in runs if (home / "runs" / one.id / "recipe.yaml").is_file()]
        return there[0].id if there else None
