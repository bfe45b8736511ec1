"""The release decision: a model that its gate, and where asked for a person, let pass gets a version and the alias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection

from tunesmith.core.actor import Actor
from tunesmith.core.artifact import Artifact
from tunesmith.lifecycle.session import Session
from tunesmith.store import approvals, audit, registry, retrainings
from tunesmith.store.approvals import Approval
from tunesmith.store.database import writing
from tunesmith.store.paths import slug
from tunesmith.store.retrainings import Retraining

Needed = Literal["none", "required"]


@dataclass(frozen=True)
class Release:
    """What was decided."""

    is_released: bool
    verdict: str
    """better, not shown or worse."""
    name: str
    version: int | None = None
    alias: str | None = None
    """None where the alias was moved on, or back, after this run had released."""
    is_waiting: bool = False
    """The gate is passed, and a person's word is asked for."""
    why: str | None = None
    """Why a person's word is asked for, where the recipe does not ask for it; or why the alias was not moved."""
    approval: Approval | None = None
    """The last word of a person on this model, where there is one."""

    @property
    def reference(self) -> str | None:
        """How the model is named from now on: ``name@alias``, or ``name@version``."""
        return f"{self.name}@{self.alias or self.version}" if self.is_released else None

    @property
    def status(self) -> Literal["done", "waiting", "denied"]:
        """How the run stands."""
        return "done" if self.is_released else "waiting" if self.is_waiting else "denied"


def release(
    session: Session, name: str, alias: str, run_id: str, model: Artifact, report: Artifact, needed: Needed = "none"
) -> Release:
    """Register the model under its name and move the alias to it, where gate and people allow it.

    All of it in one transaction with its audit entry. The same bytes never get a second version: running a recipe
    again leaves the registry as it is. A challenger whose champion is no longer the one in production was measured
    against another model than it would replace: a person decides.
    """
    gate, project = report.facts["gate"], session.ledger.project
    verdict: str = gate["verdict"]
    retraining = retrainings.find(session.ledger.engine, project, run_id)
    with writing(session.ledger.engine) as connection:
        audit.lock(connection, project)
        word = approvals.latest(connection, project, run_id, model.digest)
        if word is not None and word.decision == "refused":
            return Release(False, verdict, name, approval=word)
        if not gate["passed"] and word is None:
            return Release(False, verdict, name)
        if needed == "required" and word is None:
            return Release(False, verdict, name, is_waiting=True)
        overtaken = None if word else _overtaken(connection, project, name, alias, model.digest, retraining)
        if overtaken is not None:
            return Release(False, verdict, name, is_waiting=True, why=overtaken)
        return put_out(connection, project, session.actor, name, alias, run_id, model.digest, verdict, word)


def _overtaken(
    connection: Connection, project: str, name: str, alias: str, digest: str, retraining: Retraining | None
) -> str | None:
    """Which other model than its champion a challenger would take the alias from; None where it is the champion, or
    the challenger was released already."""
    if retraining is None or retraining.name != name:
        return None
    known = [one for one in registry.versions_of(connection, project) if one.name == name]
    stands = next((one for one in known if alias in one.aliases), None)
    if stands is None or stands.version == retraining.from_version or any(one.digest == digest for one in known):
        return None
    return f"measured against {name}@{retraining.from_version}, and {name}@{alias} is version {stands.version} now"


def put_out(
    connection: Connection,
    project: str,
    actor: Actor,
    name: str,
    alias: str,
    run_id: str,
    digest: str,
    verdict: str | None,
    word: Approval | None,
) -> Release:
    """Give a model its version and the alias, in the caller's transaction.

    A model is released once: the same recipe run again does not take the alias from what was released, or rolled back,
    since; only `rollback` goes back.
    """
    version = registry.register(connection, project, slug(name, "model name"), digest, run_id, verdict)
    found = registry.find_version(connection, project, name, version)
    moves = registry.moves_of(connection, project, name)
    was_here = any((one.alias, one.version) == (alias, version) for one in moves)
    is_here = alias in found.aliases
    if not is_here and not was_here:
        previous = registry.set_alias(connection, project, name, alias, version)
        details: dict[str, Any] = {"version": version, "previous": previous, "model": digest, "run": run_id}
        details |= {"verdict": verdict, "approval": word.words if word else None}
        audit.append(connection, project, actor, "release", f"{name}@{alias}", details)
        is_here = True
    why = None if is_here else _stays(connection, project, name, alias, version)
    return Release(True, verdict or "", name, version, alias if is_here else None, why=why, approval=word)


def _stays(connection: Connection, project: str, name: str, alias: str, version: int) -> str:
    """Where an alias stays that was moved on from a version, and what brings it back there."""
    stands = registry.find_version(connection, project, name, alias).version
    back = f"`tunesmith rollback {name}@{alias} --to {version} --reason TEXT` brings that back"
    return f"{name}@{alias} stays on version {stands}, for it was moved on from version {version}; {back}"
