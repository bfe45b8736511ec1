"""The audit chain: whatever is changed, moved, taken out, cut off or written anew is found, in its exact place."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.actor import Actor
from tunesmith.core.errors import StoreError
from tunesmith.store import access, audit, database
from tunesmith.store.anchors import GENESIS, Custody
from tunesmith.store.audit import Act, Entry
from tunesmith.store.database import writing
from tunesmith.store.ledger import Ledger
from tunesmith.store.verify_audit import Problem, verify
from tunesmith.store.workspace import Workspace

NUM_ENTRIES = 40
TRIES = 100
PROJECT = "p"


def acts(first: int, number: int) -> list[Act]:
    return [
        Act("local:test", "release", f"intents@{n}", {"version": n, "why": "ä\n"}) for n in range(first, first + number)
    ]


def write(ledger: Ledger, first: int, number: int) -> list[Entry]:
    with writing(ledger.engine) as connection:
        return audit.append_many(connection, ledger.project, acts(first, number))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a chain of `NUM_ENTRIES`, anchored."""
    root = Workspace.open(tmp_path_factory.mktemp("audit") / "home", PROJECT).root
    with Ledger.open(f"sqlite:///{root / 'ledger.db'}", PROJECT, Custody.of(root)) as ledger:
        write(ledger, 0, NUM_ENTRIES)
    with closing(sqlite3.connect(root / "ledger.db")) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    return root


class Copy:
    """A copy of the workspace that can be tampered with, past the product."""

    def __init__(self, original: Path, root: Path) -> None:
        shutil.copytree(original, root)
        self.root, self.path = root, root / "ledger.db"
        self.custody = Custody(root)

    @property
    def anchor(self) -> Path:
        return self.custody.places(PROJECT)[0]

    def tamper(self, *statements: tuple[str, tuple[Any, ...]]) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("pragma synchronous=off")
            for statement, values in statements:
                connection.execute(statement, values)
            connection.commit()

    def rows(self) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute("select * from audit order by sequence")]

    def reset(self, original: Path) -> None:
        shutil.copyfile(original / "ledger.db", self.path)
        shutil.copyfile(original / "projects" / PROJECT / "audit.anchor", self.anchor)

    def problems(self) -> list[tuple[str, int, int]]:
        engine = database.connect(f"sqlite:///{self.path}")
        found = verify(engine, PROJECT, self.custody)
        engine.dispose()
        assert found.is_whole == (not found.problems)
        return [(one.kind, one.first, one.last) for one in found.problems]


@pytest.fixture
def copy(original: Path, tmp_path: Path) -> Copy:
    return Copy(original, tmp_path / "copy")


def resealed(rows: list[dict[str, Any]], first: int, key: bytes) -> list[tuple[str, tuple[Any, ...]]]:
    """Statements that write a chain anew from an entry on, as who has this key would."""
    statements, before = [], rows[first - 2]["digest"] if first > 1 else GENESIS
    for row in rows[first - 1 :]:
        details = row["details"].replace('"version":', '"forged":') if row["sequence"] == first else row["details"]
        at = datetime.fromisoformat(f"{row['at']}+00:00")
        sealed = audit.seal(
            key, PROJECT, row["sequence"], at, row["actor"], row["action"], row["target"], details, before
        )
        statements.append(
            (
                "update audit set details=?, previous=?, digest=? where sequence=?",
                (details, before, sealed, row["sequence"]),
            )
        )
        before = sealed
    return statements


def test_a_chain_is_whole_and_anchored(original: Path, copy: Copy) -> None:
    assert copy.problems() == []
    engine = database.connect(f"sqlite:///{copy.path}")
    found = verify(engine, PROJECT, copy.custody)
    entries = audit.entries(engine, PROJECT)
    assert (found.num_entries, found.num_unanchored, found.head) == (NUM_ENTRIES, 0, entries[-1].digest)
    assert found.anchors == ((str(copy.anchor), NUM_ENTRIES),)
    assert entries[0].previous == GENESIS
    assert [one.previous for one in entries[1:]] == [one.digest for one in entries[:-1]]
    assert entries[3].to_dict()["details"] == {"version": 3, "why": "ä\n"}
    assert [one.sequence for one in audit.entries(engine, PROJECT, last=2)] == [NUM_ENTRIES - 1, NUM_ENTRIES]
    assert [one.sequence for one in audit.entries(engine, PROJECT, target="intents@7")] == [8]
    assert json.dumps(found.to_dict())
    engine.dispose()


def test_a_hundred_cut_tails_are_found(original: Path, copy: Copy) -> None:
    rng = random.Random(0)
    for _ in range(TRIES):
        kept = rng.randrange(0, NUM_ENTRIES)
        copy.reset(original)
        copy.tamper(("delete from audit where sequence > ?", (kept,)))
        assert copy.problems() == [("cut", kept + 1, NUM_ENTRIES)]


def test_a_hundred_rewrites_without_the_key_are_found(original: Path, copy: Copy) -> None:
    rng = random.Random(1)
    rows = copy.rows()
    for _ in range(TRIES):
        first = rng.randrange(1, NUM_ENTRIES + 1)
        copy.reset(original)
        copy.tamper(*resealed(rows, first, rng.randbytes(32)))
        assert copy.problems() == [("changed", first, NUM_ENTRIES), ("rewritten", NUM_ENTRIES, NUM_ENTRIES)]


def test_a_hundred_rewrites_with_the_key_are_found_by_the_anchor(original: Path, copy: Copy) -> None:
    rng = random.Random(2)
    rows, key = copy.rows(), copy.custody.key(is_new=False)
    for _ in range(TRIES):
        first = rng.randrange(1, NUM_ENTRIES + 1)
        copy.reset(original)
        copy.tamper(*resealed(rows, first, key))
        assert copy.problems() == [("rewritten", NUM_ENTRIES, NUM_ENTRIES)]


def _edit(rng: random.Random, at: int) -> tuple[list[Any], list[tuple[str, int, int]]]:
    column = rng.choice(["actor", "action", "target", "details", "at", "previous", "digest"])
    value = "2026-01-01 00:00:00.000001" if column == "at" else "x"
    found = [("changed", at, at)]
    if column == "digest" and at == NUM_ENTRIES:
        found.append(("rewritten", at, at))
    return [(f"update audit set {column}=? where sequence=?", (value, at))], found


def _delete(rng: random.Random, at: int) -> tuple[list[Any], list[tuple[str, int, int]]]:
    kind = "cut" if at == NUM_ENTRIES else "deleted"
    return [("delete from audit where sequence=?", (at,))], [(kind, at, at)]


def _swap(rng: random.Random, at: int) -> tuple[list[Any], list[tuple[str, int, int]]]:
    other = rng.choice([n for n in range(1, NUM_ENTRIES + 1) if n != at])
    move = "update audit set sequence=? where sequence=?"
    found = [("moved", n, n) for n in sorted((at, other))]
    if NUM_ENTRIES in (at, other):
        found.append(("rewritten", NUM_ENTRIES, NUM_ENTRIES))
    return [(move, (-1, at)), (move, (at, other)), (move, (other, -1))], found


def _insert(rng: random.Random, at: int) -> tuple[list[Any], list[tuple[str, int, int]]]:
    shift = [("update audit set sequence=? where sequence=?", (n + 1, n)) for n in range(NUM_ENTRIES, at - 1, -1)]
    forged = (
        "insert into audit select project_id, ?, at, 'mallory', action, target, details, previous, digest "
        "from audit where sequence=?"
    )
    moved = [("moved", n, n) for n in range(at + 1, NUM_ENTRIES + 2)]
    found = [("changed", at, at), *moved]
    if at < NUM_ENTRIES:
        found.append(("rewritten", NUM_ENTRIES, NUM_ENTRIES))
    return [*shift, (forged, (at, at + 1))], sorted(found, key=lambda one: (one[1], one[0]))


@pytest.mark.parametrize("how", [_edit, _delete, _swap, _insert])
def test_a_hundred_faults_of_each_sort_are_found_where_they_are(
    original: Path, copy: Copy, how: Callable[[random.Random, int], Any]
) -> None:
    rng = random.Random(how.__name__)
    for _ in range(TRIES):
        statements, expected = how(rng, rng.randrange(1, NUM_ENTRIES + 1))
        copy.reset(original)
        copy.tamper(*statements)
        assert copy.problems() == expected


def test_what_is_wrong_with_an_anchor_is_found(original: Path, copy: Copy, tmp_path: Path) -> None:
    copy.anchor.unlink()
    assert copy.problems() == [("anchor missing", 0, 0)]
    copy.reset(original)
    told = json.loads(copy.anchor.read_text())
    for forged in ("{", json.dumps(told | {"sequence": 10}), json.dumps(told | {"seal": "0" * 64}), "[]"):
        copy.anchor.write_text(forged)
        assert copy.problems() == [("anchor damaged", 0, 0)]
    copy.reset(original)
    # Another project's anchor is none.
    other = Custody(copy.root)
    other.write(copy.anchor, "other", other.read(copy.anchor, PROJECT))  # type: ignore[arg-type]
    assert copy.problems() == [("anchor damaged", 0, 0)]


def test_an_old_anchor_put_back_over_a_cut_tail_is_found_by_the_second_place(tmp_path: Path) -> None:
    root = Workspace.open(tmp_path / "home", PROJECT).root
    custody = Custody(root, tmp_path / "elsewhere")
    with Ledger.open(f"sqlite:///{root / 'ledger.db'}", PROJECT, custody) as ledger:
        write(ledger, 0, 5)
        old = custody.places(PROJECT)[0].read_bytes()
        write(ledger, 5, 5)
        assert verify(ledger.engine, PROJECT).is_whole
        custody.places(PROJECT)[0].write_bytes(old)
        with writing(ledger.engine) as connection:
            connection.exec_driver_sql("delete from audit where sequence > 5")
        found = verify(ledger.engine, PROJECT)
        assert [(one.kind, one.first, one.last) for one in found.problems] == [("cut", 6, 10)]
        # Alone, the first place could not have told.
        assert verify(ledger.engine, PROJECT, Custody(root)).is_whole


def test_an_anchor_that_stayed_behind_for_long_is_found(copy: Copy) -> None:
    old = json.loads(copy.anchor.read_text())
    rows, key = copy.rows(), copy.custody.key(is_new=False)
    # The last entry, an hour after the one before, in a chain whose anchor knows the first thirty.
    late = datetime.fromisoformat(f"{rows[-1]['at']}+00:00") + timedelta(hours=1)
    row = rows[-1]
    sealed = audit.seal(
        key, PROJECT, NUM_ENTRIES, late, row["actor"], row["action"], row["target"], row["details"], row["previous"]
    )
    copy.tamper(
        ("update audit set at=?, digest=? where sequence=?",
         (late.strftime("%Y-%m-%d %H:%M:%S.%f"), sealed, NUM_ENTRIES)),
    )  # fmt: skip
    anchor = copy.custody.read(copy.anchor, PROJECT)
    assert anchor is not None and old["sequence"] == NUM_ENTRIES
    copy.custody.write(copy.anchor, PROJECT, type(anchor)(30, rows[29]["digest"], anchor.at))
    assert copy.problems() == [("anchor old", 31, NUM_ENTRIES)]


def test_a_cut_tail_is_not_hidden_by_what_is_written_after_it(copy: Copy) -> None:
    copy.tamper(("delete from audit where sequence > 30", ()))
    with Ledger.open(f"sqlite:///{copy.path}", PROJECT, copy.custody) as ledger:
        write(ledger, 0, 5)
        assert copy.problems() == [("cut", 36, NUM_ENTRIES)]
        write(ledger, 0, 20)
        assert copy.problems() == [("rewritten", NUM_ENTRIES, NUM_ENTRIES)]
        # A missing anchor is not made anew by the way either.
        copy.anchor.unlink()
        write(ledger, 0, 1)
        assert copy.problems() == [("anchor missing", 0, 0)]
        head = audit.anchor_anew(ledger.engine, PROJECT)
        assert head is not None and head.sequence == 56
        assert copy.problems() == []


def test_without_the_key_nothing_is_vouched_for_and_nothing_written(copy: Copy) -> None:
    copy.custody.key_path.unlink()
    assert copy.problems() == [("key", 0, 0)]
    opened = Ledger.open(f"sqlite:///{copy.path}", PROJECT, copy.custody)
    with opened as ledger, pytest.raises(StoreError, match="key of the audit chain is gone"):
        write(ledger, 0, 1)
    assert len(copy.rows()) == NUM_ENTRIES
    assert not copy.custody.key_path.exists()


def test_a_chain_of_which_nothing_is_left_is_missed_where_the_ledger_holds_what_was_recorded(tmp_path: Path) -> None:
    root = Workspace.open(tmp_path / "home", PROJECT).root
    custody = Custody(root)
    with Ledger.open(f"sqlite:///{root / 'ledger.db'}", PROJECT, custody) as ledger:
        assert verify(ledger.engine, PROJECT).is_whole  # nothing was recorded, and nothing is there
        access.add_user(ledger.engine, PROJECT, Actor("local:test", "admin"), "ana", "viewer")
        ledger.start_run("r-1", "desk", "classify", "0" * 64, by=Actor("local:test", "admin"))
    with closing(sqlite3.connect(root / "ledger.db")) as connection:
        connection.execute("delete from audit")
        connection.commit()
    custody.places(PROJECT)[0].unlink()
    with Ledger.open(f"sqlite:///{root / 'ledger.db'}", PROJECT, custody) as ledger:
        found = verify(ledger.engine, PROJECT)
        assert [one.kind for one in found.problems] == ["anchor missing", "cut"]
        assert "1 run and 1 user" in found.problems[1].words
        custody.key_path.unlink()
        assert [one.kind for one in verify(ledger.engine, PROJECT).problems] == ["key"]
        assert not custody.key_path.exists()


def test_the_key_is_closed_to_others(copy: Copy) -> None:
    assert copy.custody.key_path.stat().st_mode & 0o777 == 0o600
    copy.custody.key_path.chmod(0o644)
    assert copy.problems() == [("anchor damaged", 0, 0), ("key", 0, 0)]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    root = Workspace.open(tmp_path / "home", PROJECT).root
    with Ledger.open(f"sqlite:///{root / 'ledger.db'}", PROJECT, Custody(root)) as opened:
        yield opened


def test_a_killed_process_leaves_a_chain_that_verifies(ledger: Ledger) -> None:
    write(ledger, 0, 3)
    custody = audit.custody_of(ledger.engine)
    child = os.fork()
    if not child:

        def killed(self: Custody, *given: Any) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        Custody.write = killed  # type: ignore[method-assign]
        with Ledger.open(str(ledger.engine.url), PROJECT, custody) as opened:
            write(opened, 3, 2)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    found = verify(ledger.engine, PROJECT)
    assert (found.is_whole, found.num_entries, found.num_unanchored) == (True, 5, 2)
    assert found.anchors[0][1] == 3
    write(ledger, 5, 1)
    found = verify(ledger.engine, PROJECT)
    assert (found.is_whole, found.num_entries, found.num_unanchored, found.anchors[0][1]) == (True, 6, 0, 6)


def test_what_is_taken_back_leaves_no_entry(ledger: Ledger) -> None:
    write(ledger, 0, 1)
    with pytest.raises(RuntimeError), writing(ledger.engine) as connection:
        audit.append(connection, PROJECT, "local:test", "release", "intents", {})
        raise RuntimeError
    found = verify(ledger.engine, PROJECT)
    assert (found.is_whole, found.num_entries, found.anchors[0][1]) == (True, 1, 1)


def test_entries_that_are_not_committed_are_never_vouched_for(ledger: Ledger) -> None:
    write(ledger, 0, 1)
    with pytest.raises(RuntimeError), writing(ledger.engine) as connection:
        for _ in range(3):
            audit.append(connection, PROJECT, "local:test", "release", "intents", {})
        raise RuntimeError
    assert verify(ledger.engine, PROJECT).anchors[0][1] == 1
    with writing(ledger.engine) as connection:
        for _ in range(3):
            audit.append(connection, PROJECT, "local:test", "release", "intents", {})
    found = verify(ledger.engine, PROJECT)
    assert (found.is_whole, found.num_entries, found.anchors[0][1]) == (True, 4, 4)


def test_an_entry_needs_a_transaction_that_writes_a_key_and_bounds(ledger: Ledger) -> None:
    with database.reading(ledger.engine) as connection, pytest.raises(StoreError, match="transaction that writes"):
        audit.append(connection, PROJECT, "a", "b", "c", {})
    with Ledger.open(str(ledger.engine.url), PROJECT) as bare, pytest.raises(StoreError, match="without the key"):
        write(bare, 0, 1)
    for bad in (("a", "", "c"), ("a", "b", "x" * 301), ("a", "b" * 65, "c")):
        with writing(ledger.engine) as connection, pytest.raises(StoreError, match="characters"):
            audit.append(connection, PROJECT, *bad, {})
    with writing(ledger.engine) as connection, pytest.raises(StoreError, match="NaN"):
        audit.append(connection, PROJECT, Actor("a", "admin"), "b", "c", {"x": float("nan")})
    with pytest.raises(StoreError, match="no such project"), writing(ledger.engine) as connection:
        audit.append(connection, "other", "a", "b", "c", {})
    found = verify(ledger.engine, PROJECT)
    assert (found.num_entries, found.problems) == (0, ())


WRITER = """
import sys
from pathlib import Path
from tunesmith.store import audit
from tunesmith.store.anchors import Custody
from tunesmith.store.database import writing
from tunesmith.store.ledger import Ledger
url, project, root = sys.argv[1:]
with Ledger.open(url, project, Custody(Path(root))) as ledger:
    for number in range(10):
        with writing(ledger.engine) as connection:
            audit.append(connection, project, "local:test", "release", f"intents@{number}", {"n": number})
"""


def race(url: str, root: Path) -> tuple[int, tuple[Any, ...], int, list[int]]:
    """Four processes write ten entries each, at once: how many stand in the chain, what is wrong with it, how many are
    not anchored, and the number that each carries."""
    project = f"p{uuid.uuid4().hex}"
    Workspace.open(root, project)
    with Ledger.open(url, project, Custody(root)) as ledger:
        children = [subprocess.Popen([sys.executable, "-c", WRITER, url, project, str(root)]) for _ in range(4)]
        assert [child.wait(timeout=120) for child in children] == [0, 0, 0, 0]
        found = verify(ledger.engine, project)
        numbers = sorted(json.loads(one.details)["n"] for one in audit.entries(ledger.engine, project))
        return found.num_entries, found.problems, found.num_unanchored, numbers


WHOLE = (40, (), 0, sorted([*range(10)] * 4))
"""A chain that lost nothing and never forked."""


def test_writers_at_once_never_fork_the_chain(tmp_path: Path) -> None:
    assert race(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path / "home") == WHOLE


def test_writers_at_once_never_fork_the_chain_on_a_server(postgres: Any, tmp_path: Path) -> None:
    from sqlalchemy import URL
    from tests.postgres import PASSWORD, USER

    url = URL.create("postgresql+psycopg", USER, PASSWORD, database="postgres", query={"host": str(postgres.folder)})
    assert race(url.render_as_string(hide_password=False), tmp_path / "home") == WHOLE


def test_projects_have_chains_of_their_own(ledger: Ledger) -> None:
    root = audit.custody_of(ledger.engine).root
    write(ledger, 0, 2)
    Workspace.open(root, "q")
    with Ledger.open(str(ledger.engine.url), "q", Custody(root)) as other:
        write(other, 0, 1)
        assert verify(other.engine, "q").num_entries == 1
        # An entry carried over from another project does not count.
        with writing(other.engine) as connection:
            connection.exec_driver_sql("insert into audit select 'q', 2, at, actor, action, target, details, previous, "
                                       "digest from audit where project_id = 'p' and sequence = 2")  # fmt: skip
        problems = verify(other.engine, "q").problems
        assert problems == (Problem("changed", 2, 2, problems[0].words),)
    assert verify(ledger.engine, PROJECT).is_whole


def test_a_workspace_with_another_key_writes_nothing_into_a_chain(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"  # as a server that two people named, each with a folder of their own
    roots = [Workspace.open(tmp_path / name, PROJECT).root for name in ("mine", "yours")]
    mine, yours = map(Custody, roots)
    with Ledger.open(url, PROJECT, mine) as ledger:
        write(ledger, 0, 3)
    with Ledger.open(url, "elsewhere", yours) as ledger:
        write(ledger, 0, 1)  # which gives that folder a key
    with Ledger.open(url, PROJECT, yours) as ledger:
        with pytest.raises(StoreError, match="another workspace") as raised:
            write(ledger, 3, 1)
        assert str(yours.key_path) in str(raised.value.seen) and "TUNESMITH_HOME" in str(raised.value.next)
    with Ledger.open(url, PROJECT, mine) as ledger:
        assert verify(ledger.engine, PROJECT).is_whole
        # An anchor that was deleted says nothing of the key: entries go on, and verify tells of the anchor.
        mine.places(PROJECT)[0].unlink()
        write(ledger, 3, 1)
        found = verify(ledger.engine, PROJECT)
        assert found.num_entries == 4 and [one.kind for one in found.problems] == ["anchor missing"]
