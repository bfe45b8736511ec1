"""Twenty of a hundred planted persons erased: nothing of them is left, and nobody else has lost a thing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests import planted, tiny

from tunesmith import api
from tunesmith.cli.main import main
from tunesmith.lifecycle.capture import capture_of, feedback
from tunesmith.lifecycle.model import open_head
from tunesmith.lifecycle.session import open_session


def recipe(folder: Path, name: str = "desk") -> dict[str, Any]:
    columns = {"text": "text", "label": "label", "subject": "who"}
    return {
        "name": name,
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
        "explain": {"methods": ["occlusion"], "rows": 30, "least_rows": 1},
        "gate": {},
    }


def rows_of(home: Path, project: str = "default") -> dict[str, list[dict[str, Any]]]:
    """Every row of every table of rows of a project, by kind and file, in their order."""
    found: dict[str, list[dict[str, Any]]] = {}
    with open_session(home, project) as session:
        for run in session.ledger.runs():
            for step in session.ledger.run_steps(run.id):
                for name, one in (session.ledger.find_step(str(step.step_key)) or {}).items():
                    folder = session.workspace.blobs.path(one.digest)
                    for path in sorted(folder.rglob("*.parquet")):
                        if "subject" in pl.read_parquet_schema(path):
                            found[f"{run.name}/{step.name}/{name}/{path.name}"] = pl.read_parquet(path).to_dicts()
    return found


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"


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


def test_twenty_of_a_hundred(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everybody = planted.people(100)
    planted.write_sources(everybody, tmp_path)
    api.run(recipe(tmp_path), home=home)
    api.run(recipe(tmp_path), home=home, project="other")
    ask(home, everybody[:40])
    where = ["--home", str(home)]
    assert main(["monitor", "desk@production", *where, "-q"]) in (0, 3)
    report = json.loads(run_json(capsys, ["models", *where]))[0]["run"]
    before, other_before = rows_of(home), rows_of(home, "other")

    gone, left = everybody[:20], everybody[20:]
    traces = [trace for one in gone for trace in one.traces]
    assert set().union(*planted.hits(home, traces).values()) == set(traces)
    dry = json.loads(run_json(capsys, ["erase", "--subject", gone[0].id, "--reason", "r1", "--dry-run", *where]))
    assert dry["rows"] == 3 and dry["observations"] == 1 and dry["models"][0]["names"] == ["desk@1"]
    assert rows_of(home) == before
    for number, one in enumerate(gone):
        told = json.loads(run_json(capsys, ["erase", "--subject", one.id, "--reason", f"request {number}", *where]))
        assert told["is_clean"] and told["left"] == [], told["left"]
        assert told["rows"] == 3 and told["observations"] == 1
        proof = json.loads(Path(told["proof"]).read_text())
        assert proof["audit"] == told["audit"] and one.id not in Path(told["proof"]).read_text()

    own = home / "projects" / "other"
    kept_by_other = {run.name for run in (home / "runs").iterdir() if run.name not in run_ids(home)}
    found = planted.hits(home, traces)
    strange = {
        place: what
        for place, what in found.items()
        if not place.startswith("projects/other/") and place.split("/")[1:2] not in [[run] for run in kept_by_other]
    }
    assert strange == {} and own.is_dir()

    # Everybody else's rows are as they were, in their order; and the other project has lost nothing.
    hashed = subjects(home, gone)
    for place, rows in before.items():
        now = rows_of(home).get(place)
        assert now is not None, place
        ids = {row["row_id"] for row in rows if row["subject"] in hashed}
        wanted = [row for row in rows if row["row_id"] not in ids]
        assert now == wanted, place
    assert rows_of(home, "other") == other_before
    assert len(left) == 80

    listed = json.loads(run_json(capsys, ["models", *where]))
    assert len(listed[0]["stale"]) == 20
    assert (home / "runs" / report / "report.html").stat().st_size > 10_000
    assert json.loads(run_json(capsys, ["audit", "verify", *where]))["problems"] == []

    # What stands in the way of coming back: the sources still hold them.
    again = api.run(recipe(tmp_path), home=home)
    strange = {
        place: what
        for place, what in planted.hits(home, traces).items()
        if not belongs_to(place, "other", kept_by_other)
    }
    assert strange == {} and again.run != report
    with open_session(home) as session:
        step = next(one for one in session.ledger.run_steps(again.run) if one.name == "ingest:tickets")
        facts = (session.ledger.find_step(str(step.step_key)) or {})["dataset"].facts
    assert facts["erased"] == 20 * 2 + 4
    listed = json.loads(run_json(capsys, ["models", *where]))
    assert [bool(one["stale"]) for one in listed] == [True, False]


def belongs_to(place: str, project: str, runs: set[str]) -> bool:
    parts = place.split("/")
    return parts[:2] == ["projects", project] or (parts[0] == "runs" and parts[1] in runs)


def run_json(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    capsys.readouterr()
    code = main([*arguments, "--json"])
    out = capsys.readouterr().out
    assert code == 0, out
    return out


def run_ids(home: Path) -> set[str]:
    with open_session(home) as session:
        return {run.id for run in session.ledger.runs()}


def subjects(home: Path, people: list[planted.Planted]) -> set[str]:
    from tunesmith.lifecycle.capture import subject_hash

    with open_session(home) as session:
        return {subject_hash(session.workspace.subject_key(), one.id) for one in people}
