"""Looks for what is left of a person: in every byte below a folder, in tables as they are read, in packed files."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tunesmith.governance.erasure.person import Person

PART_BYTES = 8_000_000
_PACKED = b"\x1f\x8b"
TEXTS = frozenset({".json", ".jsonl", ".html", ".yaml", ".txt", ".md", ".log", ".csv", ".jinja", ""})
"""Endings of files in which single words are looked for: in numbers and packed bytes they would stand by chance."""


WHOLE = frozenset({"identifier", "word"})
"""What counts only where it stands alone: a longer number may hold a shorter one."""


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
        # Bytes are searched as text of which each character is one: that is far faster than to decode weights.
        self._kind_in_bytes = {form.encode().decode("latin-1"): kind for form, kind in self._kind.items()}
        self._longest = max(map(len, self._kind_in_bytes), default=0)

    def of_texts(self, texts: Iterable[str]) -> Counter[str]:
        """Kind → how many of some texts have it."""
        return _found(texts, self._kind)

    def of_file(self, path: Path) -> Counter[str]:
        """Kind → how often it is found in a file's bytes, and in what they stand for."""
        with path.open("rb") as stream:
            counts = _found(self._parts(stream.read), self._kind_in_bytes)
            stream.seek(0)
            is_packed = stream.read(2) == _PACKED
        if path.suffix not in TEXTS:
            counts.pop("word", None)
        if is_packed:
            with gzip.open(path, "rb") as unpacked:
                counts += _found(self._parts(unpacked.read), self._kind_in_bytes)
        if path.suffix == ".parquet":
            counts += self.of_texts(_cells(path))
        return counts

    def _parts(self, read: Callable[[int], bytes]) -> Iterator[str]:
        """The bytes in parts that overlap: what is searched for may stand across two."""
        tail = b""
        while part := read(PART_BYTES):
            tail += part
            yield tail.decode("latin-1")
            tail = tail[-self._longest :] if self._longest else b""


def _found(texts: Iterable[str], kinds: Mapping[str, str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    forms = sorted(kinds)
    for part in _lists(texts) if forms else ():
        cells = pl.Series(part, dtype=pl.String)
        cells = cells.filter(cells.str.contains_any(forms))
        for text, seen in zip(cells.to_list(), cells.str.extract_many(forms, overlapping=True).to_list(), strict=True):
            for form in set(seen or ()):
                if kinds[form] not in WHOLE or _stands_alone(form, text):
                    counts[kinds[form]] += 1
    return counts


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


def _lists(texts: Iterable[str]) -> Iterator[list[str]]:
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
