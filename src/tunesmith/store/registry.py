"""Registered models: numbered versions under a name, and aliases that move between them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from tunesmith.core.errors import StoreError
from tunesmith.store.database import reading
from tunesmith.store.paths import slug
from tunesmith.store.records import AliasMove, ModelVersion
from tunesmith.store.tables import ALIAS_HISTORY, ALIASES, ARTIFACTS, MODEL_VERSIONS

_RACES = 1000


def register(
    connection: Connection, project: str, name: str, digest: str, run_id: str | None, verdict: str | None
) -> int:
    """The number of an artifact among the versions of a model: the next one, or the one it has already."""
    values = {"project_id": project, "name": name, "digest": digest, "run_id": run_id, "verdict": verdict}
    mine = (MODEL_VERSIONS.c.project_id == project) & (MODEL_VERSIONS.c.name == name)
    for _ in range(_RACES):
        where = (ARTIFACTS.c.project_id == project) & (ARTIFACTS.c.digest == digest)
        if connection.execute(select(ARTIFACTS.c.digest).where(where)).scalar() is None:
            raise StoreError("only an artifact on record can be registered", seen=f"{name}: {digest[:12]}")
        same = select(MODEL_VERSIONS.c.version).where(mine, MODEL_VERSIONS.c.digest == digest)
        known: int | None = connection.execute(same).scalar()
        if known is not None:
            return known
        last = connection.execute(select(func.max(MODEL_VERSIONS.c.version)).where(mine)).scalar()
        version: int = (last or 0) + 1
        try:
            # A point to fall back to: on a server, another process may take the number first.
            with connection.begin_nested():
                connection.execute(insert(MODEL_VERSIONS).values(**values, version=version, created=_now()))
        except IntegrityError:
            continue
        return version
    raise StoreError(f"no version number of `{name}` could be had", seen=f"{_RACES} others were faster")


def set_alias(connection: Connection, project: str, name: str, alias: str, version: int) -> int | None:
    """Move an alias to a version and note the move; the version it stood on before."""
    if slug(alias, "alias").isdigit():
        raise StoreError(
            "an alias cannot be a number: numbers are versions", seen=alias, next="for example `production`"
        )
    _pick(versions_of(connection, project), name, version)
    where = (ALIASES.c.project_id == project) & (ALIASES.c.name == name) & (ALIASES.c.alias == alias)
    previous: int | None = connection.execute(select(ALIASES.c.version).where(where).with_for_update()).scalar()
    key = {"project_id": project, "name": name, "alias": alias}
    if previous is None:
        connection.execute(insert(ALIASES).values(**key, version=version, moved_at=_now()))
    else:
        connection.execute(update(ALIASES).where(where).values(version=version, moved_at=_now()))
    connection.execute(insert(ALIAS_HISTORY).values(**key, version=version, previous=previous, moved_at=_now()))
    return previous


def find_version(connection: Connection, project: str, name: str, alias_or_version: str | int) -> ModelVersion:
    """The version that an alias or a number means, in the caller's transaction."""
    return _pick(versions_of(connection, project), name, alias_or_version)


def before(moves: Sequence[AliasMove], alias: str) -> int | None:
    """The version that an alias stood on before the one it stands on now; None where there was none.

    Moves make a pile: back to what lies under the top takes the top away, so that rolling back twice goes back two
    versions and not to and fro.
    """
    pile: list[int] = []
    for move in moves:
        if move.alias != alias or pile[-1:] == [move.version]:
            continue
        if pile[-2:-1] == [move.version]:
            pile.pop()
        else:
            pile.append(move.version)
    return pile[-2] if len(pile) > 1 else None


def resolve(engine: Engine, project: str, name: str, alias_or_version: str | int) -> ModelVersion:
    """The version that an alias or a number means."""
    return _pick(versions(engine, project), name, alias_or_version)


def versions(engine: Engine, project: str) -> list[ModelVersion]:
    """Every version of every model, by name and number."""
    with reading(engine) as connection:
        return versions_of(connection, project)


def history(engine: Engine, project: str, name: str) -> list[AliasMove]:
    """Every move of a model's aliases, the oldest first."""
    with reading(engine) as connection:
        return moves_of(connection, project, name)


def moves_of(connection: Connection, project: str, name: str) -> list[AliasMove]:
    """Every move of a model's aliases, in the caller's transaction."""
    table = ALIAS_HISTORY
    where = (table.c.project_id == project) & (table.c.name == name)
    rows = connection.execute(select(table).where(where).order_by(table.c.sequence)).all()
    return [AliasMove(row.alias, row.version, row.previous, row.moved_at) for row in rows]


def unknown(what: str, seen: str, known: Sequence[str], otherwise: str | None = None) -> StoreError:
    """The error for a name that is not on record, with the nearest ones that are, or else what to do."""
    near = difflib.get_close_matches(seen, known, n=3)
    shown = ", ".join(known[:10]) + (f" and {len(known) - 10} more" if len(known) > 10 else "")
    return StoreError(
        f"there is no {what} `{seen}`",
        seen=seen,
        allowed=shown or "none yet",
        next=f"did you mean {' or '.join(f'`{name}`' for name in near)}?" if near else otherwise,
    )


def versions_of(connection: Connection, project: str) -> list[ModelVersion]:
    """Every version of every model, in the caller's transaction."""
    table = MODEL_VERSIONS
    aliases: dict[tuple[str, int], list[str]] = {}
    for row in connection.execute(select(ALIASES).where(ALIASES.c.project_id == project).order_by(ALIASES.c.alias)):
        aliases.setdefault((row.name, row.version), []).append(row.alias)
    query = select(table).where(table.c.project_id == project).order_by(table.c.name, table.c.version)
    return [
        ModelVersion(
            row.name,
            row.version,
            row.digest,
            row.run_id,
            row.verdict,
            row.created,
            tuple(aliases.get((row.name, row.version), ())),
        )
        for row in connection.execute(query)
    ]


def _pick(known: list[ModelVersion], name: str, alias_or_version: str | int) -> ModelVersion:
    mine = [one for one in known if one.name == name]
    if not mine:
        way_out = "`tunesmith models` lists what is released; what a run made and did not release is `run:ID`"
        raise unknown("model", name, sorted({one.name for one in known}), way_out)
    wanted = str(alias_or_version)
    for one in mine:
        if wanted == str(one.version) or wanted in one.aliases:
            return one
    names = [alias for one in mine for alias in one.aliases] + [str(one.version) for one in reversed(mine)]
    raise unknown(f"version or alias of `{name}`", wanted, names)


def _now() -> datetime:
    return datetime.now(UTC)
