"""The ledger: idempotent records, lineage, version numbers under a race, projects that never meet.

``TUNESMITH_TEST_LEDGER`` runs the same tests on another, empty database: postgresql://…
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import inspect, text

from tunesmith.core.artifact import MadeBy
from tunesmith.core.errors import StoreError, TunesmithError
from tunesmith.store import database
from tunesmith.store.ledger import Ledger
from tunesmith.store.records import ArtifactRecord, RunStep
from tunesmith.store.tables import HEAD, METADATA

RECIPE = "ab" * 32
SERVER = os.environ.get("TUNESMITH_TEST_LEDGER")
sqlite_only = pytest.mark.skipif(SERVER is not None, reason="about the file of SQLite")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return SERVER or f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    # On a server the tests share one database, and a project each keeps them apart.
    with Ledger.open(url, f"p{uuid.uuid4().hex}") as opened:
        yield opened


def digest(number: int) -> str:
    return f"{number:064x}"


def made_by(key: str) -> MadeBy:
    return MadeBy(key, "ingest", 7, {"polars": "2.1"}, {"cpus": 2}, {"wall_s": 1.5, "cpu_s": 1.0})


def artifact(number: int, key: str, *parents: int, kind: str = "dataset", **facts: Any) -> ArtifactRecord:
    return ArtifactRecord(kind, digest(number), facts, made_by(key), tuple(digest(parent) for parent in parents))


def record(ledger: Ledger, key: str, *made: ArtifactRecord, **more: Any) -> dict[str, ArtifactRecord]:
    return ledger.record_step(key, f"content-{key}", "ingest", {f"out{i}": one for i, one in enumerate(made)}, **more)


# Runs


def test_a_run_from_start_to_end(ledger: Ledger) -> None:
    ledger.start_run("run-1", "intents", "classify", RECIPE)
    ledger.start_run("run-2", "intents", "classify", RECIPE, status="planned")
    began = ledger.run("run-1")
    assert (began.status, began.verdict, began.ended, began.error) == ("running", None, None, None)
    assert began.started is not None
    assert abs(datetime.now(UTC) - began.started) < timedelta(minutes=1)
    ledger.end_run("run-1", "done", verdict="better", model_digest=digest(1))
    ended = ledger.run("run-1")
    assert (ended.status, ended.verdict, ended.model_digest) == ("done", "better", digest(1))
    assert ended.ended is not None
    assert ended.ended >= began.started
    assert [run.id for run in ledger.runs()] == ["run-2", "run-1"]


def test_a_failed_run_keeps_its_error_and_can_go_on(ledger: Ledger) -> None:
    ledger.start_run("run-1", "intents", "classify", RECIPE)
    error = TunesmithError("no rows", seen=0, next="look").to_dict()
    ledger.end_run("run-1", "failed", error=error)
    assert ledger.run("run-1").error == error
    started = ledger.run("run-1").started
    ledger.start_run("run-1", "intents", "classify", RECIPE)
    again = ledger.run("run-1")
    assert (again.status, again.error, again.ended, again.started) == ("running", None, None, started)
    with pytest.raises(StoreError, match="run of another recipe"):
        ledger.start_run("run-1", "intents", "classify", "cd" * 32)


def test_an_unknown_run_is_named_with_the_nearest(ledger: Ledger) -> None:
    ledger.start_run("intents-0001", "intents", "classify", RECIPE)
    for call in (lambda: ledger.run("intents-0010"), lambda: ledger.end_run("intents-0010", "done")):
        with pytest.raises(StoreError, match="did you mean `intents-0001`"):
            call()
    with pytest.raises(StoreError, match="not a valid run id"):
        ledger.start_run("../x", "intents", "classify", RECIPE)


def test_the_steps_of_a_run(ledger: Ledger) -> None:
    ledger.start_run("run-1", "intents", "classify", RECIPE)
    ledger.set_run_step("run-1", 1, "train", None, "planned")
    ledger.set_run_step("run-1", 0, "ingest", "k0", "cached")
    ledger.set_run_step("run-1", 1, "train", "k1", "done")
    assert ledger.run_steps("run-1") == [RunStep(0, "ingest", "k0", "cached"), RunStep(1, "train", "k1", "done")]
    with pytest.raises(StoreError):
        ledger.set_run_step("no-such-run", 0, "ingest", None, "planned")


# Steps and artifacts


def test_a_step_is_found_as_it_was_recorded(ledger: Ledger) -> None:
    assert ledger.find_step("k1") is None
    record(ledger, "k0", artifact(1, "k0"), artifact(2, "k0"))
    made = artifact(3, "k1", 2, 1, rows=3, names=["ä", "😀"], deep={"b": 1, "a": None})
    told = record(ledger, "k1", made, run_id="run-1", name="export", started=datetime.now(UTC))
    assert told == ledger.find_step("k1") == {"out0": made}
    assert ledger.artifact(digest(3)) == made
    assert list(ledger.artifact(digest(3)).facts["deep"]) == ["b", "a"]  # order is kept
    assert ledger.find_content("content-k1") == "k1"
    assert ledger.find_content("k1") is None
    assert record(ledger, "empty") == ledger.find_step("empty") == {}


def test_the_first_record_wins_unless_it_is_replaced(ledger: Ledger) -> None:
    first, second = artifact(1, "k1", n=1), artifact(2, "k1", n=2)
    record(ledger, "k1", first)
    assert record(ledger, "k1", second) == {"out0": first}
    with pytest.raises(StoreError, match="no such artifact"):
        ledger.artifact(digest(2))
    assert record(ledger, "k1", second, replaces=True) == {"out0": second}
    assert ledger.find_step("k1") == {"out0": second}


def test_equal_bytes_of_two_steps_keep_their_own_facts_and_parents(ledger: Ledger) -> None:
    record(ledger, "k0", artifact(1, "k0"), artifact(2, "k0"))
    one, two = artifact(3, "k1", 1, source="one"), artifact(3, "k2", 2, source="two")
    record(ledger, "k1", one)
    record(ledger, "k2", two)
    assert ledger.find_step("k1") == {"out0": one}
    assert ledger.find_step("k2") == {"out0": two}
    assert ledger.artifact(digest(3)) == one
    assert ledger.parents(digest(3)) == [digest(1), digest(2)]


def test_an_equal_step_takes_the_outputs_over(ledger: Ledger) -> None:
    record(ledger, "k0", artifact(1, "k0"))
    made = record(ledger, "k1", artifact(2, "k1", 1, n=1))
    assert ledger.alias_step("k2", "k1") == made == ledger.find_step("k2")
    assert ledger.alias_step("k2", "k1") == made
    assert ledger.find_content("content-k1") == "k1"
    with pytest.raises(StoreError, match="not on record"):
        ledger.alias_step("k3", "nowhere")


def test_lineage_up_and_down(ledger: Ledger) -> None:
    #  1   2
    #   \ / \
    #    3   4
    #     \ /
    #      5      and 5 gives 1 again: equal bytes
    for number, parents in ((1, ()), (2, ()), (3, (1, 2)), (4, (2,)), (5, (3, 4))):
        record(ledger, f"k{number}", artifact(number, f"k{number}", *parents))
    assert ledger.parents(digest(5)) == [digest(3), digest(4)]
    assert ledger.children(digest(2)) == [digest(3), digest(4)]
    assert ledger.ancestors(digest(5)) == [digest(n) for n in (1, 2, 3, 4)]
    assert ledger.descendants(digest(1)) == [digest(3), digest(5)]
    assert ledger.ancestors(digest(1)) == []
    record(ledger, "k6", artifact(1, "k6", 5, 1))
    assert ledger.ancestors(digest(5)) == [digest(n) for n in (1, 2, 3, 4)]
    assert ledger.descendants(digest(1)) == [digest(n) for n in (3, 5)]
    assert ledger.parents(digest(1)) == [digest(5)]  # nothing is its own parent


@settings(max_examples=6, deadline=None)
@given(st.lists(st.sets(st.integers(0, 11), max_size=4), min_size=12, max_size=12))
def test_ancestors_are_the_transitive_closure(tmp_path_factory: pytest.TempPathFactory, graph: list[set[int]]) -> None:
    url = SERVER or f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.db'}"
    edges = {child: {parent for parent in parents if parent < child} for child, parents in enumerate(graph)}
    closure: dict[int, set[int]] = {}
    for child, parents in edges.items():
        closure[child] = parents.union(*(closure[parent] for parent in parents))
    with Ledger.open(url, f"p{uuid.uuid4().hex}") as ledger:
        for child, parents in edges.items():
            record(ledger, f"k{child}", artifact(child, f"k{child}", *sorted(parents)))
        for child, expected in closure.items():
            assert ledger.ancestors(digest(child)) == [digest(n) for n in sorted(expected)]
            below = [digest(n) for n in sorted(closure) if child in closure[n]]
            assert ledger.descendants(digest(child)) == below


def test_what_cannot_be_recorded_leaves_no_trace(ledger: Ledger) -> None:
    for bad in (float("nan"), float("inf"), {1, 2}, b"bytes"):
        with pytest.raises(StoreError, match="cannot be recorded"):
            record(ledger, "k1", artifact(1, "k1"), artifact(2, "k1", bad=bad))
    with pytest.raises(StoreError):
        record(ledger, "k1", artifact(1, "k1"), artifact(2, "k1", 99))  # a parent that nobody made
    with pytest.raises(StoreError, match="not an artifact digest"):
        record(ledger, "k1", replace(artifact(1, "k1"), digest="x"))
    with pytest.raises(StoreError, match="not a valid step key"):
        record(ledger, "../k1", artifact(1, "k1"))
    assert ledger.find_step("k1") is None
    with pytest.raises(StoreError, match="no such artifact"):
        ledger.artifact(digest(1))


# Models


def test_versions_and_aliases(ledger: Ledger) -> None:
    record(ledger, "k1", artifact(1, "k1", kind="model"), artifact(2, "k1", kind="model"))
    assert ledger.register_version("intents", digest(1), "run-1", "better") == 1
    assert ledger.register_version("intents", digest(2), "run-2", "not shown") == 2
    assert ledger.register_version("other", digest(1), None, None) == 1
    ledger.set_alias("intents", "production", 1)
    ledger.set_alias("intents", "staging", 2)
    assert ledger.resolve("intents", "production").digest == digest(1)
    ledger.set_alias("intents", "production", 2)
    found = ledger.resolve("intents", "production")
    assert (found.version, found.digest, found.aliases) == (2, digest(2), ("production", "staging"))
    assert found == ledger.resolve("intents", 2) == ledger.resolve("intents", "2")
    assert [(one.name, one.version) for one in ledger.models()] == [("intents", 1), ("intents", 2), ("other", 1)]
    moves = [(move.alias, move.version, move.previous) for move in ledger.alias_history("intents")]
    assert moves == [("production", 1, None), ("staging", 2, None), ("production", 2, 1)]


def test_wrong_names_of_models_come_with_the_nearest(ledger: Ledger) -> None:
    with pytest.raises(StoreError, match="none yet") as nothing:
        ledger.resolve("intents", 1)
    assert "run:ID" in str(nothing.value.next)
    record(ledger, "k1", artifact(1, "k1", kind="model"))
    ledger.register_version("intents", digest(1), None, None)
    ledger.set_alias("intents", "production", 1)
    with pytest.raises(StoreError, match="did you mean `intents`"):
        ledger.resolve("intent", "production")
    with pytest.raises(StoreError, match="did you mean `production`"):
        ledger.resolve("intents", "produktion")
    with pytest.raises(StoreError, match="version or alias"):
        ledger.set_alias("intents", "production", 9)
    with pytest.raises(StoreError, match="cannot be a number"):
        ledger.set_alias("intents", "7", 1)
    with pytest.raises(StoreError, match="artifact on record"):
        ledger.register_version("intents", digest(2), None, None)
    with pytest.raises(StoreError, match="not a valid model name"):
        ledger.register_version("a/b", digest(1), None, None)
    assert ledger.resolve("intents", "production").version == 1
    assert len(ledger.alias_history("intents")) == 1


def test_sixteen_processes_get_sixteen_versions_of_a_new_ledger(url: str) -> None:
    project = f"p{uuid.uuid4().hex}"
    # One process imports and forks sixteen that have opened nothing yet: starting sixteen pythons takes far longer.
    script = """
import os, sys
from tunesmith.core.artifact import MadeBy
from tunesmith.store.ledger import Ledger
from tunesmith.store.records import ArtifactRecord
import alembic.command

def one(number):
    ledger = Ledger.open(sys.argv[1], sys.argv[2])
    made = ArtifactRecord("model", f"{number:064x}", {}, MadeBy(f"k{number}", "train", 0))
    ledger.record_step(f"k{number}", "c", "train", {"model": made})
    os.write(1, f"{ledger.register_version('intents', made.digest, None, None)}\\n".encode())

gate, go = os.pipe()
for number in range(16):
    if os.fork() == 0:
        os.close(go)
        os.read(gate, 1)
        status = 1
        try:
            one(number)
            status = 0
        finally:
            os._exit(status)
os.close(go)
assert [os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(16)] == [0] * 16
"""
    done = subprocess.run([sys.executable, "-c", script, url, project], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(map(int, done.stdout.split())) == list(range(1, 17))
    with Ledger.open(url, project) as ledger:
        assert len({one.digest for one in ledger.models()}) == 16


# Projects and the database


def test_two_projects_never_meet(url: str) -> None:
    names = [f"p{uuid.uuid4().hex}" for _ in range(2)]
    one, two = (Ledger.open(url, name) for name in names)
    one.start_run("run-1", "a", "classify", RECIPE)
    record(one, "k1", artifact(1, "k1", whose="one"))
    one.register_version("intents", digest(1), None, None)
    one.set_alias("intents", "production", 1)
    assert (two.runs(), two.models(), two.find_step("k1"), two.find_content("content-k1")) == ([], [], None, None)
    for call in (lambda: two.run("run-1"), lambda: two.artifact(digest(1)), lambda: two.resolve("intents", 1)):
        with pytest.raises(StoreError):
            call()
    with pytest.raises(StoreError, match="artifact on record"):
        two.register_version("intents", digest(1), None, None)
    two.start_run("run-1", "b", "regress", "cd" * 32)
    record(two, "k1", artifact(1, "k1", whose="two"))
    assert two.register_version("intents", digest(1), None, None) == 1
    assert (one.run("run-1").task, two.run("run-1").task) == ("classify", "regress")
    assert (one.artifact(digest(1)).facts, two.artifact(digest(1)).facts) == ({"whose": "one"}, {"whose": "two"})
    assert one.resolve("intents", "production").version == 1
    with pytest.raises(StoreError):
        two.resolve("intents", "production")
    one.close()
    two.close()


def test_every_table_has_a_project_in_its_keys() -> None:
    for table in METADATA.tables.values():
        if table.name != "projects":
            keys = [{column.name for column in one.columns} for one in (table.primary_key, *table.indexes)]
            keys += [{column.name for column in one.columns} for one in table.constraints]  # type: ignore[attr-defined]
            assert not table.c.project_id.nullable
            assert any("project_id" in key for key in keys), table.name


def test_the_migration_makes_the_tables_of_the_code(ledger: Ledger) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(database.__file__).parent / "migrations"))
    assert scripts.get_current_head() == HEAD
    assert [script.revision for script in scripts.walk_revisions()] == ["0003", "0002", "0001"]
    with database.reading(ledger.engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_an_open_ledger_needs_no_alembic(url: str) -> None:
    Ledger.open(url, "default").close()
    script = (
        "import sys; from tunesmith.store.ledger import Ledger; Ledger.open(sys.argv[1]).runs()\n"
        "print([name for name in ('alembic', 'torch', 'pandas', 'polars') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script, url], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@sqlite_only
def test_a_migration_that_fails_leaves_the_old_schema(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic.operations import Operations

    engine = database.connect(url)
    real = Operations.create_table
    num_made = 0

    def create_table(self: Operations, *args: Any, **more: Any) -> Any:
        nonlocal num_made
        num_made += 1
        if num_made == stop_at:
            raise KeyboardInterrupt
        return real(self, *args, **more)

    monkeypatch.setattr(Operations, "create_table", create_table)
    for stop_at in range(1, len(METADATA.tables) + 1):  # noqa: B007 (create_table reads it)
        num_made = 0
        with pytest.raises(KeyboardInterrupt):
            database.upgrade(engine)
        assert inspect(engine).get_table_names() == []
    stop_at = 0
    database.upgrade(engine)
    assert set(inspect(engine).get_table_names()) == {*METADATA.tables, "alembic_version"}


@sqlite_only
def test_a_newer_schema_is_refused(url: str) -> None:
    with Ledger.open(url) as ledger, database.writing(ledger.engine) as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(StoreError, match="another version of tunesmith") as caught:
        Ledger.open(url)
    assert "9999" in str(caught.value)


@sqlite_only
def test_sqlite_is_set_to_survive(ledger: Ledger) -> None:
    with database.reading(ledger.engine) as connection:
        settings = {
            name: connection.execute(text(f"pragma {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


@sqlite_only
def test_a_ledger_that_cannot_be_used_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.db").write_text("not a database, " * 100)
    with pytest.raises(StoreError, match="backup"):
        Ledger.open(f"sqlite:///{tmp_path / 'text.db'}")
    with pytest.raises(StoreError, match="check that the database is up"):
        Ledger.open(f"sqlite:///{tmp_path / 'absent' / 'ledger.db'}")
    with pytest.raises(StoreError, match="URL cannot be used"):
        Ledger.open("nonsense")
    with pytest.raises(StoreError, match="URL cannot be used"):
        Ledger.open("nosuchdb://host/x")
    with pytest.raises(StoreError) as caught:
        Ledger.open("postgresql://user:hunter2@127.0.0.1:1/x")
    assert "hunter2" not in str(caught.value)
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    one, two = Ledger.open(url), Ledger.open(url)
    with database.writing(one.engine), pytest.raises(StoreError, match="another process has been writing"):
        two.start_run("run-1", "a", "classify", RECIPE)
    two.start_run("run-1", "a", "classify", RECIPE)


def test_times_come_back_in_utc(ledger: Ledger) -> None:
    started = datetime(2026, 3, 29, 2, 30, tzinfo=timezone(timedelta(hours=2)))
    record(ledger, "k1", artifact(1, "k1"), started=started)
    from tunesmith.store.tables import STEPS

    with database.reading(ledger.engine) as connection:
        row = connection.execute(STEPS.select().where(STEPS.c.project_id == ledger.project)).one()
    assert row.started == started
    assert row.started.utcoffset() == timedelta(0)
    assert row.cost == {"wall_s": 1.5, "cpu_s": 1.0}
