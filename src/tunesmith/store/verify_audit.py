"""Whether an audit chain is as it was written, and where it is not."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Engine, func, select

from tunesmith.core.errors import StoreError
from tunesmith.store import audit
from tunesmith.store.anchors import GENESIS, Anchor, Custody
from tunesmith.store.audit import Entry
from tunesmith.store.database import reading
from tunesmith.store.tables import AUDIT, RUNS, USERS

Kind = Literal["changed", "moved", "deleted", "unlinked", "cut", "rewritten", "anchor missing", "anchor damaged",
               "anchor old", "key"]  # fmt: skip
ROWS_AT_ONCE = 10_000
MOST_TRACED = 300
"""Entries of which it is told what they were before; of more, only that they are not what was written."""
LONGEST_UNANCHORED = timedelta(minutes=5)
"""Between the first and the last entry behind the anchor: every append anchors what was left before it, so only what
was being written when a process died can be behind, not what was done minutes apart."""


@dataclass(frozen=True)
class Problem:
    """A place where the chain is not what was written."""

    kind: Kind
    first: int
    """The entry, or the first of several in a row; 0 where it is no entry."""
    last: int
    words: str


@dataclass(frozen=True)
class Verified:
    """What was found."""

    num_entries: int
    head: str
    """The digest of the last entry."""
    problems: tuple[Problem, ...]
    anchors: tuple[tuple[str, int], ...]
    """Each anchor that could be read: where it lies, and how many entries it vouches for."""
    num_unanchored: int
    """Entries behind the newest anchor: committed by a process that died, or is about to anchor them."""

    @property
    def is_whole(self) -> bool:
        """Whether every entry is as it was written and none is missing."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """What was found as JSON values."""
        return asdict(self) | {"is_whole": self.is_whole}


def verify(engine: Engine, project: str, custody: Custody | None = None) -> Verified:
    """Read a project's chain from its first entry to its last and compare it with its anchors."""
    custody = custody or audit.custody_of(engine)
    # Before the entries: of a chain that grows meanwhile, the anchors must not be ahead of what is read.
    anchors, problems = _anchors(custody, project)
    unrecorded = "" if _has_entries(engine, project) else _recorded_once(engine, project)
    try:
        key = custody.key(is_new=not anchors and not unrecorded and not _has_entries(engine, project))
    except StoreError as error:
        return Verified(0, GENESIS, (*problems, Problem("key", 0, 0, error.render())), (), 0)
    walk = _Walk(key, project, {anchor.sequence for _, anchor in anchors})
    for entry in _entries(engine, project):
        walk.read(entry)
    if not walk.num_entries and not anchors:
        if unrecorded:
            words = f"there is no entry at all, and the ledger holds {unrecorded}, which come with one"
            problems.append(Problem("cut", 0, 0, words))
        else:
            problems = []  # nothing was ever recorded
    problems += [*walk.problems(), *_against(anchors, walk)]
    newest = max((anchor.sequence for _, anchor in anchors), default=0)
    return Verified(
        num_entries=walk.num_entries,
        head=walk.digest,
        problems=tuple(sorted(problems, key=lambda one: (one.first, one.kind))),
        anchors=tuple((str(path), anchor.sequence) for path, anchor in anchors),
        num_unanchored=max(0, walk.sequence - newest),
    )


def _has_entries(engine: Engine, project: str) -> bool:
    with reading(engine) as connection:
        return (
            connection.execute(select(AUDIT.c.sequence).where(AUDIT.c.project_id == project).limit(1)).first()
            is not None
        )


def _recorded_once(engine: Engine, project: str) -> str:
    """What the ledger holds that is never written without an entry, in words; empty where that is nothing."""
    found = []
    with reading(engine) as connection:
        for table, name in ((RUNS, "run"), (USERS, "user")):
            query = select(func.count()).select_from(table).where(table.c.project_id == project)
            if number := connection.execute(query).scalar_one():
                found.append(f"{number} {name}{'' if number == 1 else 's'}")
    return " and ".join(found)


def _entries(engine: Engine, project: str) -> Iterator[Entry]:
    columns = [AUDIT.c[name] for name in Entry.__dataclass_fields__]
    query = select(*columns).where(AUDIT.c.project_id == project).order_by(AUDIT.c.sequence)
    with reading(engine) as connection:
        for row in connection.execution_options(yield_per=ROWS_AT_ONCE).execute(query):
            yield Entry(*row)


class _Walk:
    """One pass over a chain."""

    def __init__(self, key: bytes, project: str, watched: set[int]) -> None:
        self._key, self._project, self._watched = key, project, watched
        self.num_entries, self.sequence, self.digest = 0, 0, GENESIS
        self.digests: dict[int, str] = {0: GENESIS}
        """Of the entries that anchors name."""
        self._gaps: list[tuple[int, int]] = []
        self._unlinked: list[int] = []
        self._false: list[int] = []
        self._traced: list[Entry] = []
        self._is_sound = True
        self._newest = max(watched, default=0)
        self.first_behind: datetime | None = None
        self.last_at: datetime | None = None

    def read(self, entry: Entry) -> None:
        """Take the next entry."""
        is_next = entry.sequence == self.sequence + 1
        if not is_next:
            self._gaps.append((self.sequence + 1, entry.sequence - 1))
        is_true = hmac.compare_digest(self._sealed(entry, entry.sequence), entry.digest)
        if not is_true:
            self._false.append(entry.sequence)
            if len(self._traced) < MOST_TRACED:
                self._traced.append(entry)
        elif is_next and self._is_sound and entry.previous != self.digest:
            self._unlinked.append(entry.sequence)
        self._is_sound = is_true
        self.num_entries += 1
        self.sequence, self.digest, self.last_at = entry.sequence, entry.digest, entry.at
        if entry.sequence in self._watched:
            self.digests[entry.sequence] = entry.digest
        if entry.sequence > self._newest and self.first_behind is None:
            self.first_behind = entry.at

    def problems(self) -> Iterator[Problem]:
        """Where the entries are not what was written."""
        for first, last in self._gaps:
            yield Problem("deleted", first, last, f"{_named(first, last)} not there")
        for one in self._unlinked:
            yield Problem("unlinked", one, one, f"entry {one} does not follow entry {one - 1} as it stands there")
        was = self._was() if len(self._false) <= MOST_TRACED else {}
        for sequence, before in sorted(was.items()):
            yield Problem("moved", sequence, sequence, f"at entry {sequence} stands what was entry {before}")
        for first, last in _runs([one for one in self._false if one not in was]):
            words = f"{_named(first, last)} not what was written: changed, or put there without the key"
            yield Problem("changed", first, last, words)

    def _was(self) -> dict[int, int]:
        """Of entries that are not true in their place, the place in which they are."""
        places = {*self._false, self.sequence + 1}
        for first, last in self._gaps:
            places.update(range(first, min(last, first + MOST_TRACED) + 1))
        found = {}
        for entry in self._traced:
            for place in places:
                if hmac.compare_digest(self._sealed(entry, place), entry.digest):
                    found[entry.sequence] = place
        return found

    def _sealed(self, entry: Entry, sequence: int) -> str:
        return audit.seal(
            self._key,
            self._project,
            sequence,
            entry.at,
            entry.actor,
            entry.action,
            entry.target,
            entry.details,
            entry.previous,
        )


def _anchors(custody: Custody, project: str) -> tuple[list[tuple[Path, Anchor]], list[Problem]]:
    found, problems = [], []
    if not custody.key_path.exists():
        return [], []
    for path in custody.places(project):
        try:
            anchor = custody.read(path, project)
        except StoreError as error:
            problems.append(Problem("anchor damaged", 0, 0, error.render()))
            continue
        if anchor is None:
            words = f"{path} is not there: nothing shows whether the end of the chain was cut off"
            problems.append(Problem("anchor missing", 0, 0, words))
        else:
            found.append((path, anchor))
    return found, problems


def _against(anchors: list[tuple[Path, Anchor]], walk: _Walk) -> Iterator[Problem]:
    """Where the chain is not the one that was anchored."""
    for path, anchor in anchors:
        if anchor.sequence > walk.sequence:
            first, last = walk.sequence + 1, anchor.sequence
            yield Problem(
                "cut", first, last, f"{_named(first, last)} not there, and {path} vouches for {_them(first, last)}"
            )
        elif anchor.sequence in walk.digests and walk.digests[anchor.sequence] != anchor.digest:
            words = (
                f"entry {anchor.sequence} is not the one that {path} vouches for: it or one before it was written anew"
            )
            yield Problem("rewritten", anchor.sequence, anchor.sequence, words)
    if anchors and walk.first_behind is not None and walk.last_at is not None:
        newest = max(anchor.sequence for _, anchor in anchors)
        if walk.last_at - walk.first_behind > LONGEST_UNANCHORED:
            words = f"the newest anchor vouches for {newest} entries, and those behind it were written minutes apart"
            yield Problem("anchor old", newest + 1, walk.sequence, words)


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Numbers that follow each other, as first and last."""
    start = None
    for place, number in enumerate(numbers):
        start = number if start is None else start
        if place + 1 == len(numbers) or numbers[place + 1] != number + 1:
            yield start, number
            start = None


def _named(first: int, last: int) -> str:
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"


def _them(first: int, last: int) -> str:
    return "it" if first == last else "them"
