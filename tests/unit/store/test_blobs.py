"""Blobs: equal bytes, one payload; any damage is named; a fault at any call leaves nothing half visible."""

from __future__ import annotations

import os
import random
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.core import digests
from tunesmith.core.errors import StoreError
from tunesmith.store.blobs import Blobs
from tunesmith.store.files import TEMP_PREFIX, collect_orphans


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    (tmp_path / "blobs").mkdir()
    return Blobs(tmp_path / "blobs")


def payload(folder: Path, **content: str) -> Path:
    folder.mkdir(parents=True)
    for name, text in (content or {"a": "alpha", "b": "beta"}).items():
        (folder / "sub").mkdir(exist_ok=True)
        (folder / "sub" / f"{name}.txt").write_text(text)
    return folder


def names(blobs: Blobs) -> list[str]:
    return sorted(path.name for path in blobs.folder.iterdir() if path.name != ".lock")


def test_put_takes_the_folder_over(blobs: Blobs, tmp_path: Path) -> None:
    source = payload(tmp_path / "out")
    expected = digests.of_folder(source)
    digest, files = blobs.put(source)
    assert files == expected
    assert digest == digests.of_manifest(expected)
    assert not source.exists()
    assert (blobs.path(digest) / "sub" / "a.txt").read_text() == "alpha"
    assert digests.of_file(blobs.path(digest).parent / "files.json") == digest
    modes = {stat.S_IMODE(path.stat().st_mode) for path in blobs.path(digest).rglob("*.txt")}
    assert modes == {0o444}
    assert stat.S_IMODE(blobs.path(digest).stat().st_mode) == 0o700
    assert Blobs(blobs.folder).open(digest) == blobs.path(digest)
    assert names(blobs) == [digest]


def test_an_equal_payload_is_kept_once(blobs: Blobs, tmp_path: Path) -> None:
    digest, _ = blobs.put(payload(tmp_path / "one"))
    inode = (blobs.path(digest) / "sub" / "a.txt").stat().st_ino
    assert Blobs(blobs.folder).put(payload(tmp_path / "two"))[0] == digest
    assert (blobs.path(digest) / "sub" / "a.txt").stat().st_ino == inode
    assert not (tmp_path / "two").exists()


def test_fresh_bytes_replace_damaged_ones(blobs: Blobs, tmp_path: Path) -> None:
    digest, _ = blobs.put(payload(tmp_path / "one"))
    damage(blobs.path(digest) / "sub" / "a.txt", b"gamma")
    assert Blobs(blobs.folder).put(payload(tmp_path / "two"))[0] == digest
    blobs.verify(digest)
    assert names(blobs) == [digest]


@pytest.mark.parametrize("make", ["link", "folder link", "pipe", "self", "socket-like name"])
def test_links_special_files_and_odd_names_are_refused(blobs: Blobs, tmp_path: Path, make: str) -> None:
    source = payload(tmp_path / "out")
    if make == "link":
        (source / "x").symlink_to("/etc/passwd")
    elif make == "folder link":
        (source / "x").symlink_to(source / "sub")
    elif make == "pipe":
        os.mkfifo(source / "x")
    elif make == "self":
        (tmp_path / "real").mkdir()
        shutil.rmtree(source)
        source.symlink_to(tmp_path / "real")
    else:
        (source / os.fsdecode(b"\xff\xfe")).write_text("")
    with pytest.raises(StoreError, match=r"plain files only|not text"):
        blobs.put(source)
    assert names(blobs) == []
    assert source.exists()
    with pytest.raises(StoreError, match="no folder to take over"):
        blobs.put(tmp_path / "absent")


def test_a_hard_link_is_cut(blobs: Blobs, tmp_path: Path) -> None:
    source = payload(tmp_path / "out")
    (tmp_path / "cache").write_text("weights")
    (source / "w").hardlink_to(tmp_path / "cache")
    digest, _ = blobs.put(source)
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) != 0o444
    (tmp_path / "cache").write_text("changed")
    Blobs(blobs.folder).verify(digest)
    assert (blobs.path(digest) / "w").read_text() == "weights"


def damage(path: Path, data: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(data)


def test_every_flipped_bit_and_every_cut_is_found(blobs: Blobs, tmp_path: Path) -> None:
    digest, files = blobs.put(payload(tmp_path / "out", a="the first file " * 20, b="the second file"))
    rng = random.Random(7)
    home = blobs.path(digest).parent
    targets = [home / "payload" / name for name in files] + [home / "files.json"]
    for trial in range(300):
        path = targets[trial % len(targets)]
        whole = path.read_bytes()
        if trial % 2:
            broken = bytearray(whole)
            broken[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        else:
            broken = bytearray(whole[: rng.randrange(len(whole))])
        damage(path, bytes(broken))
        # Two writes can fall into one tick of the file system's clock; in life they do not.
        os.utime(path, ns=(trial, trial))
        # The store that put it remembers it as verified, and must notice all the same.
        for store in (blobs, Blobs(blobs.folder)):
            with pytest.raises(StoreError) as caught:
                store.open(digest)
            assert str(path) in str(caught.value)
            assert caught.value.seen != caught.value.allowed
            assert str(home) in (caught.value.next or "")
        damage(path, whole)
        assert blobs.open(digest) == home / "payload"


def test_missing_surplus_and_swapped_files_are_found(blobs: Blobs, tmp_path: Path) -> None:
    digest, _ = blobs.put(payload(tmp_path / "out"))
    folder = blobs.path(digest) / "sub"
    (folder / "c.txt").write_text("more")
    with pytest.raises(StoreError, match=r"c\.txt"):
        blobs.open(digest)
    (folder / "c.txt").unlink()
    (folder / "b.txt").rename(tmp_path / "b")
    with pytest.raises(StoreError, match=r"b\.txt[^$]*no such file"):
        blobs.open(digest)
    (folder / "b.txt").symlink_to(tmp_path / "b")  # the bytes are right, the file is not ours
    with pytest.raises(StoreError, match="link or special file"):
        blobs.open(digest)
    (folder / "b.txt").unlink()
    (tmp_path / "b").rename(folder / "b.txt")
    assert blobs.open(digest) == blobs.path(digest)
    shutil.rmtree(blobs.path(digest).parent)
    with pytest.raises(StoreError, match="is missing"):
        blobs.open(digest)
    with pytest.raises(StoreError, match="not an artifact digest"):
        blobs.open("../" + digest)


def test_a_payload_is_hashed_once_in_a_process(blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest, _ = blobs.put(payload(tmp_path / "out"))
    hashed: list[Path] = []
    real = digests.of_folder
    monkeypatch.setattr(digests, "of_folder", lambda path: (hashed.append(path), real(path))[1])
    for _ in range(3):
        blobs.open(digest)
    assert hashed == []  # hashed when it was put
    other = Blobs(blobs.folder)
    for _ in range(3):
        other.open(digest)
    assert hashed == [blobs.path(digest)]


def test_a_full_disk_at_every_call_shows_nothing_half(
    blobs: Blobs, tmp_path: Path, fail_at: Callable[..., Callable[[], int]]
) -> None:
    old, _ = blobs.put(payload(tmp_path / "old", a="old"))
    failures = 0
    for k in range(1, 60):
        source = payload(tmp_path / f"out-{k}", a=f"new {k}", b="more")
        expected = digests.of_manifest(digests.of_folder(source))
        with pytest.MonkeyPatch.context() as patch:
            num_calls = fail_at(patch, k)
            try:
                blobs.put(source)
            except StoreError as error:
                failures += 1
                assert "free space" in (error.next or "")
        Blobs(blobs.folder).verify(old)
        assert set(names(blobs)) <= {old, *(name for name in names(blobs) if len(name) == 64)}
        for name in names(blobs):
            Blobs(blobs.folder).verify(name)
        # Either the bytes were published, or they are where they were: nothing is lost.
        assert blobs.has(expected) != source.exists()
        if num_calls() < k:
            break
    assert failures >= 14
    assert num_calls() == k - 1


def test_a_copy_from_another_disk_is_published_the_same(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = payload(tmp_path / "out")
    real = os.rename

    def rename(old: Path, new: Path) -> None:
        if Path(old) == source:
            raise OSError(18, "Invalid cross-device link")
        real(old, new)

    monkeypatch.setattr(os, "rename", rename)
    digest, _ = blobs.put(source)
    assert not source.exists()
    Blobs(blobs.folder).verify(digest)


def test_writers_of_equal_and_other_bytes_do_not_meet(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from tunesmith.store.blobs import Blobs
folder, writer = Path(sys.argv[1]), sys.argv[2]
blobs = Blobs(folder)
sys.stdin.readline()
for i in range(25):
    for text in (f"shared {i}", f"{writer} {i}"):
        out = folder.parent / f"out-{writer}"
        out.mkdir()
        (out / "a").write_text(text * 1000)
        print(blobs.put(out)[0])
"""
    folder = tmp_path / "blobs"
    folder.mkdir()
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(folder), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("x", "y")
    ]
    said = [child.communicate("go\n", timeout=60)[0].split() for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert said[0][::2] == said[1][::2]
    blobs = Blobs(folder)
    assert set(names(blobs)) == set(said[0] + said[1])
    assert len(names(blobs)) == 75
    for digest in names(blobs):
        blobs.verify(digest)
    assert collect_orphans(folder) == []
    assert not any(path.name.startswith(TEMP_PREFIX) for path in folder.iterdir())
