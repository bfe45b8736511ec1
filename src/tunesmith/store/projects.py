"""The projects of a ledger: which there are, and when one may begin."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, select

from tunesmith.core.errors import StoreError
from tunesmith.store import registry
from tunesmith.store.database import insert_new, reading, writing
from tunesmith.store.tables import PROJECTS
from tunesmith.store.workspace import DEFAULT_PROJECT


def enter(engine: Engine, project: str, traces: Path | None, *, may_begin: bool) -> None:
    """Begin a project that the ledger does not know; nothing for one that it does.

    Raises: StoreError where there are ``traces`` of it elsewhere, or it may not be begun; `default` always may.
    """
    with reading(engine) as connection:
        known = list(connection.execute(select(PROJECTS.c.id).order_by(PROJECTS.c.id)).scalars())
    if project in known:
        return
    if traces is not None:
        raise lost(engine, project, traces)
    if not may_begin and project != DEFAULT_PROJECT:
        begun = [*known, *({DEFAULT_PROJECT} - set(known))]
        raise registry.unknown("project", project, begun, "`tunesmith run RECIPE --project NAME` begins one")
    with writing(engine) as connection:
        insert_new(connection, PROJECTS, {"id": project, "created": datetime.now(UTC)})


def lost(engine: Engine, project: str, traces: Path) -> StoreError:
    """The error for a ledger that does not know a project whose history is there."""
    return StoreError(
        f"the ledger of the project `{project}` is gone: nobody begins another beside its history",
        seen=f"{engine.url.render_as_string(hide_password=True)} does not know it, and {traces} is there",
        next="bring the ledger back from where it was moved or from a backup, or name it in TUNESMITH_LEDGER if it "
        "is elsewhere; to begin anew, name another workspace in --home or TUNESMITH_HOME",
    )
