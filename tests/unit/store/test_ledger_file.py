"""A ledger whose file is taken away while it is open: refused at once, nothing acknowledged, nothing made anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select

from tunesmith.core.errors import LedgerDown, StoreError
from tunesmith.lifecycle.session import open_session
from tunesmith.store.anchors import Custody
from tunesmith.store.database import reading, writing
from tunesmith.store.ledger import Ledger
from tunesmith.store.tables import PROJECTS
from tunesmith.store.workspace import Workspace


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A path with every character that means something in a URL."""
    (tmp_path / "a b?c%20#é").mkdir()
    return tmp_path / "a b?c%20#é" / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    workspace = Workspace(path.parent)
    with Ledger.open(workspace.ledger_url, "p") as opened:
        yield opened


def write(connection: Connection, name: str) -> None:
    connection.execute(insert(PROJECTS).values(id=name, created=datetime.now(UTC)))


def written(ledger: Ledger, name: str) -> None:
    with writing(ledger.engine) as connection:
        write(connection, name)


def names(ledger: Ledger) -> list[str]:
    with reading(ledger.engine) as connection:
        return sorted(connection.execute(select(PROJECTS.c.id)).scalars())


def test_one_that_is_moved_refuses_until_it_is_back_and_keeps_what_was_acknowledged(ledger: Ledger, path: Path) -> None:
    written(ledger, "before")
    away = path.rename(path.with_name("away"))
    for use in (lambda: written(ledger, "lost"), lambda: names(ledger)):
        with pytest.raises(LedgerDown, match="moved or deleted") as caught:
            use()
        assert caught.value.seen == path and "put it back" in str(caught.value.next)
    assert not path.exists(), "no empty ledger is made where one was taken away"
    away.rename(path)
    written(ledger, "after")
    assert names(ledger) == ["after", "before", "p"]
    ledger.close()
    with Ledger.open(Workspace(path.parent).ledger_url, "p") as again:
        assert names(again) == ["after", "before", "p"]


def test_more_connections_make_no_file_either(ledger: Ledger, path: Path) -> None:
    with reading(ledger.engine):
        path.rename(path.with_name("away"))
        with pytest.raises(LedgerDown, match="moved or deleted"), reading(ledger.engine):
            pass
    assert not path.exists()


@pytest.mark.parametrize("take", [Path.unlink, lambda path: path.rename(path.with_name("away"))])
def test_one_that_goes_during_a_transaction_acknowledges_nothing(
    ledger: Ledger, path: Path, take: Callable[[Path], object]
) -> None:
    with pytest.raises(LedgerDown, match="moved or deleted"), writing(ledger.engine) as connection:
        write(connection, "half")
        take(path)
    assert not path.exists()


def test_another_file_at_its_path_is_never_gone_on_with(ledger: Ledger, path: Path, tmp_path: Path) -> None:
    with Ledger.open(f"sqlite:///{tmp_path / 'other.db'}", "other"):
        pass
    path.unlink()
    (tmp_path / "other.db").rename(path)
    content = path.read_bytes()
    for use in (lambda: written(ledger, "lost"), lambda: names(ledger)):
        with pytest.raises(LedgerDown, match="another file"):
            use()
    ledger.close()
    assert path.read_bytes() == content, "nothing of the old one's log goes into it"


def test_a_log_that_is_taken_away_refuses_and_the_end_of_the_process_puts_it_back(ledger: Ledger, path: Path) -> None:
    written(ledger, "before")
    path.with_name("ledger.db-wal").unlink()
    for use in (lambda: written(ledger, "lost"), lambda: names(ledger)):
        with pytest.raises(LedgerDown, match="log was taken away") as caught:
            use()
    assert "SIGTERM" in str(caught.value.next)
    ledger.close()
    with Ledger.open(Workspace(path.parent).ledger_url, "p") as again:
        assert names(again) == ["before", "p"]


# Begun anew


def history(home: Path) -> Workspace:
    """A workspace in which something was done: the anchor of its audit chain is there."""
    with open_session(home) as session:
        from tunesmith.store import access

        access.add_user(session.ledger.engine, session.ledger.project, session.actor, "ann", "viewer")
    return Workspace(home)


@pytest.mark.parametrize("left", ["nothing", "empty file", "ledger of another workspace"])
def test_no_ledger_is_begun_beside_a_history(tmp_path: Path, left: str) -> None:
    workspace = history(tmp_path / "home")
    path = workspace.root / "ledger.db"
    away = path.rename(tmp_path / "away.db")
    if left == "empty file":
        path.touch()
    elif left != "nothing":
        with Ledger.open(f"sqlite:///{path}", "another"):
            pass
    with pytest.raises(StoreError, match="of the project `default` is gone") as caught, open_session(workspace.root):
        pass
    assert str(workspace.traces) in str(caught.value.seen) and "TUNESMITH_LEDGER" in str(caught.value.next)
    assert path.exists() == (left != "nothing") and (left != "empty file" or path.stat().st_size == 0)
    away.replace(path)
    with open_session(workspace.root) as session:
        assert names(session.ledger) == ["default"]


def test_a_log_that_stayed_behind_is_not_deleted_by_a_new_ledger(tmp_path: Path) -> None:
    """SQLite deletes the log of an empty database: what was acknowledged and lies in the log would be gone."""
    home = tmp_path / "home"
    workspace = history(home)
    with Ledger.open(workspace.ledger_url, "default", Custody.of(home), traces=workspace.traces) as ledger:
        written(ledger, "in the log")
        away = (home / "ledger.db").rename(home / "away.db")
    with pytest.raises(StoreError, match="is gone"), open_session(home):
        pass
    away.rename(home / "ledger.db")
    with open_session(home) as session:
        assert names(session.ledger) == ["default", "in the log"]


def test_a_project_is_new_until_something_was_kept(tmp_path: Path) -> None:
    with open_session(tmp_path):
        pass
    assert Workspace(tmp_path).traces is None
    (tmp_path / "ledger.db").unlink()
    with open_session(tmp_path) as session:
        session.workspace.step_folder("a" * 64)
    assert Workspace(tmp_path).traces is not None
