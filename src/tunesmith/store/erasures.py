"""Erasures: whose rows were taken out, what stands in the place of what held them, and which models are stale."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    Engine,
    Row,
    String,
    Table,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from tunesmith.core.actor import Actor
from tunesmith.core.errors import StoreError
from tunesmith.store import audit
from tunesmith.store.database import reading, told, writing
from tunesmith.store.tables import (
    ARTIFACTS,
    CURSORS,
    ERASURES,
    FEEDBACK,
    LINEAGE,
    METADATA,
    OBSERVATIONS,
    RUNS,
    STALE_MODELS,
    STEP_OUTPUTS,
    TOMBSTONES,
)

CHUNK_ROWS = 500
WEIGHTS = frozenset({"model", "base"})
"""Kinds that learn from rows and hold none."""
Facts = dict[str, Any]
_KEPT_FACTS = ((ARTIFACTS, "facts"), (STEP_OUTPUTS, "facts"), (RUNS, "error"))
"""Where the ledger may quote a row."""


@dataclass(frozen=True)
class Erasure:
    """One erasure of one person."""

    id: str
    subject: str
    """The keyed hash."""
    by: str
    started: datetime
    ended: datetime | None
    proof: Mapping[str, Any]
    """What was done; of one under way, the reason alone."""


@dataclass(frozen=True)
class Tombstone:
    """An artifact that held an erased person."""

    digest: str
    kind: str
    replaced_by: str | None
    """None where it is computed again on need."""


def begin(engine: Engine, project: str, id: str, subject: str, reason: str, actor: Actor) -> Erasure:
    """The erasure of a person that is not finished yet, put on record with its audit entry where there was none.

    From then on no source, pull or capture takes in rows of the person.
    """
    with writing(engine) as connection:
        audit.lock(connection, project)
        where = _of(ERASURES, project, subject=subject) & ERASURES.c.ended.is_(None)
        row = connection.execute(select(ERASURES).where(where)).first()
        if row is not None:
            return _erasure(row)
        values = {"subject": subject, "by": actor.name, "started": datetime.now(UTC), "proof": {"reason": reason}}
        connection.execute(insert(ERASURES).values(project_id=project, id=id, **values))
        audit.append(connection, project, actor, "erase.start", id, {"subject": subject, "reason": reason})
        return _erasure(connection.execute(select(ERASURES).where(_of(ERASURES, project, id=id))).one())


def finish(
    engine: Engine, project: str, id: str, subject: str, proof: Callable[[int], Mapping[str, Any]], actor: Actor
) -> Mapping[str, Any]:
    """Record that an erasure is done: ``proof`` is given the sequence of the audit entry, and kept with it."""
    with writing(engine) as connection:
        entry = audit.append(connection, project, actor, "erase", id, {"subject": subject})
        made = dict(proof(entry.sequence))
        values = {"ended": datetime.now(UTC), "proof": made}
        connection.execute(update(ERASURES).where(_of(ERASURES, project, id=id)).values(values))
    return made


def read(engine: Engine, project: str) -> list[Erasure]:
    """Every erasure, the oldest first."""
    query = select(ERASURES).where(_of(ERASURES, project)).order_by(ERASURES.c.started, ERASURES.c.id)
    with reading(engine) as connection:
        return [_erasure(row) for row in connection.execute(query)]


def subjects(engine: Engine, project: str) -> tuple[str, ...]:
    """The keyed hashes of everyone erased, or being erased; sorted."""
    with reading(engine) as connection:
        return tuple(sorted(erased_among(connection, project)))


def erased_among(connection: Connection, project: str, wanted: Iterable[str] | None = None) -> set[str]:
    """Those of some subjects that are erased, in the caller's transaction; None: everyone erased."""
    query = select(ERASURES.c.subject).where(_of(ERASURES, project))
    if wanted is None:
        return set(connection.execute(query).scalars())
    asked, found = sorted(set(wanted)), set[str]()
    for start in range(0, len(asked), CHUNK_ROWS):
        part = asked[start : start + CHUNK_ROWS]
        found |= set(connection.execute(query.where(ERASURES.c.subject.in_(part))).scalars())
    return found


# Captured answers


def captured(engine: Engine, project: str) -> list[tuple[str, str | None, str, Any]]:
    """Id, subject, text and answer of every captured answer."""
    columns = (OBSERVATIONS.c.id, OBSERVATIONS.c.subject, OBSERVATIONS.c.text, OBSERVATIONS.c.answer)
    with reading(engine) as connection:
        rows = connection.execute(select(*columns).where(_of(OBSERVATIONS, project))).all()
    return [(row.id, row.subject, row.text, row.answer) for row in rows]


def forget(engine: Engine, project: str, subject: str, ids: Sequence[str] = ()) -> dict[str, int]:
    """Delete the captured answers of a person, or of these ids, with what was said of them; how many of each."""
    with writing(engine) as connection:
        _overwrite(connection)
        where = _of(OBSERVATIONS, project, subject=subject)
        mine = [*connection.execute(select(OBSERVATIONS.c.id).where(where)).scalars(), *ids]
        counts = {"observations": 0, "feedback": 0}
        for start in range(0, len(mine), CHUNK_ROWS):
            part = mine[start : start + CHUNK_ROWS]
            words = delete(FEEDBACK).where(_of(FEEDBACK, project), FEEDBACK.c.observation_id.in_(part))
            counts["feedback"] += connection.execute(words).rowcount
            rows = delete(OBSERVATIONS).where(_of(OBSERVATIONS, project), OBSERVATIONS.c.id.in_(part))
            counts["observations"] += connection.execute(rows).rowcount
    return counts


# Artifacts


def kinds(engine: Engine, project: str) -> dict[str, str]:
    """Digest → kind of every artifact on record."""
    with reading(engine) as connection:
        rows = connection.execute(select(ARTIFACTS.c.digest, ARTIFACTS.c.kind).where(_of(ARTIFACTS, project)))
        return {row.digest: row.kind for row in rows}


def replace(
    engine: Engine,
    project: str,
    erasure: str,
    old: str,
    new: str | None,
    kind: str,
    facts: Callable[[Facts], Facts],
) -> None:
    """Let another artifact stand where one stood, or nothing, and leave a tombstone; all of it or nothing.

    Steps, lineage and cursors that name the old one name the new one from then on. ``facts`` makes its facts of the
    old one's. Without a new one the record stays, its bytes are gone, and a step that needs it is run again.
    """
    with writing(engine) as connection:
        _overwrite(connection)
        row = connection.execute(select(ARTIFACTS).where(_of(ARTIFACTS, project, digest=old))).mappings().one_or_none()
        if row is not None:
            changed = {**row, "facts": facts(dict(row["facts"]))}
            if new is not None:
                _insert_new(connection, ARTIFACTS, changed | {"digest": new})
                _move_edges(connection, project, old, new)
                for column in ("dataset", "cursor"):
                    moved = update(CURSORS).where(_of(CURSORS, project, **{column: old}))
                    connection.execute(moved.values({column: new}))
            outputs = connection.execute(select(STEP_OUTPUTS).where(_of(STEP_OUTPUTS, project, digest=old))).all()
            for one in outputs:
                where = _of(STEP_OUTPUTS, project, step_key=one.step_key, name=one.name)
                values = {"digest": new or old, "facts": facts(dict(one.facts))}
                connection.execute(update(STEP_OUTPUTS).where(where).values(values))
            if new is not None:
                connection.execute(delete(ARTIFACTS).where(_of(ARTIFACTS, project, digest=old)))
            else:
                gone = update(ARTIFACTS).where(_of(ARTIFACTS, project, digest=old))
                connection.execute(gone.values(facts=changed["facts"]))
        _bury(connection, project, erasure, Tombstone(old, kind, new))


def tombstones(engine: Engine, project: str, erasure: str) -> list[Tombstone]:
    """What an erasure has replaced or taken away, by digest."""
    query = select(TOMBSTONES).where(_of(TOMBSTONES, project, erasure_id=erasure)).order_by(TOMBSTONES.c.digest)
    with reading(engine) as connection:
        return [Tombstone(row.digest, row.kind, row.replaced_by) for row in connection.execute(query)]


def clean_facts(engine: Engine, project: str, clean: Callable[[Any], Any]) -> int:
    """Rewrite every fact and error on record that ``clean`` changes; how many."""
    num = 0
    with writing(engine) as connection:
        _overwrite(connection)
        for table, column in _KEPT_FACTS:
            for row in connection.execute(select(table).where(_of(table, project))).mappings().all():
                value = row[column]
                cleaned = None if value is None else clean(value)
                if cleaned != value:
                    where = _of(table, project, **{key.name: row[key.name] for key in table.primary_key})
                    connection.execute(update(table).where(where).values({column: cleaned}))
                    num += 1
    return num


# Models


def mark_stale(engine: Engine, project: str, erasure: str, digests: Iterable[str]) -> None:
    """Record that models learned from rows of the erased person."""
    with writing(engine) as connection:
        for digest in sorted(set(digests)):
            values = {"project_id": project, "digest": digest, "erasure_id": erasure, "at": datetime.now(UTC)}
            _insert_new(connection, STALE_MODELS, values)


def stale_marks(engine: Engine, project: str) -> dict[str, datetime]:
    """Each erasure that made models stale → when it did."""
    when = func.min(STALE_MODELS.c.at)
    query = select(STALE_MODELS.c.erasure_id, when).where(_of(STALE_MODELS, project))
    with reading(engine) as connection:
        return {row[0]: row[1] for row in connection.execute(query.group_by(STALE_MODELS.c.erasure_id).order_by(when))}


def stale(engine: Engine, project: str) -> dict[str, list[str]]:
    """Digest of each model or base that learned from erased rows, or goes on from one that did → the erasures."""
    marks = select(STALE_MODELS).where(_of(STALE_MODELS, project)).order_by(STALE_MODELS.c.at)
    same = (ARTIFACTS.c.project_id == LINEAGE.c.project_id) & (ARTIFACTS.c.digest == LINEAGE.c.child)
    edges = select(LINEAGE.c.parent, LINEAGE.c.child).join(ARTIFACTS, same)
    edges = edges.where(_of(LINEAGE, project), ARTIFACTS.c.kind.in_(WEIGHTS)).distinct()
    found: dict[str, list[str]] = {}
    with reading(engine) as connection:
        for row in connection.execute(marks):
            found.setdefault(row.digest, []).append(row.erasure_id)
        children: dict[str, set[str]] = {}
        for parent, child in connection.execute(edges) if found else ():
            children.setdefault(parent, set()).add(child)
    waiting = list(found)
    while waiting:
        parent = waiting.pop()
        for child in sorted(children.get(parent, ())):
            more = [one for one in found[parent] if one not in found.get(child, [])]
            if more:
                found.setdefault(child, []).extend(more)
                waiting.append(child)
    return found


# What the database itself keeps


def texts_of(engine: Engine, project: str | None) -> Iterable[tuple[str, str]]:
    """``table.column`` and content of every text and JSON value in the ledger; None: of all projects."""
    for table in METADATA.sorted_tables:
        columns = [one for one in table.columns if isinstance(one.type, String | JSON)]
        query = select(*columns)
        if project is not None:
            query = query.where((table.c.id if table.name == "projects" else table.c.project_id) == project)
        with reading(engine) as connection:
            for row in connection.execute(query):
                for column, value in zip(columns, row, strict=True):
                    if value is not None:
                        words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                        yield f"{table.name}.{column.name}", words


def runs_elsewhere(engine: Engine, project: str) -> set[str]:
    """The runs of other projects, whose folders stand beside those of this one."""
    with reading(engine) as connection:
        return set(connection.execute(select(RUNS.c.id).where(RUNS.c.project_id != project)).scalars())


def compact(engine: Engine) -> str | None:
    """Have the database give up the bytes of deleted rows; None, or why it could not."""
    try:
        with told(engine):
            if engine.dialect.name == "postgresql":
                with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    for table in (OBSERVATIONS, FEEDBACK, ARTIFACTS, STEP_OUTPUTS, RUNS):
                        connection.exec_driver_sql(f"VACUUM FULL {table.name}")
                return None
            raw = engine.raw_connection()
            try:
                raw.rollback()
                cursor = raw.cursor()
                cursor.execute("VACUUM")
                busy = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
                cursor.close()
            finally:
                raw.close()
            return "another process was reading: its log is given up once it has ended" if busy else None
    except StoreError as error:
        return f"{error.what}: {error.seen}"


# Parts


def _of(table: Table, project: str, **values: Any) -> ColumnElement[bool]:
    where: ColumnElement[bool] = table.c.project_id == project
    for name, value in values.items():
        where = where & (table.c[name] == value)
    return where


def _overwrite(connection: Connection) -> None:
    """Have SQLite write zeros over what is deleted in this connection from now on."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete=ON")


def _move_edges(connection: Connection, project: str, old: str, new: str) -> None:
    touches = or_(LINEAGE.c.child == old, LINEAGE.c.parent == old)
    edges = connection.execute(select(LINEAGE).where(_of(LINEAGE, project), touches)).mappings().all()
    connection.execute(delete(LINEAGE).where(_of(LINEAGE, project), touches))
    for edge in edges:
        moved = {**edge} | {end: new for end in ("child", "parent") if edge[end] == old}
        if moved["child"] != moved["parent"]:
            _insert_new(connection, LINEAGE, moved)


def _bury(connection: Connection, project: str, erasure: str, one: Tombstone) -> None:
    connection.execute(delete(TOMBSTONES).where(_of(TOMBSTONES, project, digest=one.digest)))
    values = {"project_id": project, "erasure_id": erasure, "at": datetime.now(UTC)}
    connection.execute(insert(TOMBSTONES).values(**values, **vars(one)))


def _insert_new(connection: Connection, table: Table, values: Mapping[str, Any]) -> None:
    upsert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(upsert(table).values(dict(values)).on_conflict_do_nothing())


def _erasure(row: Row[Any]) -> Erasure:
    return Erasure(row.id, row.subject, row.by, row.started, row.ended, row.proof or {})
