"""Looks for what is left of a person: in every byte below a folder, in tables as they are read, in packed files."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from tunesmith.governance.erasure.person import Person

PART_BYTES = 8_000_000
_PACKED = b"\x1f\x8b"
TEXTS = frozenset({".json", ".jsonl", ".html", ".yaml", ".txt", ".md", ".log", ".csv", ".jinja", ""})
"""Endings of files in which single words are looked for: in numbers and packed bytes they would stand by chance."""


@dataclass(frozen=True)
class Hit:
    """Something of the person in one place."""

    kind: str
    """``identifier``, ``text``, ``also`` or ``word``."""
    place: str
    """A file below the workspace, or a column of the ledger."""
    times: int


class Scanner:
    """Searches for all of a person's traces at once."""

    def __init__(self, person: Person) -> None:
        self._kind = {form: kind for kind, forms in person.needles.items() for form in forms if form}
        self._longest = max((len(form.encode()) for form in self._kind), default=0)
        self._identifier = {form for form, kind in self._kind.items() if kind in ("identifier", "word")}

    @cached_property
    def _forms(self) -> list[str]:
        return sorted(self._kind)

    def of_texts(self, texts: Iterable[str]) -> Counter[str]:
        """Kind → how often it is found in some texts."""
        counts: Counter[str] = Counter()
        if not self._forms:
            return counts
        for part in _parts(texts):
            found = pl.Series(part, dtype=pl.String).str.extract_many(self._forms, overlapping=True)
            for text, forms in zip(part, found.to_list(), strict=True):
                for form in set(forms or ()):
                    if form not in self._identifier or _stands_alone(form, text):
                        counts[self._kind[form]] += 1
        return counts

    def of_file(self, path: Path) -> Counter[str]:
        """Kind → how often it is found in a file's bytes, and in what they stand for."""
        counts = self.of_texts(self._decoded(path))
        if path.suffix not in TEXTS:
            counts.pop("word", None)
        with path.open("rb") as stream:
            is_packed = stream.read(2) == _PACKED
        if is_packed:
            with gzip.open(path, "rb") as unpacked:
                counts += self.of_texts(self._read(unpacked.read))
        if path.suffix == ".parquet":
            counts += self.of_texts(_cells(path))
        return counts

    def _decoded(self, path: Path) -> Iterator[str]:
        with path.open("rb") as stream:
            yield from self._read(stream.read)

    def _read(self, read: Callable[[int], bytes]) -> Iterator[str]:
        """The bytes as text, in parts that overlap: what is searched for may stand across two."""
        tail = b""
        while part := read(PART_BYTES):
            yield (tail + part).decode("utf-8", "replace")
            tail = part[-self._longest :] if self._longest else b""


def scan(
    root: Path, person: Person, leaves_out: Callable[[Path], bool], knows_words: Callable[[Path], bool]
) -> tuple[list[Hit], int]:
    """Where something of the person is left below a folder, and how many files were read.

    ``knows_words``: files with a vocabulary of their own, where a single word means nothing.
    """
    scanner = Scanner(person)
    hits: list[Hit] = []
    num = 0
    for path in sorted(root.rglob("*")):
        if leaves_out(path) or path.is_symlink() or not path.is_file():
            continue
        num += 1
        place = path.relative_to(root).as_posix()
        counts = scanner.of_file(path) + scanner.of_texts([place])
        if knows_words(path):
            counts.pop("word", None)
        hits += [Hit(kind, place, times) for kind, times in sorted(counts.items())]
    return hits, num


def _cells(path: Path) -> Iterator[str]:
    frame = pl.read_parquet(path, memory_map=False)
    for series in frame:
        while isinstance(series.dtype, pl.List):
            series = series.explode()
        if series.dtype == pl.String:
            yield from series.drop_nulls().unique()
        elif series.dtype == pl.Struct:
            yield from series.struct.json_encode().drop_nulls().unique()


def _parts(texts: Iterable[str]) -> Iterator[list[str]]:
    """The texts in lists of a bounded size."""
    part: list[str] = []
    num = 0
    for text in texts:
        part.append(text)
        num += len(text)
        if num > PART_BYTES:
            yield part
            part, num = [], 0
    if part:
        yield part


def _stands_alone(form: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(form)}(?!\w)", text) is not None
