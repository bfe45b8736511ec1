"""Erasing a person: cut off anywhere it is gone on with, what cannot be done is refused, and what comes back is not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import select
from tests import planted, tiny

from tunesmith import api
from tunesmith.core.errors import RecipeError, StoreError
from tunesmith.core.subject import subject_hash
from tunesmith.lifecycle import erase as under_test
from tunesmith.lifecycle.session import Session, open_session
from tunesmith.store import audit, erasures, observations
from tunesmith.store.blobs import Blobs
from tunesmith.store.database import reading
from tunesmith.store.observations import Observation
from tunesmith.store.tables import OBSERVATIONS
from tunesmith.store.verify_audit import verify

PEOPLE = 6


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


def recipe(folder: Path, **changes: Any) -> dict[str, Any]:
    columns = {"text": "text", "label": "label", "subject": "who"}
    sources = [
        {"kind": "csv", "name": "tickets", "path": str(folder / "tickets.csv"), "columns": columns},
        {"kind": "jsonl", "name": "mails", "path": str(folder / "mails.jsonl"), "columns": columns},
    ]
    data = {"sources": sources, "clean": {"near_duplicates": None}} | changes
    return {"name": "desk", "task": "classify", "data": data, "model": str(tiny.encoder("bert")), "gate": {}}


def observe(session: Session, id: str, person: str | None, text: str) -> None:
    from datetime import UTC, datetime

    hashed = subject_hash(session.workspace.subject_key(), person) if person else None
    one = Observation(id, "desk", 1, datetime.now(UTC), text, hashed, {"label": "card"}, 1.0)
    observations.add(session.ledger.engine, session.ledger.project, [one])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[planted.Planted]]:
    """A workspace in which sources were read and divided, with feedback rows and a captured answer."""
    folder = tmp_path_factory.mktemp("erase")
    everybody = planted.people(PEOPLE)
    planted.write_sources(everybody, folder)
    api.plan(recipe(folder), home=folder / "home")
    with open_session(folder / "home") as session:
        for number, one in enumerate(everybody):
            observe(session, f"{number:032x}", one.id, f"{one.texts[0]} once more")
            observations.add_feedback(session.ledger.engine, "default", f"{number:032x}", "card", actor=session.actor)
        rows = [
            {"text": one.texts[1], "label": "card", "subject": f"tunesmith-subject:{hashed(session, one)}"}
            for one in everybody
        ]
        retrain = session.workspace.folder / "retrain"
        retrain.mkdir()
        (retrain / "0.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder, everybody


@pytest.fixture
def home(made: tuple[Path, list[planted.Planted]], tmp_path: Path) -> Path:
    shutil.copytree(made[0] / "home", tmp_path / "home")
    return tmp_path / "home"


def hashed(session: Session, one: planted.Planted) -> str:
    return subject_hash(session.workspace.subject_key(), one.id)


def traces(*people: planted.Planted) -> list[str]:
    return [trace for one in people for trace in one.traces]


POINTS: dict[str, tuple[Any, str, bool]] = {
    "begun": (erasures, "begin", True),
    "before the plan is kept": (under_test, "write_bytes", False),
    "planned": (under_test, "write_bytes", True),
    "answers forgotten": (erasures, "forget", True),
    "first bytes written": (Blobs, "put", True),
    "first recorded": (erasures, "replace", True),
    "first bytes deleted": (Blobs, "remove", True),
    "facts cleaned": (erasures, "clean_facts", True),
    "steps cleaned": (under_test, "clean_steps", True),
    "files cleaned": (under_test, "clean_project", True),
    "runs cleaned": (under_test, "clean_runs", True),
    "compacted": (erasures, "compact", True),
    "before the end": (erasures, "finish", False),
    "ended": (erasures, "finish", True),
    "proven": (under_test, "write_json", True),
}


TIMES = [
    *((point, 1) for point in POINTS),
    *((f"first {what}", 3) for what in ("bytes written", "recorded", "bytes deleted")),
]


@pytest.mark.parametrize(("point", "number"), TIMES)
def test_cut_off_it_is_gone_on_with(
    home: Path,
    made: tuple[Path, list[planted.Planted]],
    point: str,
    number: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place, name, is_after = POINTS[point]
    one = made[1][0]
    monkeypatch.setattr(place, name, _killing(getattr(place, name), number, is_after=is_after))
    with pytest.raises(Killed):
        api.erase(one.id, "request 1", home=home)
    monkeypatch.undo()
    told = api.erase(one.id, "request 1", home=home)
    assert told.is_clean and told.left == [] and planted.hits(home, traces(one)) == {}
    if point not in ("ended", "proven"):
        assert told.rows == 3 and told.observations == 1 and len(told.artifacts) >= 3
    with open_session(home) as session:
        done = erasures.read(session.ledger.engine, "default")
        assert all(each.ended for each in done) and told.proof and Path(told.proof).is_file()
        assert verify(session.ledger.engine, "default").problems == ()
        for digest in erasures.kinds(session.ledger.engine, "default"):
            session.workspace.blobs.open(digest)
    assert not list((home / "projects" / "default" / "erasures").glob("*.work"))
    assert planted.hits(home, traces(*made[1][1:])) != {}


def _killing(original: Callable[..., Any], number: int, *, is_after: bool) -> Callable[..., Any]:
    calls = 0

    def wrapped(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        made = original(*given, **named) if is_after or calls < number else None
        if calls >= number:
            raise Killed
        return made

    return wrapped


def test_what_the_sources_still_hold_does_not_come_back(home: Path, made: tuple[Path, list[planted.Planted]]) -> None:
    folder, everybody = made
    told = api.erase(everybody[0].id, "request 1", home=home)
    plan = api.plan(recipe(folder), home=home)
    assert planted.hits(home, traces(everybody[0])) == {} and plan is not None
    with open_session(home) as session:
        facts = [one["dataset"].facts for one in _steps(session, "ingest:tickets")]
        assert sorted(one["erased"] for one in facts) == [3, 3]
        assert len({json.dumps(one["refused"]) for one in facts}) == 1 and len({one["rows"] for one in facts}) == 1
        # An answer that waited in a server meanwhile, and feedback on it.
        observe(session, "f" * 32, everybody[0].id, "late")
        observe(session, "e" * 32, everybody[1].id, "in time")
        with reading(session.ledger.engine) as connection:
            ids = set(connection.execute(select(OBSERVATIONS.c.id)).scalars())
        assert "e" * 32 in ids and "f" * 32 not in ids
    assert told.audit is not None


def _steps(session: Session, name: str) -> list[Any]:
    from tunesmith.store.tables import STEPS

    with reading(session.ledger.engine) as connection:
        keys = connection.execute(select(STEPS.c.key).where(STEPS.c.name == name)).scalars().all()
    return [session.ledger.find_step(key) for key in keys]


def test_splits_count_what_they_hold(home: Path, made: tuple[Path, list[planted.Planted]]) -> None:
    api.erase(made[1][0].id, "request 1", home=home)
    api.erase(made[1][1].id, "request 2", home=home)
    with open_session(home) as session:
        [outputs] = _steps(session, "prepare")
        splits = outputs["splits"]
        folder = session.workspace.blobs.path(splits.digest)
        frames = {path.stem: pl.read_parquet(path) for path in folder.glob("*.parquet")}
        facts = splits.facts
    names = ("train", "validation", "test")
    assert {name: frames[name].height for name in names} == facts["splits"]
    kept = sum(frames[name].height for name in names)
    quarantined, removed = frames["quarantine"].height, frames["removed"].height
    counts = {"read": kept + removed + quarantined, "kept": kept, "removed": removed, "quarantined": quarantined}
    assert facts["rows"] == counts and facts["erased"] == 2 * 3 + 2
    for name in names:
        assert facts["label_counts"][name] == dict(frames[name]["label"].value_counts().iter_rows())
    assert sum(one["read"] for one in facts["by_source"].values()) == counts["read"]
    assert sum(facts["quarantined"].values()) == quarantined


def test_a_dry_run_changes_nothing(home: Path, made: tuple[Path, list[planted.Planted]]) -> None:
    def content() -> dict[str, bytes]:
        files = [path for path in home.rglob("*") if path.is_file() and path.name != "lock"]
        return {str(path): path.read_bytes() for path in files if "ledger" not in path.name}

    before = content()
    told = api.erase(made[1][0].id, "request 1", is_dry_run=True, home=home)
    assert content() == before and told.id is None and told.proof is None
    assert (
        told.rows == 3 and told.observations == 1 and {one["kind"] for one in told.artifacts} >= {"dataset", "splits"}
    )
    with open_session(home) as session:
        assert erasures.read(session.ledger.engine, "default") == []


def test_somebody_unknown_is_noted_and_a_second_time_finds_nothing(
    home: Path, made: tuple[Path, list[planted.Planted]]
) -> None:
    told = api.erase("CUST-0000000", "request 1", home=home)
    assert told.rows == 0 and told.artifacts == [] and any("spelling" in note for note in told.notes)
    first = api.erase(made[1][0].id, "request 2", home=home)
    second = api.erase(made[1][0].id, "request 2 again", home=home)
    assert first.rows == 3 and second.rows == 0 and second.artifacts == [] and second.is_clean


def test_another_persons_row_that_names_them_is_told_and_blacked_out_on_demand(tmp_path: Path) -> None:
    everybody = planted.people(PEOPLE)
    one, other = everybody[0], everybody[1]
    planted.write_sources(everybody, tmp_path)
    with (tmp_path / "tickets.csv").open("a") as file:
        file.write(f'{other.id},"please tell {one.name} of {one.id} that it is fine",card,{other.name}\n')
    home = tmp_path / "home"
    api.plan(recipe(tmp_path), home=home)
    told = api.erase(one.id, "request 1", home=home)
    assert not told.is_clean and {hit["kind"] for hit in told.left} == {"identifier"}
    again = api.erase(one.id, "request 1", also=[one.name, one.id], home=home)
    assert again.is_clean and planted.hits(home, traces(one)) == {}
    with open_session(home) as session:
        dataset = _steps(session, "ingest:tickets")[0]["dataset"]
        texts = pl.read_parquet(session.workspace.blobs.path(dataset.digest) / "part-00000.parquet")["text"].to_list()
    assert "please tell [erased] of [erased] that it is fine" in texts


@pytest.mark.parametrize(
    ("subject", "reason", "also"),
    [
        ("", "why", ()),
        ("CUST-1", " ", ()),
        ("CUST-1", "CUST-1 asked", ()),
        ("CUST-1", "why", ("x",)),
        ("a", "b" * 1001, ()),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, subject: str, reason: str, also: tuple[str, ...]) -> None:
    with pytest.raises(RecipeError):
        api.erase(subject, reason, also=also, home=tmp_path / "home")


def test_nothing_is_erased_while_a_run_or_step_is_under_way(
    home: Path, made: tuple[Path, list[planted.Planted]]
) -> None:
    one = made[1][0]
    with open_session(home) as session:
        session.ledger.start_run("desk-1", "desk", "classify", "a" * 64)
        folder = session.workspace.run_folder("desk-1")
        with session.workspace.lock(folder / "lock"), pytest.raises(StoreError, match="`desk-1` is under way"):
            api.erase(one.id, "request 1", home=home)
        step = next((session.workspace.folder / "steps").iterdir())
        with session.workspace.lock(step / "lock"), pytest.raises(StoreError, match="a step"):
            api.erase(one.id, "request 1", home=home)
        with session.workspace.lock(session.workspace.folder / "erasures" / "lock"), pytest.raises(StoreError):
            api.erase(one.id, "request 1", home=home)
        assert erasures.read(session.ledger.engine, "default") == []
    # A run that died holds no lock.
    assert api.erase(one.id, "request 1", home=home).is_clean


def test_what_is_recorded_names_nobody(home: Path, made: tuple[Path, list[planted.Planted]]) -> None:
    told = api.erase(made[1][0].id, "request 1", home=home)
    proof = json.loads(Path(str(told.proof)).read_text())
    with open_session(home) as session:
        entries = audit.entries(session.ledger.engine, "default", target=str(told.id))
    assert [one.action for one in entries] == ["erase.start", "erase"] and entries[-1].sequence == proof["audit"]
    assert proof["reason"] == "request 1" and proof["subject"] == told.subject
    assert proof["rows"] == 3 and all(one["kind"] and len(one["digest"]) == 64 for one in proof["artifacts"])
