"""Planted persons erased: nothing of them is left, nobody else has lost a thing, and they do not come back."""

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

import polars as pl
import pytest
from tests import planted, tiny

from tunesmith import api
from tunesmith.cli.main import main
from tunesmith.core.subject import subject_hash
from tunesmith.lifecycle.capture import capture_of
from tunesmith.lifecycle.champion import find_champion
from tunesmith.lifecycle.feedback import feedback
from tunesmith.lifecycle.model import open_head
from tunesmith.lifecycle.session import open_session
from tunesmith.store import erasures
from tunesmith.store.artifacts import ArtifactStore


def recipe(folder: Path, *, is_whole: bool) -> dict[str, Any]:
    columns = {"text": "text", "label": "label", "subject": "who"}
    made = {
        "name": "desk",
        "task": "classify",
        "data": {
            "sources": [
                {"kind": "csv", "name": "tickets", "path": str(folder / "tickets.csv"), "columns": columns},
                {"kind": "jsonl", "name": "mails", "path": str(folder / "mails.jsonl"), "columns": columns},
            ],
            "clean": {"near_duplicates": None},
        },
        "model": str(tiny.encoder("bert")),
        "train": {"trainable": "head", "epochs": 2},
        "evaluate": {"baselines": ["majority"]},
        "gate": {},
    }
    return made | ({"explain": {"methods": ["occlusion"], "rows": 30, "least_rows": 1}} if is_whole else {})


@pytest.mark.parametrize(("number", "erased"), [(18, 3), pytest.param(100, 20, marks=pytest.mark.slow)])
def test_persons_leave_without_a_trace(
    number: int, erased: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, is_whole = tmp_path / "home", number == 100
    everybody = planted.people(number)
    planted.write_sources(everybody, tmp_path)
    told = api.run(recipe(tmp_path, is_whole=is_whole), home=home)
    api.plan(recipe(tmp_path, is_whole=is_whole), home=home, project="other")
    ask(home, everybody[: 2 * erased])
    where = ["--home", str(home)]
    if is_whole:
        assert main(["monitor", "desk@production", *where, "-q"]) in (0, 3)
    before, other_before = rows_of(home), rows_of(home, "other")
    gone = everybody[:erased]
    traces = [trace for one in gone for trace in one.traces]
    found = planted.hits(home, traces)
    assert set().union(*found.values()) == set(traces) and len(found) > 10

    for place, one in enumerate(gone):
        arguments = ["erase", "--subject", one.id, "--reason", f"request {place}", *where]
        one_told = told_by(capsys, arguments)
        assert one_told["is_clean"] and one_told["left"] == []
        assert one_told["rows"] == 3 and one_told["observations"] == 1
        proof = Path(one_told["proof"]).read_text()
        assert json.loads(proof)["audit"] == one_told["audit"] and one.id not in proof

    # Nothing of them anywhere but in the other project, which has kept its own.
    assert strange(home, traces) == {}
    assert rows_of(home, "other") == other_before
    assert set().union(*planted.hits(home / "projects" / "other", traces).values()) == set(traces)
    # Everybody else's rows are as they were, in their order.
    with open_session(home) as session:
        key = session.workspace.subject_key()
    hashed = {subject_hash(key, one.id) for one in gone}
    now = rows_of(home)
    assert now.keys() == before.keys()
    for place, rows in before.items():
        assert now[place] == [row for row in rows if row["subject"] not in hashed], place
    assert {row["subject"] for rows in now.values() for row in rows} >= {
        subject_hash(key, one.id) for one in everybody[erased:]
    }
    assert all(planted.hits(home, [trace]) for one in everybody[erased:] for trace in one.traces[:1])

    listed = told_by(capsys, ["models", *where])
    assert [len(one["stale"]) for one in listed] == [erased] and listed[0]["value"] is not None
    assert "stale" in shown(capsys, ["models", *where])
    page = (home / "runs" / told.run / "report.html").read_text("utf-8")
    assert len(page) > 10_000 and "was taken away" not in page
    assert told_by(capsys, ["audit", "verify", *where])["problems"] == []
    # The model still answers, and its card, report and rows are read as before.
    assert api.load("desk@production", home=home).predict(["my card is blocked"])  # type: ignore[union-attr]
    assert api.model_card("desk@production", home=home).data["splits"]
    with open_session(home) as session:
        store = ArtifactStore(session.workspace, session.ledger)
        champion = find_champion(store, "desk@production", "classify")
        assert sum(store.load(champion.splits).facts["splits"].values()) == 3 * (number - erased)
    if is_whole:
        assert main(["monitor", "desk@production", *where, "-q"]) in (0, 3)
        assert strange(home, traces) == {}

    # The sources still hold them; what is read anew does not.
    if not is_whole:
        api.plan(recipe(tmp_path, is_whole=False), home=home)
        assert strange(home, traces) == {}
        return
    again = api.run(recipe(tmp_path, is_whole=True), home=home)
    assert strange(home, traces) == {}
    with open_session(home) as session:
        step = next(one for one in session.ledger.run_steps(again.run) if one.name == "ingest:tickets")
        facts = (session.ledger.find_step(str(step.step_key)) or {})["dataset"].facts
    assert facts["erased"] == erased * 2 + 4
    assert [bool(one["stale"]) for one in told_by(capsys, ["models", *where])] == [True, False]


@pytest.mark.slow
def test_killed_again_and_again_it_ends(tmp_path: Path) -> None:
    """kill -9 at random moments: asked for again, it ends, and nothing of the person is left."""
    home, everybody = tmp_path / "home", planted.people(12)
    planted.write_sources(everybody, tmp_path)
    api.plan(recipe(tmp_path, is_whole=False), home=home)
    rng, kills, alone_s = random.Random(1), 0, 0.0
    for number, one in enumerate(everybody[:6]):
        command = [sys.executable, "-m", "tunesmith.cli.main", "erase", "--home", str(home), "--json"]
        for _ in range(40):
            begun_s = time.monotonic()
            process = subprocess.Popen(
                [*command, "--subject", one.id, "--reason", f"request {number}"], stdout=subprocess.DEVNULL
            )
            # The first is left alone, to learn how long one takes.
            is_killed = bool(alone_s) and kills < 5 * number
            try:
                code = process.wait(rng.uniform(0.3, 1.0) * alone_s if is_killed else 120)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                kills, code = kills + 1, process.wait()
            if code == 0:
                break
        assert code == 0 and strange(home, list(one.traces)) == {}
        alone_s = alone_s or time.monotonic() - begun_s
    with open_session(home) as session:
        assert all(one.ended for one in erasures.read(session.ledger.engine, "default"))
        for digest in erasures.kinds(session.ledger.engine, "default"):
            session.workspace.blobs.open(digest)
    assert kills >= 5


def ask(home: Path, everybody: list[planted.Planted]) -> None:
    """Questions of some of them to the released model, and what proved true of some."""
    with open_session(home) as session:
        model = open_head(session, "desk@production")
        capture = capture_of(session, session.ledger.resolve("desk", "production"))
        asked = [f"{one.texts[0]} again" for one in everybody]
        ids = capture.record(model.as_learned(asked), model.predict(asked), 2.0, [one.id for one in everybody])
        capture.flush()
        for id, one in list(zip(ids, everybody, strict=True))[::2]:
            assert id is not None
            feedback(session, id, one.labels[0])


def rows_of(home: Path, project: str = "default") -> dict[str, list[dict[str, Any]]]:
    """Every row of every table of rows of a project, by step and file, in their order."""
    found: dict[str, list[dict[str, Any]]] = {}
    with open_session(home, project) as session:
        from sqlalchemy import select

        from tunesmith.store.database import reading
        from tunesmith.store.tables import STEP_OUTPUTS

        with reading(session.ledger.engine) as connection:
            outputs = connection.execute(select(STEP_OUTPUTS).where(STEP_OUTPUTS.c.project_id == project)).all()
        for one in outputs:
            for path in sorted(session.workspace.blobs.path(one.digest).rglob("*.parquet")):
                if "subject" in pl.read_parquet_schema(path):
                    found[f"{one.step_key}/{one.name}/{path.name}"] = pl.read_parquet(path).to_dicts()
    return found


def strange(home: Path, traces: list[str]) -> dict[str, set[str]]:
    """Where traces are found outside the other project."""
    found = planted.hits(home, traces)
    return {place: what for place, what in found.items() if not place.startswith("projects/other/")}


def told_by(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> Any:
    return json.loads(shown(capsys, [*arguments, "--json"]))


def shown(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    capsys.readouterr()
    code = main(arguments)
    out = capsys.readouterr().out
    assert code == 0, out
    return out
