"""A source's cursor moves with the record of what was pulled, once, and a dead process loses nothing."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tunesmith.core.artifact import Artifact
from tunesmith.core.source import IncrementalSource
from tunesmith.data import dataset
from tunesmith.data.config import IngestConfig
from tunesmith.data.sources.sql import SqlConfig, SqlSource
from tunesmith.lifecycle.runner import Runner
from tunesmith.lifecycle.steps import StepSpec
from tunesmith.store.artifacts import ArtifactStore
from tunesmith.store.ledger import Ledger
from tunesmith.store.records import CursorRecord
from tunesmith.store.workspace import Workspace


class Crm:
    """A database, and runs of the step that pulls it."""

    def __init__(self, folder: Path) -> None:
        self.path, self.home = folder / "crm.db", folder / "home"
        cursor: Any = "updated_at"
        self.config = SqlConfig(name="crm", url=f"sqlite:///{self.path}", table="tickets", cursor=cursor)

    def fill(self) -> None:
        self.execute("CREATE TABLE tickets (id integer PRIMARY KEY, text text, updated_at integer)")
        self.put(1, 2)

    def execute(self, *statements: str) -> None:
        connection = sqlite3.connect(self.path)
        with connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()

    def put(self, *keys: int) -> None:
        self.execute(*(f"INSERT INTO tickets VALUES ({key}, 'row {key}', {key})" for key in keys))

    def spec(self) -> StepSpec:
        source = SqlSource(self.config)
        assert isinstance(source, IncrementalSource)
        config = IngestConfig(source=self.config)
        return StepSpec("ingest:crm", "pull", config, {}, source.fingerprint(), source.cursor_identity() or "")

    def run(self, spec: StepSpec | None = None) -> Artifact:
        workspace = Workspace.open(self.home)
        with Ledger.open(workspace.ledger_url) as ledger:
            runner = Runner(workspace, ledger, seed=0, listener=lambda event: None)
            return runner.run([spec or self.spec()])["ingest:crm"]["dataset"]

    def stands(self) -> CursorRecord | None:
        with Ledger.open(Workspace.open(self.home).ledger_url) as ledger:
            return ledger.cursor(self.spec().pulls)


@pytest.fixture
def crm(tmp_path: Path) -> Crm:
    made = Crm(tmp_path)
    made.fill()
    return made


def texts(artifact: Artifact) -> list[str]:
    found: pl.DataFrame = dataset.scan(artifact).select("text").collect()
    return found["text"].to_list()


def test_the_cursor_moves_with_each_new_state_and_the_result_is_cached(crm: Crm) -> None:
    assert crm.stands() is None
    first = crm.run()
    stands = crm.stands()
    assert stands is not None and (stands.dataset, stands.num_moves, stands.name) == (first.digest, 1, "ingest:crm")
    # The same state: the step is known and nothing moves.
    assert crm.run().digest == first.digest
    assert crm.stands() == stands
    crm.put(3)
    second = crm.run()
    assert second.facts["pulled"]["how"] == "what is new" and texts(second) == ["row 1", "row 2", "row 3"]
    assert second.facts["pulled"]["new"] == 1 and second.facts["pulled"]["unchanged"] == 2
    stands = crm.stands()
    assert stands is not None and (stands.dataset, stands.num_moves) == (second.digest, 2)


def test_a_new_workspace_makes_the_same_bytes_at_once(crm: Crm, tmp_path: Path) -> None:
    crm.run()
    crm.put(3, 4)
    crm.execute("DELETE FROM tickets WHERE id = 1", "UPDATE tickets SET text = 'new', updated_at = 9 WHERE id = 2")
    grown = crm.run()
    # Only the key that hides subjects is a workspace's own.
    key = (crm.home / "projects" / "default" / "subject.key").read_bytes()
    crm.home = tmp_path / "other"
    Workspace.open(crm.home)
    path = crm.home / "projects" / "default" / "subject.key"
    path.write_bytes(key)
    path.chmod(0o600)
    whole = crm.run()
    assert whole.digest == grown.digest and whole.facts["pulled"]["how"] == "everything: the first pull"


def test_what_dies_between_read_and_record_is_read_again(crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    crm.run()
    before = crm.stands()
    crm.put(3)

    def die(*args: object, **more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ArtifactStore, "save_step", die)
        with pytest.raises(KeyboardInterrupt):
            crm.run()
    # And in the transaction itself, after everything else was written.
    with monkeypatch.context() as patch:
        patch.setattr("tunesmith.store.cursors.move", die)
        with pytest.raises(KeyboardInterrupt):
            crm.run()
    assert crm.stands() == before
    assert texts(crm.run()) == ["row 1", "row 2", "row 3"]


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.unit.lifecycle.test_pulls import Crm
from tunesmith.store import cursors
from tunesmith.store.artifacts import ArtifactStore

def die(*args, **more):
    os.kill(os.getpid(), signal.SIGKILL)

owner = {"save_step": ArtifactStore, "move": cursors}[sys.argv[2]]
setattr(owner, sys.argv[2], die)
Crm(Path(sys.argv[1])).run()
"""


@pytest.mark.parametrize("where", ["save_step", "move"])
def test_kill_9_between_read_and_record_loses_nothing(crm: Crm, where: str) -> None:
    crm.run()
    before = crm.stands()
    crm.put(3)
    done = subprocess.run([sys.executable, "-c", KILLED, str(crm.path.parent), where], check=False)
    assert done.returncode == -signal.SIGKILL
    assert crm.stands() == before
    again = crm.run()
    assert texts(again) == ["row 1", "row 2", "row 3"] and again.facts["pulled"]["new"] == 1
    stands = crm.stands()
    assert stands is not None and stands.num_moves == 2


def test_two_pulls_at_once_move_the_cursor_once(crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run pulls and records while the first one is between reading and recording."""
    crm.run()
    crm.put(3)
    slow = crm.spec()
    real = ArtifactStore.save_step
    others: list[Artifact] = []

    def save(self: ArtifactStore, *args: Any, **more: Any) -> Any:
        if not others:
            monkeypatch.setattr(ArtifactStore, "save_step", real)
            crm.put(4)
            others.append(crm.run())
        return real(self, *args, **more)

    monkeypatch.setattr(ArtifactStore, "save_step", save)
    mine = crm.run(slow)
    stands = crm.stands()
    assert texts(mine) == ["row 1", "row 2", "row 3"]
    assert texts(others[0]) == ["row 1", "row 2", "row 3", "row 4"]
    # The one that recorded first moved it; the other's rows are on record, and the next pull starts from the first's.
    assert stands is not None and (stands.dataset, stands.num_moves) == (others[0].digest, 2)
    crm.put(5)
    assert texts(crm.run())[-1] == "row 5"


def test_lost_bytes_mean_that_everything_is_read(crm: Crm) -> None:
    first = crm.run()
    workspace = Workspace.open(crm.home)
    shutil.rmtree(workspace.blobs.path(first.digest).parent)
    crm.put(3)
    again = crm.run()
    assert again.facts["pulled"]["how"] == "everything: the first pull" and len(texts(again)) == 3
    stands = crm.stands()
    assert stands is not None and stands.num_moves == 2 and stands.dataset == again.digest


def test_what_is_read_and_how_decides_which_cursor_it_is(crm: Crm) -> None:
    one = SqlSource(crm.config).cursor_identity()
    for update in ({"purpose": "other"}, {"licence": "mine"}, {"connect_timeout_s": 5}):
        assert SqlSource(crm.config.model_copy(update=update)).cursor_identity() == one
    for update in ({"columns": {"text": "text"}}, {"name": "crm2"}, {"table": "other"}, {"split": "test"}):
        assert SqlSource(crm.config.model_copy(update=update)).cursor_identity() != one
    assert SqlSource(crm.config.model_copy(update={"cursor": None})).cursor_identity() is None
