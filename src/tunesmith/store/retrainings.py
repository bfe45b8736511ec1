"""Child runs: which model in production a run goes on from, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Row, insert, select

from tunesmith.core.actor import Actor
from tunesmith.store import audit
from tunesmith.store.database import reading, writing
from tunesmith.store.tables import RETRAININGS


@dataclass(frozen=True)
class Retraining:
    """A run that trains a model in production again."""

    run_id: str
    parent_run_id: str
    name: str
    from_version: int
    cause: str
    """by hand, drift, labels or erasure."""
    at: datetime


def record(engine: Engine, project: str, one: Retraining, actor: Actor) -> None:
    """Put a child run on record, with its audit entry; one that is there stays as it is."""
    with writing(engine) as connection:
        where = (RETRAININGS.c.project_id == project) & (RETRAININGS.c.run_id == one.run_id)
        if connection.execute(select(RETRAININGS.c.run_id).where(where)).first() is not None:
            return
        connection.execute(insert(RETRAININGS).values(project_id=project, **vars(one)))
        details = {"from": f"{one.name}@{one.from_version}", "parent": one.parent_run_id, "cause": one.cause}
        audit.append(connection, project, actor, "retrain", one.run_id, details)


def find(engine: Engine, project: str, run_id: str) -> Retraining | None:
    """What a run goes on from; None for one that starts anew."""
    table = RETRAININGS
    with reading(engine) as connection:
        where = (table.c.project_id == project) & (table.c.run_id == run_id)
        row = connection.execute(select(table).where(where)).one_or_none()
    return None if row is None else _retraining(row)


def of(engine: Engine, project: str, name: str, version: int) -> list[Retraining]:
    """The child runs of a version, the newest first."""
    table = RETRAININGS
    where = (table.c.project_id == project) & (table.c.name == name) & (table.c.from_version == version)
    with reading(engine) as connection:
        rows = connection.execute(select(table).where(where).order_by(table.c.at.desc(), table.c.run_id))
        return [_retraining(row) for row in rows]


def _retraining(row: Row[Any]) -> Retraining:
    return Retraining(row.run_id, row.parent_run_id, row.name, row.from_version, row.cause, row.at)
