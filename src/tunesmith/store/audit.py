"""The audit chain of a project: who did what, in the transaction that did it.

A digest is an HMAC over the entry and the digest before it, so whoever writes the ledger without the key can change,
move or take out nothing unseen. That the end was not cut off, and that nobody with the key wrote it all anew, is what
the anchor outside the ledger shows (``store.anchors``); it is written after each commit, and an entry counts as
acknowledged once it is anchored.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select

from tunesmith.core import digests
from tunesmith.core.actor import Actor, named
from tunesmith.core.errors import StoreError
from tunesmith.store.anchors import GENESIS, Anchor, Custody
from tunesmith.store.database import after_commit, reading
from tunesmith.store.tables import AUDIT, PROJECTS

CUSTODY = "tunesmith_custody"
MOST_CHARS = {"action": 64, "target": 300}


@dataclass(frozen=True)
class Act:
    """What is to be recorded."""

    actor: Actor | str
    action: str
    """`run.start`, `release`, `user.add`, …: what was done, then to what."""
    target: str
    details: Mapping[str, Any]
    """JSON values; never a secret, never a text of a row."""


@dataclass(frozen=True)
class Entry:
    """One link of the chain."""

    sequence: int
    at: datetime
    actor: str
    action: str
    target: str
    details: str
    """JSON, in the bytes that the digest covers."""
    previous: str
    digest: str

    def to_dict(self) -> dict[str, Any]:
        """The entry as JSON values."""
        return asdict(self) | {"at": self.at.isoformat(), "details": json.loads(self.details)}


def keep_with(engine: Engine, custody: Custody) -> None:
    """Let the entries written through an engine be sealed and anchored in a workspace."""
    engine.update_execution_options(**{CUSTODY: custody})


def custody_of(place: Engine | Connection) -> Custody:
    """Where the key and the anchors of an engine's chains are."""
    custody: Custody | None = place.get_execution_options().get(CUSTODY)
    if custody is None:
        raise StoreError("the ledger was opened without the key of its audit chain", next="open it through a session")
    return custody


def append(
    connection: Connection, project: str, actor: Actor | str, action: str, target: str, details: Mapping[str, Any]
) -> Entry:
    """Record an act in the caller's transaction of ``database.writing``."""
    return append_many(connection, project, [Act(actor, action, target, details)])[0]


def append_many(connection: Connection, project: str, acts: Sequence[Act]) -> list[Entry]:
    """Record acts, in their order, in the caller's transaction of ``database.writing``.

    A caller that locks other rows too calls ``lock`` first: who waits for each other in a ring is thrown out.
    """
    if not acts:
        return []
    custody = custody_of(connection)
    lock(connection, project)
    head = _head(connection, project)
    key = custody.key(is_new=head is None)
    engine = connection.engine.execution_options(tunesmith_writes=False)
    if after_commit(connection, f"audit:{project}", lambda: _anchor(engine, custody, project)):
        _require_own(custody, key, project, head)
        # Only before the transaction's first entry: its own are not committed, and must not be vouched for.
        _catch_up(connection, custody, project, head)
    at, entries = datetime.now(UTC), []
    sequence, previous = (head.sequence, head.digest) if head else (0, GENESIS)
    for act in acts:
        sequence += 1
        parts = named(act.actor), _bounded(act, "action"), _bounded(act, "target"), _json(act.details)
        digest = seal(key, project, sequence, at, *parts, previous)
        entries.append(Entry(sequence, at, *parts, previous, digest))
        previous = digest
    connection.execute(insert(AUDIT), [{"project_id": project, **vars(one)} for one in entries])
    return entries


def _require_own(custody: Custody, key: bytes, project: str, head: Entry | None) -> None:
    """Refuse to go on with a chain that another workspace's key seals: no key would vouch for all of it again.

    A workspace that anchored the chain once is the right one, whatever was done to its entries since.
    """
    place = custody.places(project)[0]
    if head is None or place.exists():
        return
    parts = head.actor, head.action, head.target, head.details
    if not hmac.compare_digest(seal(key, project, head.sequence, head.at, *parts, head.previous), head.digest):
        raise StoreError(
            f"the audit chain of the project `{project}` belongs to another workspace",
            seen=f"{custody.key_path} did not seal entry {head.sequence}, and {place} is not there",
            allowed="one workspace folder for each ledger, which several machines mount",
            next="set TUNESMITH_HOME to the folder that this ledger belongs to, or name another ledger",
        )


def lock(connection: Connection, project: str) -> None:
    """Let no other transaction append to the project's chain until this one ends."""
    # SQLite has one writer at a time anyhow. On a server, the lock that foreign keys to this row can pass.
    row = select(PROJECTS.c.id).where(PROJECTS.c.id == project).with_for_update(key_share=True)
    if connection.execute(row).scalar() is None:
        raise StoreError("there is no such project in the ledger", seen=project)


def entries(
    engine: Engine, project: str, *, last: int | None = None, target: str | None = None, action: str | None = None
) -> list[Entry]:
    """The entries in their order; the last so many, of one target, of one action."""
    where = AUDIT.c.project_id == project
    where = where if target is None else where & (AUDIT.c.target == target)
    where = where if action is None else where & (AUDIT.c.action == action)
    query = select(*_COLUMNS).where(where).order_by(AUDIT.c.sequence.desc())
    with reading(engine) as connection:
        rows = connection.execute(query if last is None else query.limit(last)).all()
    return [Entry(*row) for row in reversed(rows)]


def actors_of(connection: Connection, project: str, target: str, actions: Sequence[str]) -> list[str]:
    """Who did one of these things to a target; sorted."""
    where = (AUDIT.c.project_id == project) & (AUDIT.c.target == target) & AUDIT.c.action.in_(actions)
    return sorted(set(connection.execute(select(AUDIT.c.actor).where(where)).scalars()))


def anchor_anew(engine: Engine, project: str) -> Entry | None:
    """Let the anchors say what the ledger holds now, whatever they said; the head they name, None before the first.

    For after a backup was brought back, or for a new second place: the caller records who asked for it and why.
    """
    custody = custody_of(engine)
    with reading(engine) as connection, custody.held(project):
        head = _head(connection, project)
        for path in custody.places(project):
            custody.write(path, project, _anchor_of(head))
    return head


_COLUMNS = [AUDIT.c[name] for name in Entry.__dataclass_fields__]


def _head(connection: Connection, project: str) -> Entry | None:
    last = select(func.max(AUDIT.c.sequence)).where(AUDIT.c.project_id == project).scalar_subquery()
    row = connection.execute(
        select(*_COLUMNS).where((AUDIT.c.project_id == project) & (AUDIT.c.sequence == last))
    ).one_or_none()
    return None if row is None else Entry(*row)


def seal(
    key: bytes,
    project: str,
    sequence: int,
    at: datetime,
    actor: str,
    action: str,
    target: str,
    details: str,
    before: str,
) -> str:
    """The digest of an entry, which covers all of it, its place and the digest before it."""
    # A list as JSON: no two entries have one form.
    parts = [project, sequence, at.isoformat(timespec="microseconds"), actor, action, target, details, before]
    return hmac.digest(key, _encode(parts).encode(), "sha256").hex()


_encode = json.JSONEncoder(ensure_ascii=True, check_circular=False).encode


def _json(details: Mapping[str, Any]) -> str:
    try:
        return digests.canonical(dict(details)).decode()
    except (TypeError, ValueError) as error:
        raise StoreError("an entry's details cannot be recorded", seen=error, allowed="JSON without NaN") from error


def _bounded(act: Act, name: str) -> str:
    value: str = getattr(act, name)
    if not value or len(value) > MOST_CHARS[name]:
        raise StoreError(f"an entry's {name} has 1 to {MOST_CHARS[name]} characters", seen=value[:80] or "none")
    return value


# Anchors


def _anchor_of(entry: Entry | None) -> Anchor:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Anchor(entry.sequence, entry.digest, now) if entry else Anchor(0, GENESIS, now)


def _catch_up(connection: Connection, custody: Custody, project: str, head: Entry | None) -> None:
    """Anchor what a process that died between its commit and the anchor left, before anything is added to it."""
    for path in custody.places(project):
        if head is None:
            if not path.exists():
                custody.write(path, project, _anchor_of(None))
        else:
            _advance(connection, custody, project, path, head)


def _anchor(engine: Engine, custody: Custody, project: str) -> None:
    with reading(engine) as connection, custody.held(project):
        head = _head(connection, project)
        if head is not None:
            for path in custody.places(project):
                _advance(connection, custody, project, path, head)


def _advance(connection: Connection, custody: Custody, project: str, path: Path, entry: Entry) -> None:
    """Move an anchor on to an entry, if it goes on from where the anchor is.

    An anchor that is gone, damaged or of another chain stays as it is: it is what ``verify`` goes by.
    """
    try:
        anchor = custody.read(path, project)
    except StoreError:
        return
    if anchor is not None and anchor.sequence < entry.sequence and _holds(connection, project, anchor):
        custody.write(path, project, _anchor_of(entry))


def _holds(connection: Connection, project: str, anchor: Anchor) -> bool:
    if anchor.sequence == 0:
        return anchor.digest == GENESIS
    where = (AUDIT.c.project_id == project) & (AUDIT.c.sequence == anchor.sequence)
    return connection.execute(select(AUDIT.c.digest).where(where)).scalar() == anchor.digest
