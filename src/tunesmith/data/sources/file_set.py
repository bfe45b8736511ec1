"""The files that one `path` stands for: a file, a folder, or a pattern; always in the same order."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tunesmith.core import digests
from tunesmith.core.errors import DataError
from tunesmith.data.sources.compressed import plain_name
from tunesmith.data.sources.files import require_file

MAX_FILES = 100_000


@dataclass(frozen=True)
class FileSet:
    """Files in the order of their paths."""

    base: Path
    """The folder that the files' names are relative to."""
    files: tuple[Path, ...]
    num_others: int = 0
    """Files of the folder that have other endings and are not read."""

    def name(self, file: Path) -> str:
        """A file's path below the base, with slashes."""
        return file.relative_to(self.base).as_posix()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out."""
        if not self.num_others:
            return ()
        have = "1 file of the folder has another ending" if self.num_others == 1 else (
            f"{self.num_others} files of the folder have other endings"
        )  # fmt: skip
        return (f"{have}: not read",)

    def fingerprint(self, source: str) -> str:
        """A value that changes with any file's bytes or name."""
        parts = [(self.name(file), digests.of_file(require_file(file, source=source))) for file in self.files]
        return digests.of_value(parts)


def is_several(path: str) -> bool:
    """Whether a path stands for several files: a folder, or a pattern that is not itself a file's name."""
    return Path(path).is_dir() or (glob.has_magic(path) and not Path(path).exists())


def find(path: str, endings: Sequence[str], *, source: str) -> FileSet:
    """The files a path stands for; of a folder those with one of the endings, packed or not, however deep.

    Raises: DataError where there is none.
    """
    if Path(path).is_dir():
        base = Path(path)
        inside = [file for file in base.rglob("*") if file.is_file() and not _is_hidden(file.relative_to(base))]
        files = [file for file in inside if plain_name(file.name).endswith(tuple(endings))]
        num_others = len(inside) - len(files)
        none = f"no file of this folder ends in {', '.join(endings)}"
    elif is_several(path):
        base = _base(path)
        found = base.glob(str(Path(path).relative_to(base)))
        files = [file for file in found if file.is_file() and not _is_hidden(file.relative_to(base))]
        num_others, none = 0, "no file fits the pattern"
    else:
        file = require_file(Path(path), source=source)
        return FileSet(file.parent, (file,))
    if not files:
        seen = (
            sorted({file.suffix or file.name for file in base.rglob("*") if file.is_file()})[:8]
            if base.is_dir()
            else []
        )
        raise DataError(
            f"source `{source}`: {none}",
            seen=path,
            allowed=f"{base} holds files ending in {', '.join(seen)}" if seen else f"{base} holds no files",
            next="correct `path` in the recipe",
        )
    if len(files) > MAX_FILES:
        raise DataError(
            f"source `{source}`: the path stands for too many files",
            seen=f"{path}: {len(files):,} files",
            allowed=f"at most {MAX_FILES:,}",
            next="name a folder with fewer files, or join them into one",
        )
    return FileSet(base, tuple(sorted(files, key=lambda file: file.relative_to(base).parts)), num_others)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _base(pattern: str) -> Path:
    """The folders of a pattern before its first part that is one."""
    path = Path(pattern)
    for parent in reversed(path.parents):
        if glob.has_magic(str(parent)):
            return parent.parent
    return path.parent
