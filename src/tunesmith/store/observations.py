"""Observations: what served models were asked and answered, what proved true later, and the counts of requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Engine, Select, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from tunesmith.core.actor import Actor
from tunesmith.core.errors import StoreError
from tunesmith.store import audit, erasures
from tunesmith.store.database import reading, writing
from tunesmith.store.tables import FEEDBACK, OBSERVATIONS, SERVED

Outcome = Literal["answered", "refused", "failed"]
CHUNK_ROWS = 500
"""Rows of one statement: SQLite bounds how many values a statement may have."""


@dataclass(frozen=True)
class Observation:
    """One text that a served model answered."""

    id: str
    name: str
    version: int
    at: datetime
    text: str
    """As the privacy rules left it; empty where texts are not kept."""
    subject: str | None
    """The keyed hash of the person, where the caller named one."""
    answer: Mapping[str, Any]
    latency_ms: float
    key_id: str | None = None
    truth: Any = None
    """The latest feedback; read with the observation, never written with it."""
    has_truth: bool = False


@dataclass(frozen=True)
class Word:
    """What proved true of an observation, and who said so."""

    observation_id: str
    truth: Any
    actor: Actor | str
    key_id: str | None = None


@dataclass(frozen=True)
class Served:
    """Requests of one model version in one minute that ended alike."""

    name: str
    version: int
    minute: datetime
    outcome: Outcome
    requests: int
    latency_ms_sum: float


def add(engine: Engine, project: str, observations: Iterable[Observation], served: Iterable[Served] = ()) -> None:
    """Record observations, and add to the counts of requests, in one transaction.

    An observation that is on record already stays as it is: a writer that was cut off may send it again. One of an
    erased person is left out: it may have waited in a server while the person was erased.
    """
    observations = list(observations)
    people = {one.subject for one in observations if one.subject is not None}
    rows = [
        {
            "project_id": project,
            "id": one.id,
            "name": one.name,
            "version": one.version,
            "at": one.at,
            "text": one.text,
            "subject": one.subject,
            "answer": dict(one.answer),
            "latency_ms": one.latency_ms,
            "key_id": one.key_id,
        }
        for one in observations
    ]
    upsert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    with writing(engine) as connection:
        if people:
            erased = erasures.erased_among(connection, project, people)
            rows = [one for one in rows if one["subject"] not in erased]
        if rows:
            connection.execute(upsert(OBSERVATIONS).on_conflict_do_nothing(), rows)
        # In the order of their keys, so that two writers on one server never wait for each other in a ring.
        for count in sorted(served, key=lambda one: (one.name, one.version, one.minute, one.outcome)):
            new = upsert(SERVED).values(
                project_id=project,
                name=count.name,
                version=count.version,
                minute=count.minute,
                outcome=count.outcome,
                requests=count.requests,
                latency_ms_sum=count.latency_ms_sum,
            )
            connection.execute(
                new.on_conflict_do_update(
                    index_elements=list(SERVED.primary_key),
                    set_={
                        "requests": SERVED.c.requests + new.excluded.requests,
                        "latency_ms_sum": SERVED.c.latency_ms_sum + new.excluded.latency_ms_sum,
                    },
                )
            )


def find(engine: Engine, project: str, observation_id: str) -> Observation | None:
    """The observation of an id with its latest feedback; None where there is none."""
    where = (OBSERVATIONS.c.project_id == project) & (OBSERVATIONS.c.id == observation_id)
    return next(iter(_read(engine, project, _query(where))), None)


def read(
    engine: Engine,
    project: str,
    name: str,
    *,
    version: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    most: int | None = None,
) -> list[Observation]:
    """The observations of a model, or of one version of it, in the order they were recorded; ``most``: the newest.

    Each carries the latest feedback on it. ``since`` is within the window, ``until`` is not.
    """
    where = _of(OBSERVATIONS, project, name, version)
    if since is not None:
        where = where & (OBSERVATIONS.c.at >= since)
    if until is not None:
        where = where & (OBSERVATIONS.c.at < until)
    query = _query(where)
    if most is not None:
        query = query.limit(most)
    return _read(engine, project, query)[::-1]


def count(engine: Engine, project: str, name: str, version: int | None = None, since: datetime | None = None) -> int:
    """How many observations there are."""
    where = _of(OBSERVATIONS, project, name, version)
    if since is not None:
        where = where & (OBSERVATIONS.c.at >= since)
    with reading(engine) as connection:
        return int(connection.execute(select(func.count()).select_from(OBSERVATIONS).where(where)).scalar_one())


def add_feedback(
    engine: Engine, project: str, observation_id: str, truth: Any, *, actor: Actor | str, key_id: str | None = None
) -> int:
    """Record what proved true of an observation, and return how many words on it there are now; the latest counts.

    Raises: StoreError where no such observation is on record.
    """
    [num] = add_words(engine, project, [Word(observation_id, truth, actor, key_id)])
    if isinstance(num, StoreError):
        raise num
    return num


def add_words(engine: Engine, project: str, words: Sequence[Word]) -> list[int | StoreError]:
    """Record what proved true of observations, in one transaction and in the order it was said.

    Of each: how many words on its observation there are now, the latest counts; or why it was not recorded, where no
    such observation is on record. The audit chain names who said so, and of which prediction, never what.
    """
    results: list[int | StoreError] = []
    rows: list[dict[str, Any]] = []
    acts: list[audit.Act] = []
    with writing(engine) as connection:
        audit.lock(connection, project)
        found, counts = _spoken_of(connection, project, sorted({one.observation_id for one in words}))
        at = datetime.now(UTC)
        for one in words:
            id = one.observation_id
            if id not in found:
                results.append(unknown(id))
                continue
            counts[id] += 1
            results.append(counts[id])
            values = {"project_id": project, "observation_id": id, "truth": one.truth, "at": at, "key_id": one.key_id}
            rows.append(values)
            acts.append(audit.Act(one.actor, "feedback", id, {"model": found[id], "words": counts[id]}))
        if rows:
            connection.execute(insert(FEEDBACK), rows)
            audit.append_many(connection, project, acts)
    return results


def served(
    engine: Engine, project: str, name: str, version: int | None = None, since: datetime | None = None
) -> list[Served]:
    """The counts of requests by minute and outcome, the oldest first."""
    where = _of(SERVED, project, name, version)
    if since is not None:
        where = where & (SERVED.c.minute >= since)
    with reading(engine) as connection:
        rows = connection.execute(select(SERVED).where(where).order_by(SERVED.c.minute, SERVED.c.outcome)).all()
    return [Served(row.name, row.version, row.minute, row.outcome, row.requests, row.latency_ms_sum) for row in rows]


def _spoken_of(connection: Connection, project: str, ids: Sequence[str]) -> tuple[dict[str, str], Counter[str]]:
    """Which model each observation is of, and how many words there are on it."""
    found: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for start in range(0, len(ids), CHUNK_ROWS):
        part = ids[start : start + CHUNK_ROWS]
        where = (OBSERVATIONS.c.project_id == project) & OBSERVATIONS.c.id.in_(part)
        query = select(OBSERVATIONS.c.id, OBSERVATIONS.c.name, OBSERVATIONS.c.version).where(where)
        found.update((row.id, f"{row.name}@{row.version}") for row in connection.execute(query))
        on = FEEDBACK.c.observation_id
        said = select(on, func.count()).where(FEEDBACK.c.project_id == project, on.in_(part)).group_by(on)
        counts.update({row[0]: row[1] for row in connection.execute(said)})
    return found, counts


def unknown(observation_id: str) -> StoreError:
    """The error for an id that no prediction has."""
    return StoreError(
        "there is no such prediction",
        seen=observation_id[:80],
        allowed="the `id` of a prediction that was captured",
        next="send the id as it was answered; one that is null was not captured (`monitor.capture.share`)",
    )


def _of(table: Any, project: str, name: str, version: int | None) -> ColumnElement[bool]:
    where: ColumnElement[bool] = (table.c.project_id == project) & (table.c.name == name)
    return where if version is None else where & (table.c.version == version)


def _query(where: ColumnElement[bool]) -> Select[Any]:
    return select(OBSERVATIONS).where(where).order_by(OBSERVATIONS.c.sequence.desc())


def _read(engine: Engine, project: str, query: Select[Any]) -> list[Observation]:
    with reading(engine) as connection:
        rows = connection.execute(query).all()
        truths = _truths(connection, project, [row.id for row in rows])
    return [
        Observation(
            row.id,
            row.name,
            row.version,
            row.at,
            row.text,
            row.subject,
            row.answer,
            row.latency_ms,
            row.key_id,
            truths.get(row.id),
            row.id in truths,
        )
        for row in rows
    ]


def _truths(connection: Any, project: str, ids: Sequence[str]) -> dict[str, Any]:
    """The latest feedback of each observation that has any."""
    found: dict[str, Any] = {}
    for start in range(0, len(ids), CHUNK_ROWS):
        part = ids[start : start + CHUNK_ROWS]
        where = (FEEDBACK.c.project_id == project) & FEEDBACK.c.observation_id.in_(part)
        query = select(FEEDBACK.c.observation_id, FEEDBACK.c.truth).where(where).order_by(FEEDBACK.c.sequence)
        found.update((row.observation_id, row.truth) for row in connection.execute(query))
    return found
