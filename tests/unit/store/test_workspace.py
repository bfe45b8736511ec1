"""The workspace: where things lie, who may read them, and locks that fall with their holder."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tunesmith.core.errors import StoreError
from tunesmith.store.files import TEMP_PREFIX
from tunesmith.store.workspace import Workspace


def test_the_layout(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path / "ws", project="team-a")
    home = tmp_path.resolve() / "ws"
    assert workspace.ledger_url == f"sqlite:///{home}/ledger.db"
    assert workspace.run_folder("run-1") == home / "runs" / "run-1"
    step = workspace.step_folder("ab" * 32)
    assert step == home / "projects" / "team-a" / "steps" / ("ab" * 32)
    assert sorted(path.name for path in step.iterdir()) == ["out", "scratch"]
    assert workspace.blobs.folder == home / "projects" / "team-a" / "blobs" / "sha256"
    assert (home / ".gitignore").read_text() == "*\n"
    folders = [path for path in (home, *home.rglob("*")) if path.is_dir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


def test_where_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUNESMITH_HOME", raising=False)
    assert Workspace.open().root == tmp_path / ".tunesmith"
    monkeypatch.setenv("TUNESMITH_HOME", str(tmp_path / "home"))
    assert Workspace.open().root == tmp_path / "home"
    assert Workspace.open(tmp_path / "given").root == tmp_path / "given"


def test_bad_names_and_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not a valid project name"):
        Workspace.open(tmp_path, project="../other")
    workspace = Workspace.open(tmp_path / "ws")
    with pytest.raises(StoreError, match="not a valid run id"):
        workspace.run_folder("..")
    with pytest.raises(StoreError, match="not a valid step key"):
        workspace.step_folder("a/b")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="not a folder"):
        Workspace.open(tmp_path / "file")
    (tmp_path / "outside").mkdir()
    (workspace.root / "runs" / "linked").symlink_to(tmp_path / "outside")
    with pytest.raises(StoreError, match="leads out"):
        workspace.run_folder("linked")


def test_a_url_survives_an_odd_folder(tmp_path: Path) -> None:
    from sqlalchemy.engine import make_url

    workspace = Workspace(tmp_path / "a b?c%20#d")
    assert make_url(workspace.ledger_url).database == str(tmp_path / "a b?c%20#d" / "ledger.db")


def test_the_subject_key_is_made_once_and_kept_secret(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: Workspace.open(tmp_path).subject_key(), range(16)))
    assert len(keys) == 1
    assert len(keys.pop()) == 32
    path = workspace.folder / "subject.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Workspace.open(tmp_path, project="other").subject_key() != workspace.subject_key()
    path.chmod(0o644)
    with pytest.raises(StoreError, match="other users can read"):
        workspace.subject_key()
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(StoreError, match="damaged"):
        workspace.subject_key()


def test_orphans_are_gone_after_opening(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    places = [tmp_path, workspace.folder, workspace.blobs.folder, workspace.run_folder("r"), workspace.step_folder("s")]
    for place in places:
        (place / f"{TEMP_PREFIX}dead").mkdir()
        (place / f"{TEMP_PREFIX}dead" / "half").write_text("")
    Workspace.open(tmp_path)
    assert list(tmp_path.rglob(f"{TEMP_PREFIX}*")) == []


def test_a_lock_names_its_holder_and_falls_when_it_is_killed(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    path = workspace.step_folder("s") / "lock"
    script = (
        "import sys; from pathlib import Path; from tunesmith.store.locks import locked\n"
        "with locked(Path(sys.argv[1])): print('ready', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        with pytest.raises(StoreError, match=f"process {child.pid} ") as caught, workspace.lock(path, wait=False):
            pytest.fail("two held the lock")
        assert caught.value.next
        child.kill()
        with workspace.lock(path):  # waits for the kernel to take the dead one's lock away
            assert str(os.getpid()) in path.read_text()
    assert path.read_text() == ""
    with pytest.raises(RuntimeError), workspace.lock(path, wait=False):
        raise RuntimeError
    with workspace.lock(path, wait=False):
        pass


def test_waiting_holders_take_turns(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    counter = tmp_path / "counter"
    counter.write_text("0")

    def add_one(_: int) -> None:
        with workspace.lock(tmp_path / "lock"):
            counter.write_text(str(int(counter.read_text()) + 1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add_one, range(100)))
    assert counter.read_text() == "100"


def test_opening_imports_nothing_heavy(tmp_path: Path) -> None:
    script = (
        "import sys; from tunesmith.store.workspace import Workspace; Workspace.open(sys.argv[1]).blobs\n"
        "print([name for name in ('sqlalchemy', 'alembic', 'torch', 'pandas', 'polars') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
