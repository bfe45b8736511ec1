"""Cursors of incremental sources: read before a pull, moved with the record of what it made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from tunesmith.store.records import ArtifactLike, CursorMove, CursorRecord
from tunesmith.store.tables import CURSORS


def find(connection: Connection, project: str, source: str) -> CursorRecord | None:
    """Where the pulls of a source stand; None before the first."""
    where = (CURSORS.c.project_id == project) & (CURSORS.c.source == source)
    row = connection.execute(select(CURSORS).where(where)).one_or_none()
    names = CursorRecord.__dataclass_fields__
    return None if row is None else CursorRecord(**{name: row._mapping[name] for name in names})


def move(
    connection: Connection, project: str, one: CursorMove, made: Mapping[str, ArtifactLike], step_key: str
) -> bool:
    """Move a cursor in the caller's transaction; False where another pull has moved it since this one began.

    What this pull made stays on record all the same: it is whole, and the next pull goes on from the other.
    """
    where = (CURSORS.c.project_id == project) & (CURSORS.c.source == one.source)
    stands = connection.execute(select(CURSORS.c.cursor).where(where).with_for_update()).scalar()
    if stands != one.before:
        return False
    values: dict[str, Any] = {"name": one.name, "dataset": made["dataset"].digest, "cursor": made["cursor"].digest}
    values |= {"step_key": step_key, "moved_at": datetime.now(UTC)}
    if stands is None:
        try:
            # A point to fall back to: on a server, another first pull may be faster.
            with connection.begin_nested():
                connection.execute(insert(CURSORS).values(project_id=project, source=one.source, num_moves=1, **values))
        except IntegrityError:
            return False
        return True
    moved = update(CURSORS).where(where, CURSORS.c.cursor == stands)
    return connection.execute(moved.values(num_moves=CURSORS.c.num_moves + 1, **values)).rowcount == 1
