"""Sources whose rows may no longer be used, for one purpose or for any."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Engine, delete, insert, select

from tunesmith.core.actor import Actor
from tunesmith.store import audit
from tunesmith.store.database import reading, writing
from tunesmith.store.tables import WITHDRAWALS


@dataclass(frozen=True)
class Withdrawal:
    """A source that may no longer be used."""

    source: str
    purpose: str
    """Empty: for no purpose at all."""
    at: datetime
    by: str

    def covers(self, source: str, purpose: str) -> bool:
        """Whether it stands against rows of a source that are used for a purpose."""
        return self.source == source and self.purpose in ("", purpose)


def withdraw(engine: Engine, project: str, source: str, purpose: str, actor: Actor) -> Withdrawal:
    """Put on record, and into the audit chain, that a source may no longer be used."""
    one = Withdrawal(source, purpose, datetime.now(UTC), actor.name)
    with writing(engine) as connection:
        where = _is(project, source, purpose)
        known = connection.execute(select(WITHDRAWALS).where(where)).one_or_none()
        if known is not None:
            return Withdrawal(known.source, known.purpose, known.at, known.by)
        connection.execute(insert(WITHDRAWALS).values(project_id=project, **vars(one)))
        audit.append(connection, project, actor, "source.withdraw", source, {"purpose": purpose or "any"})
    return one


def permit(engine: Engine, project: str, source: str, purpose: str, actor: Actor) -> bool:
    """Take a withdrawal back; whether there was one."""
    with writing(engine) as connection:
        gone = connection.execute(delete(WITHDRAWALS).where(_is(project, source, purpose))).rowcount
        if gone:
            audit.append(connection, project, actor, "source.permit", source, {"purpose": purpose or "any"})
    return bool(gone)


def read(engine: Engine, project: str) -> list[Withdrawal]:
    """Every withdrawal, by source."""
    table = WITHDRAWALS
    query = select(table).where(table.c.project_id == project).order_by(table.c.source, table.c.purpose)
    with reading(engine) as connection:
        return [Withdrawal(row.source, row.purpose, row.at, row.by) for row in connection.execute(query)]


def _is(project: str, source: str, purpose: str) -> ColumnElement[bool]:
    table = WITHDRAWALS
    return (table.c.project_id == project) & (table.c.source == source) & (table.c.purpose == purpose)
