"""Blobs: payload folders known by the SHA-256 of their bytes, checked whenever they are opened.

``<digest>/payload/…`` are the files, ``<digest>/files.json`` lists the SHA-256 of each. The list is written in the
canonical form that the digest is taken from, so the digest covers the list as well.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from tunesmith.core import digests
from tunesmith.core.errors import StoreError
from tunesmith.store import paths
from tunesmith.store.files import (
    TEMP_PREFIX,
    publish_folder,
    remove_folder,
    reported,
    sync_folder,
    temporary_folder,
    write_bytes,
)
from tunesmith.store.locks import locked

_DIGEST = re.compile(r"[0-9a-f]{64}")
_Stats = tuple[tuple[str, int, int, int], ...]


class Blobs:
    """The payloads of one project, below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._verified: dict[str, _Stats] = {}

    def put(self, folder: Path) -> tuple[str, dict[str, str]]:
        """Take a folder over into the store; its digest and the SHA-256 of each file.

        The folder is moved, not copied (models are large), and stays where it is when anything fails.
        Raises: StoreError for links, special files and names that are not text; nothing is visible then.
        """
        with reported("cannot read", folder):
            _make_own(folder)
            # Taken before the bytes are read: a write during or after the hashing shows at the next opening.
            stats = _stats(folder)
            files = digests.of_folder(folder)
        digest = digests.of_manifest(files)
        with temporary_folder(self.folder) as staging:
            write_bytes(staging / "files.json", digests.canonical(files), mode=0o444)
            with locked(self.folder / ".lock"):
                if self._is_whole(digest):
                    remove_folder(folder)
                    return digest, files
                self._publish(folder, staging, digest)
        self._verified[digest] = stats
        return digest, files

    def _publish(self, folder: Path, staging: Path, digest: str) -> None:
        goal = self._home(digest)
        payload = staging / "payload"
        with reported("cannot take over", folder):
            _move(folder, payload)
        try:
            if goal.exists():
                # Damaged, or the caller would not be here: the fresh bytes take its place.
                with temporary_folder(self.folder) as grave:
                    goal.rename(grave / "damaged")
            publish_folder(staging, goal)
        except BaseException:
            if payload.exists():
                _move(payload, folder)
            raise

    def has(self, digest: str) -> bool:
        """Whether a payload is there; says nothing about its bytes."""
        return self._home(digest).is_dir()

    def path(self, digest: str) -> Path:
        """The folder of a payload, unchecked."""
        return self._home(digest) / "payload"

    def open(self, digest: str) -> Path:
        """The folder of a payload whose bytes were verified in this process and have not been touched since."""
        payload = self.path(digest)
        if not self._is_remembered(digest):
            self.verify(digest)
        return payload

    def verify(self, digest: str) -> None:
        """Hash the payload again.

        Raises: StoreError naming the file that is damaged, missing or too many.
        """
        payload = self.path(digest)
        self._verified.pop(digest, None)
        if not self.has(digest):
            raise self._damage(digest, "is missing", payload, "no such folder", "a folder")
        with reported("cannot read", payload):
            before = _stats(payload) if payload.is_dir() else ()
            expected = self._files(digest)
            for link in _irregular(payload):
                raise self._damage(digest, "has a link or special file", link, "not a plain file", "plain files")
            seen = digests.of_folder(payload)
        for name in sorted(expected.keys() | seen.keys()):
            if seen.get(name) != expected.get(name):
                raise self._damage(
                    digest,
                    "is damaged",
                    payload / name,
                    f"SHA-256 {seen[name]}" if name in seen else "no such file",
                    f"SHA-256 {expected[name]}" if name in expected else "no such file",
                )
        self._verified[digest] = before

    def digests(self) -> list[str]:
        """Every payload that is there, whether anything refers to it or not; sorted."""
        return sorted(one.name for one in self.folder.iterdir() if _DIGEST.fullmatch(one.name) and one.is_dir())

    def remove(self, digest: str) -> None:
        """Delete a payload; one that is not there is fine. Killed in between, what is left is an orphan."""
        home = self._home(digest)
        self._verified.pop(digest, None)
        with locked(self.folder / ".lock"), temporary_folder(self.folder) as grave:
            if home.is_dir():
                with reported("cannot delete", home):
                    home.rename(grave / "removed")
                    sync_folder(self.folder)

    def _is_remembered(self, digest: str) -> bool:
        payload = self.path(digest)
        if digest not in self._verified or not payload.is_dir():
            return False
        with reported("cannot read", payload):
            self._files(digest)
            return self._verified[digest] == _stats(payload)

    def _files(self, digest: str) -> Mapping[str, str]:
        path = self._home(digest) / "files.json"
        found = digests.of_file(path) if path.is_file() and not path.is_symlink() else "no such file"
        if found != digest:
            raise self._damage(digest, "has a damaged list of files", path, found, digest)
        files: dict[str, str] = json.loads(path.read_bytes())
        return files

    def _is_whole(self, digest: str) -> bool:
        if not self.has(digest):
            return False
        try:
            self.open(digest)
        except StoreError:
            return False
        return True

    def _home(self, digest: str) -> Path:
        return paths.confined(self.folder, paths.digest(digest))

    def _damage(self, digest: str, how: str, path: Path, seen: str, expected: str) -> StoreError:
        home = self._home(digest)
        return StoreError(
            f"the artifact {digest[:12]} {how}: {path}",
            seen=seen,
            allowed=expected,
            next=f"delete the folder {home} and run the recipe again: the step that made it is then run again",
        )


def _walk(folder: Path) -> Iterator[Path]:
    for directory, folders, files in os.walk(folder):
        for name in sorted((*folders, *files)):
            yield Path(directory, name)


def _irregular(folder: Path) -> Iterator[Path]:
    """The folder itself or anything below it that is neither a plain file nor a folder."""
    for path in (folder, *_walk(folder)):
        mode = path.lstat().st_mode
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            yield path


def _make_own(folder: Path) -> None:
    """Check a new payload and make its files read-only and nobody else's."""
    if not folder.is_dir():
        raise StoreError("there is no folder to take over", seen=folder, next="the step must write its output there")
    for path in _irregular(folder):
        raise StoreError(
            "an artifact holds plain files only",
            seen=f"a link or special file: {path}",
            allowed="files and folders",
            next="the step must copy what the link points to",
        )
    folder.chmod(0o700)
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        if path.name.startswith(TEMP_PREFIX):
            raise StoreError("a file was left unfinished in the artifact", seen=name)
        try:
            name.encode()
        except UnicodeEncodeError:
            raise StoreError("a file of the artifact has a name that is not text", seen=repr(name)) from None
        if path.is_dir():
            path.chmod(0o700)
            continue
        if path.stat().st_nlink > 1:
            _unshare(path)
        path.chmod(0o444)


def _unshare(path: Path) -> None:
    """Replace a hard link by a copy, so that a write through the other name cannot reach the store."""
    copy = path.with_name(f"{path.name}.own")
    shutil.copyfile(path, copy)
    copy.replace(path)


def _move(source: Path, goal: Path) -> None:
    try:
        source.rename(goal)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # Another disk: the copy is made durable by the publication that follows.
        shutil.copytree(source, goal)
        remove_folder(source)


def _stats(payload: Path) -> _Stats:
    """What changes when somebody writes to a payload: size, time of change of the bytes and of the file."""
    found = []
    for path in _walk(payload):
        about = path.lstat()
        if not stat.S_ISDIR(about.st_mode):
            found.append((str(path.relative_to(payload)), about.st_size, about.st_mtime_ns, about.st_ctime_ns))
    return tuple(sorted(found))
