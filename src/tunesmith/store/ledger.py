"""The ledger: which runs there were, what their steps made from what, and which models are registered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, Engine, Row, Table, delete, literal, select, update

from tunesmith.core.actor import Actor
from tunesmith.core.artifact import MadeBy
from tunesmith.core.errors import StoreError
from tunesmith.store import approvals, audit, claims, cursors, database, projects, registry
from tunesmith.store.anchors import Custody
from tunesmith.store.approvals import Approval
from tunesmith.store.database import insert_new
from tunesmith.store.paths import digest as check_digest
from tunesmith.store.paths import slug
from tunesmith.store.records import (
    AliasMove,
    ArtifactLike,
    ArtifactRecord,
    CursorMove,
    CursorRecord,
    ModelVersion,
    RunRecord,
    RunStatus,
    RunStep,
    RunStepStatus,
)
from tunesmith.store.tables import ARTIFACTS, LINEAGE, RUN_STEPS, RUNS, STEP_OUTPUTS, STEPS


class Ledger:
    """One project's records. Every method is one transaction: all of it is recorded, or nothing."""

    def __init__(self, engine: Engine, project: str = "default") -> None:
        self.engine = engine
        self.project = slug(project, "project name")

    @classmethod
    def open(
        cls,
        url: str,
        project: str = "default",
        custody: Custody | None = None,
        *,
        traces: Path | None = None,
        may_begin: bool = True,
    ) -> Ledger:
        """The ledger at a SQLAlchemy URL, its tables made or brought up to date.

        ``custody``: the key and the anchors of its audit chain; without, nothing that is audited can be done.
        ``traces``: what shows that the project has a history (`Workspace.traces`); it is never begun anew beside that.
        ``may_begin``: whether a project that the ledger does not know is begun; ``default`` always is.
        Raises: StoreError where there are traces and the ledger does not know the project, or it may not be begun.
        """
        ledger = cls(database.connect(url), project)
        if custody is not None:
            audit.keep_with(ledger.engine, custody)
        if traces is not None and database.is_blank(ledger.engine):
            ledger.close()
            raise projects.lost(ledger.engine, project, traces)
        database.upgrade(ledger.engine)
        try:
            projects.enter(ledger.engine, project, traces, may_begin=may_begin)
        except StoreError:
            ledger.close()
            raise
        return ledger

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Runs

    def start_run(
        self,
        run_id: str,
        name: str,
        task: str,
        recipe_digest: str,
        status: RunStatus = "running",
        *,
        by: Actor | None = None,
    ) -> None:
        """Record that a run begins, or goes on after it was stopped; ``by`` whom is kept in the audit chain.

        Raises: StoreError when the id belongs to a run of another recipe.
        """
        slug(run_id, "run id")
        values = {"name": name, "task": task, "recipe_digest": recipe_digest, "status": status, "started": _now()}
        with self._writes() as connection:
            is_new = insert_new(connection, RUNS, {"project_id": self.project, "id": run_id, **values})
            if by is not None:
                details = {"name": name, "task": task, "recipe": recipe_digest}
                audit.append(connection, self.project, by, "run.start" if is_new else "run.resume", run_id, details)
            if is_new:
                return
            known = connection.execute(select(RUNS.c.recipe_digest).where(self._is(RUNS, id=run_id))).scalar_one()
            if known != recipe_digest:
                raise StoreError(
                    f"the run `{run_id}` is a run of another recipe",
                    seen=f"recipe {recipe_digest[:12]}",
                    allowed=f"recipe {known[:12]}",
                    next="start a new run: it reuses every step that is still the same",
                )
            again = {"status": status, "ended": None, "error": None, "verdict": None}
            connection.execute(update(RUNS).where(self._is(RUNS, id=run_id)).values(again))

    def end_run(
        self,
        run_id: str,
        status: RunStatus,
        *,
        verdict: str | None = None,
        error: Mapping[str, Any] | None = None,
        model_digest: str | None = None,
        by: Actor | None = None,
    ) -> None:
        """Record how a run ended; ``by`` whom it was run is kept in the audit chain."""
        values = {"status": status, "verdict": verdict, "error": error, "model_digest": model_digest, "ended": _now()}
        with self._writes() as connection:
            changed = connection.execute(update(RUNS).where(self._is(RUNS, id=run_id)).values(values))
            if not changed.rowcount:
                raise self._no_run(connection, run_id)
            if by is not None:
                details = {"status": status, "verdict": verdict, "model": model_digest}
                audit.append(connection, self.project, by, "run.end", run_id, details)

    def run(self, run_id: str) -> RunRecord:
        """The record of a run."""
        with self._reads() as connection:
            row = connection.execute(select(RUNS).where(self._is(RUNS, id=run_id))).one_or_none()
            if row is None:
                raise self._no_run(connection, run_id)
        return _run(row)

    def runs(self) -> list[RunRecord]:
        """Every run, the newest first."""
        with self._reads() as connection:
            rows = connection.execute(select(RUNS).where(self._is(RUNS)).order_by(RUNS.c.sequence.desc())).all()
        return [_run(row) for row in rows]

    def runs_of(self, name: str, model_digest: str) -> list[str]:
        """The runs of a name that are done and ended with this model, the newest first."""
        mine = self._is(RUNS, name=name, model_digest=model_digest, status="done")
        with self._reads() as connection:
            return list(connection.execute(select(RUNS.c.id).where(mine).order_by(RUNS.c.sequence.desc())).scalars())

    def set_run_step(self, run_id: str, position: int, name: str, step_key: str | None, status: RunStepStatus) -> None:
        """Record where a step of a run stands; the latest word counts."""
        values = {"name": name, "step_key": step_key, "status": status}
        with self._writes() as connection:
            where = {"project_id": self.project, "run_id": run_id, "position": position}
            if not insert_new(connection, RUN_STEPS, {**where, **values}):
                connection.execute(
                    update(RUN_STEPS).where(self._is(RUN_STEPS, run_id=run_id, position=position)).values(values)
                )

    def run_steps(self, run_id: str) -> list[RunStep]:
        """The steps of a run in their order."""
        query = select(RUN_STEPS).where(self._is(RUN_STEPS, run_id=run_id)).order_by(RUN_STEPS.c.position)
        with self._reads() as connection:
            rows = connection.execute(query).all()
        return [RunStep(row.position, row.name, row.step_key, row.status) for row in rows]

    # Steps and artifacts

    def record_step(
        self,
        key: str,
        content_key: str,
        stage: str,
        made: Mapping[str, ArtifactLike],
        *,
        run_id: str | None = None,
        name: str | None = None,
        started: datetime | None = None,
        replaces: bool = False,
        moves: CursorMove | None = None,
    ) -> dict[str, ArtifactRecord]:
        """Record what a step made, and return what is on record: a record that was there first wins.

        ``replaces`` puts this record in place of an earlier one, whose bytes are gone. ``moves``: the cursor that goes
        on to what the step made, unless another step moved it since.
        """
        cost = next((dict(one.made_by.cost) for one in made.values()), {})
        step = {"content_key": content_key, "stage": stage, "name": name, "status": "done", "run_id": run_id}
        times = {"started": started, "ended": _now(), "cost": cost}
        with self._writes() as connection:
            if replaces:
                connection.execute(delete(STEPS).where(self._is(STEPS, key=key)))
            if insert_new(connection, STEPS, {"project_id": self.project, "key": slug(key, "step key")} | step | times):
                # In the order of their digests, so that two writers on one server never wait for each other in a ring.
                for one in sorted(made.values(), key=lambda artifact: artifact.digest):
                    self._add_artifact(connection, one)
                for output, one in made.items():
                    self._add_output(connection, key, output, one)
                if moves is not None:
                    cursors.move(connection, self.project, moves, made, key)
            return self._outputs(connection, key)

    def claim(
        self, content_key: str, is_cancelled: Callable[[], bool], on_wait: Callable[[], None]
    ) -> AbstractContextManager[None]:
        """Hold a step against every other runner on this ledger for as long as the context lasts."""
        return claims.claimed(self.engine, self.project, content_key, is_cancelled=is_cancelled, on_wait=on_wait)

    def cursor(self, source: str) -> CursorRecord | None:
        """Where the pulls of a source stand; None before the first."""
        with self._reads() as connection:
            return cursors.find(connection, self.project, source)

    def alias_step(self, key: str, of_key: str) -> dict[str, ArtifactRecord]:
        """Record that a step would make what an equal one made already, and return that.

        Raises: StoreError when the other step is not on record.
        """
        with self._writes() as connection:
            row = connection.execute(select(STEPS).where(self._is(STEPS, key=of_key))).mappings().one_or_none()
            if row is None:
                raise StoreError("the step to take the outputs from is not on record", seen=of_key)
            values = {**row, "key": slug(key, "step key"), "status": "aliased", "cost": {}, "ended": _now()}
            if insert_new(connection, STEPS, values | {"started": None}):
                for output, one in self._outputs(connection, of_key).items():
                    self._add_output(connection, key, output, one)
            return self._outputs(connection, key)

    def find_step(self, key: str) -> dict[str, ArtifactRecord] | None:
        """What a step made, by output name; None when it was never done. A step may have made nothing."""
        with self._reads() as connection:
            is_known = connection.execute(select(STEPS.c.key).where(self._is(STEPS, key=key))).scalar() is not None
            return self._outputs(connection, key) if is_known else None

    def find_content(self, content_key: str) -> str | None:
        """The key of a step that was run with equal code, config and input bytes, if there is one."""
        where = self._is(STEPS, content_key=content_key, status="done")
        with self._reads() as connection:
            return connection.execute(select(STEPS.c.key).where(where).order_by(STEPS.c.key).limit(1)).scalar()

    def artifact(self, digest: str) -> ArtifactRecord:
        """What is known of an artifact; of equal ones, as the first step said.

        Raises: StoreError when it is not on record.
        """
        check_digest(digest)
        with self._reads() as connection:
            row = connection.execute(select(ARTIFACTS).where(self._is(ARTIFACTS, digest=digest))).one_or_none()
            if row is None:
                raise StoreError(
                    "no such artifact in this project",
                    seen=f"{digest[:12]} in project {self.project}",
                    next="`tunesmith models` lists the models, or name another project",
                )
            return self._record(connection, row)

    def parents(self, digest: str) -> list[str]:
        """The artifacts it was made from directly, by any step; sorted."""
        return self._edges(LINEAGE.c.child == digest, LINEAGE.c.parent)

    def children(self, digest: str) -> list[str]:
        """The artifacts made from it directly; sorted."""
        return self._edges(LINEAGE.c.parent == digest, LINEAGE.c.child)

    def ancestors(self, digest: str) -> list[str]:
        """Everything it comes from, over all steps; sorted."""
        return self._closure(digest, LINEAGE.c.child, LINEAGE.c.parent)

    def descendants(self, digest: str) -> list[str]:
        """Everything that came of it, over all steps; sorted."""
        return self._closure(digest, LINEAGE.c.parent, LINEAGE.c.child)

    # Models

    def register_version(self, name: str, digest: str, run_id: str | None, verdict: str | None) -> int:
        """The number under which an artifact is now a version of a model: 1, 2, 3 … without gaps, one a digest."""
        slug(name, "model name")
        with self._writes() as connection:
            return registry.register(connection, self.project, name, check_digest(digest), run_id, verdict)

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Let ``name@alias`` mean a version from now on; the move is kept in the history."""
        with self._writes() as connection:
            registry.set_alias(connection, self.project, name, alias, version)

    def resolve(self, name: str, alias_or_version: str | int) -> ModelVersion:
        """The version that ``name@alias`` or ``name@3`` means.

        Raises: StoreError naming the nearest one that is known.
        """
        return registry.resolve(self.engine, self.project, name, alias_or_version)

    def models(self) -> list[ModelVersion]:
        """Every version of every model, by name and number."""
        return registry.versions(self.engine, self.project)

    def approval(self, run_id: str, model_digest: str) -> Approval | None:
        """The last word of a person on the model of a run; None where nobody spoke."""
        with self._reads() as connection:
            return approvals.latest(connection, self.project, run_id, model_digest)

    def alias_history(self, name: str) -> list[AliasMove]:
        """Every move of a model's aliases, the oldest first."""
        return registry.history(self.engine, self.project, name)

    # Parts

    def _reads(self) -> AbstractContextManager[Connection]:
        return database.reading(self.engine)

    def _writes(self) -> AbstractContextManager[Connection]:
        return database.writing(self.engine)

    def _is(self, table: Table, **values: Any) -> ColumnElement[bool]:
        """The rows of this project with these values."""
        where: ColumnElement[bool] = table.c.project_id == self.project
        for column, value in values.items():
            where = where & (table.c[column] == value)
        return where

    def _no_run(self, connection: Connection, run_id: str) -> StoreError:
        known = connection.execute(select(RUNS.c.id).where(self._is(RUNS)).order_by(RUNS.c.sequence.desc())).scalars()
        return registry.unknown("run", run_id, list(known))

    def _add_artifact(self, connection: Connection, one: ArtifactLike) -> None:
        values = {"digest": check_digest(one.digest), "kind": one.kind, "facts": dict(one.facts), "created": _now()}
        made_by = _plain(one.made_by)
        insert_new(connection, ARTIFACTS, {"project_id": self.project, "made_by": made_by, **values})
        for position, parent in enumerate(one.parents):
            if parent != one.digest:
                edge = {"child": one.digest, "parent": check_digest(parent), "step_key": one.made_by.step_key}
                insert_new(connection, LINEAGE, {"project_id": self.project, "position": position, **edge})

    def _add_output(self, connection: Connection, key: str, name: str, one: ArtifactLike) -> None:
        values = {"digest": one.digest, "kind": one.kind, "facts": dict(one.facts), "made_by": _plain(one.made_by)}
        insert_new(connection, STEP_OUTPUTS, {"project_id": self.project, "step_key": key, "name": name, **values})

    def _outputs(self, connection: Connection, key: str) -> dict[str, ArtifactRecord]:
        query = select(STEP_OUTPUTS).where(self._is(STEP_OUTPUTS, step_key=key)).order_by(STEP_OUTPUTS.c.name)
        return {row.name: self._record(connection, row) for row in connection.execute(query).all()}

    def _record(self, connection: Connection, row: Row[Any]) -> ArtifactRecord:
        made_by = MadeBy(**row.made_by)
        where = self._is(LINEAGE, child=row.digest, step_key=made_by.step_key)
        parents = connection.execute(select(LINEAGE.c.parent).where(where).order_by(LINEAGE.c.position)).scalars()
        return ArtifactRecord(row.kind, row.digest, row.facts, made_by, tuple(parents))

    def _edges(self, where: ColumnElement[bool], wanted: ColumnElement[str]) -> list[str]:
        query = select(wanted).distinct().where(self._is(LINEAGE), where).order_by(wanted)
        with self._reads() as connection:
            return list(connection.execute(query).scalars())

    def _closure(self, digest: str, near: ColumnElement[str], far: ColumnElement[str]) -> list[str]:
        reached = select(literal(digest).label("digest")).cte("reached", recursive=True)
        # UNION without ALL ends at a cycle: equal bytes can be made from one another.
        reached = reached.union(select(far).where(self._is(LINEAGE), near == reached.c.digest))
        with self._reads() as connection:
            found: Iterable[str] = connection.execute(select(reached.c.digest)).scalars()
            return sorted(set(found) - {digest})


def _plain(made_by: MadeBy) -> dict[str, Any]:
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in vars(made_by).items()}


def _run(row: Row[Any]) -> RunRecord:
    names = RunRecord.__dataclass_fields__
    return RunRecord(**{name: value for name, value in row._mapping.items() if name in names})


def _now() -> datetime:
    return datetime.now(UTC)
