"""Atomic writes: old or new, never mixed; orphans collected, the living left alone; a full disk breaks nothing."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.core.errors import StoreError
from tunesmith.store import files


def test_a_file_is_written_whole_with_its_mode(tmp_path: Path) -> None:
    files.write_bytes(tmp_path / "a", b"old")
    files.write_bytes(tmp_path / "a", b"new" * 1000, mode=0o600)
    assert (tmp_path / "a").read_bytes() == b"new" * 1000
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_json_is_written_and_nan_refused_without_touching_the_old(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {"é": [1, None]})
    assert (tmp_path / "a.json").read_text() == '{\n  "é": [\n    1,\n    null\n  ]\n}\n'
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "a.json", float("nan"))
    assert "é" in (tmp_path / "a.json").read_text()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_fault_at_every_call_leaves_old_or_new(
    tmp_path: Path, fail_at: Callable[..., Callable[[], int]], number: int
) -> None:
    path = tmp_path / "a"
    for k in range(1, 20):
        path.write_bytes(b"old")
        with pytest.MonkeyPatch.context() as patch:
            num_calls = fail_at(patch, k, number)
            try:
                files.write_bytes(path, b"new")
                failed = False
            except StoreError as error:
                failed = True
                assert error.next and (number == errno.EIO or "free space" in error.next)
        assert path.read_bytes() == b"new" if not failed else path.read_bytes() in (b"old", b"new")
        assert [one.name for one in tmp_path.iterdir()] == ["a"]
        if not failed:
            break
    assert not failed
    assert k == num_calls() + 1 == 6  # create, write, fsync, rename, fsync of the folder: each failed once


def test_short_writes_are_carried_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:7]))
    files.write_bytes(tmp_path / "a", bytes(range(100)))
    assert (tmp_path / "a").read_bytes() == bytes(range(100))


def test_every_file_and_folder_is_synced_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "a").write_text("a")
    (source / "sub" / "b").write_text("b")
    order: list[str] = []
    names = {path.stat().st_ino: path.name for path in (source, *source.rglob("*"), tmp_path)}
    real_sync, real_rename = os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append(names[os.fstat(fd).st_ino]), real_sync(fd))[1])
    monkeypatch.setattr(os, "rename", lambda *paths: (order.append("rename"), real_rename(*paths))[1])
    files.publish_folder(source, tmp_path / "goal")
    assert set(order[: order.index("rename")]) == {"a", "b", "sub", "source"}
    assert order.index("b") < order.index("sub") < order.index("source")
    assert order[order.index("rename") :] == ["rename", tmp_path.name]


def test_a_folder_is_not_published_over_another(tmp_path: Path) -> None:
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(name)
    with pytest.raises(StoreError, match="cannot publish"):
        files.publish_folder(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old" / "a").read_text() == "old"


def test_folders_are_closed_to_others(tmp_path: Path) -> None:
    deep = files.make_folder(tmp_path / "a" / "b" / "c")
    with files.temporary_folder(deep) as temp:
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a", deep.parent, deep, temp)]
    assert modes == [0o700] * 4
    assert list(deep.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot make the folder"):
        files.make_folder(tmp_path / "file" / "x")


def test_orphans_of_the_dead_are_collected_and_the_living_left(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tunesmith.store import files\n"
        "with files.temporary_folder(Path(sys.argv[1])) as folder, files._temporary_file(Path(sys.argv[1]), 0o600):\n"
        "    (folder / 'half').write_text('half'); print('ready', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        with files.temporary_folder(tmp_path) as mine:
            assert files.collect_orphans(tmp_path) == []
            assert len(list(tmp_path.iterdir())) == 3
            child.kill()
            child.wait()
            assert len(files.collect_orphans(tmp_path)) == 2
            assert list(tmp_path.iterdir()) == [mine]


def test_only_our_own_names_are_collected(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a").write_text("keep")
    home = tmp_path / "home"
    home.mkdir()
    (home / f"{files.TEMP_PREFIX}link").symlink_to(tmp_path / "outside")
    (home / "mine.tmp").write_text("keep")
    assert files.collect_orphans(home) == []
    assert (tmp_path / "outside" / "a").read_text() == (home / "mine.tmp").read_text() == "keep"
