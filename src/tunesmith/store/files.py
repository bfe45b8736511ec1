"""Atomic writes: at every moment a file or folder is the old one or the new one, also after a kill or a power cut.

A write in progress stands under a temporary name beside its goal and is held by a lock of the kernel, which falls when
its process dies: that is how orphans are told from the work of the living, on any process id or container.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tunesmith.core.errors import StoreError

TEMP_PREFIX = ".tunesmith-tmp-"
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_RIGHT = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def reported(what: str, path: Path) -> Iterator[None]:
    """Turn errors of the operating system into a StoreError that names the path and the way out."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            way_out = f"free space on the disk of {path.parent}, then run the same command again"
        elif error.errno in _NO_RIGHT:
            way_out = f"make {path.parent} writable, or name another workspace in TUNESMITH_HOME"
        else:
            way_out = "check the disk and its mount, then run the same command again"
        raise StoreError(f"{what} {path}", seen=error.strerror or error, next=way_out) from error


def make_folder(path: Path) -> Path:
    """The folder, made with its missing parents, closed to other users (mode 0700)."""
    with reported("cannot make the folder", path):
        missing: list[Path] = []
        while not path.is_dir():
            missing.append(path)
            path = path.parent
        for path in reversed(missing):
            path.mkdir(mode=0o700, exist_ok=True)
            sync_folder(path.parent)
    return path


def write_bytes(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write a file at once; ``mode`` is narrowed by the umask."""
    with reported("cannot write", path), _temporary_file(path.parent, mode) as (temp, descriptor):
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
        temp.replace(path)
        sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON value at once, indented; NaN is refused."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(path, text.encode() + b"\n")


def publish_folder(source: Path, goal: Path) -> None:
    """Rename a folder to where readers look, once its bytes are safe on disk.

    Raises: StoreError when a folder with content stands there already; it is left as it is.
    """
    with reported("cannot publish the folder", goal):
        sync_tree(source)
        source.rename(goal)
        sync_folder(goal.parent)
        if source.parent != goal.parent:
            sync_folder(source.parent)


def sync_tree(folder: Path) -> None:
    """Wait until every file and folder below is on disk, leaves first."""
    for directory, _, names in os.walk(folder, topdown=False):
        for name in names:
            _sync(Path(directory, name), os.O_RDONLY | os.O_NOFOLLOW)
        sync_folder(Path(directory))


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on disk."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        # A failed fsync is never tried again on the same file: the kernel may have dropped the pages.
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _temporary_file(folder: Path, mode: int) -> Iterator[tuple[Path, int]]:
    while True:
        path = _temporary_name(folder)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        if _hold(descriptor, path):
            break
        os.close(descriptor)
    try:
        yield path, descriptor
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A new folder for this process alone; whatever was not published from it is gone afterwards."""
    with reported("cannot make a folder in", parent):
        while True:
            path = _temporary_name(parent)
            path.mkdir(mode=0o700)
            with suppress(FileNotFoundError):  # collected between the two calls: try again
                descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
                if _hold(descriptor, path):
                    break
                os.close(descriptor)
    try:
        yield path
    finally:
        remove_folder(path)
        os.close(descriptor)


def remove_folder(path: Path) -> None:
    """Delete a folder and all below it; one that is not there is fine."""
    with reported("cannot delete", path), suppress(FileNotFoundError):
        shutil.rmtree(path)


def collect_orphans(folder: Path) -> list[str]:
    """Delete what dead processes left unfinished in a folder, and return the names; live work is never touched."""
    removed = []
    with reported("cannot clean up", folder):
        names = [entry.name for entry in os.scandir(folder) if entry.name.startswith(TEMP_PREFIX)]
        for name in sorted(names):
            if _collect(folder / name):
                removed.append(name)
    return removed


def _collect(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        # Gone meanwhile, or a link, which no writer of ours makes: leave it.
        if error.errno in (errno.ENOENT, errno.ELOOP):
            return False
        raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever published it did so before letting go, so this name can only be an orphan's.
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    except (BlockingIOError, FileNotFoundError):
        return False
    finally:
        os.close(descriptor)
    return True


def _temporary_name(folder: Path) -> Path:
    return folder / f"{TEMP_PREFIX}{secrets.token_hex(8)}"


def _hold(descriptor: int, path: Path) -> bool:
    """Whether the new file is ours: a collector may have taken it between its making and its lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except (BlockingIOError, FileNotFoundError):
        return False
