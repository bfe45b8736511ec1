"""What people decide of releases: a run approved or refused, an alias rolled back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection

from tunesmith.core.actor import Actor
from tunesmith.core.errors import Denied, RecipeError, StoreError
from tunesmith.governance.access import may
from tunesmith.lifecycle.model import find_model
from tunesmith.lifecycle.recorded import PLAIN, began_with
from tunesmith.lifecycle.release import Release, put_out
from tunesmith.lifecycle.run import tell_decision
from tunesmith.lifecycle.session import Session
from tunesmith.lifecycle.staleness import Staleness
from tunesmith.store import access, approvals, audit, registry
from tunesmith.store.approvals import Approval
from tunesmith.store.audit import Entry
from tunesmith.store.database import writing
from tunesmith.store.records import RunRecord
from tunesmith.store.verify_audit import verify

MOST_REASON_CHARS = 1000
STARTS = ("run.start", "run.resume")


@dataclass(frozen=True)
class Decided:
    """A run after a person spoke."""

    run: str
    status: str
    """done: released; denied: refused."""
    decision: str
    kind: str
    """exception: the gate had said no; release: the recipe asked for a person's word."""
    by: str
    reason: str
    is_alone: bool
    """Whoever approved had run it too, and nobody else could have."""
    model: str | None
    """``name@alias`` of what was released."""
    version: int | None
    report: str | None
    """The report, written anew with the decision; None where what it shows is gone."""
    why: str | None = None
    """Why the alias was not moved, where it was moved on from this version before."""

    def to_dict(self) -> dict[str, Any]:
        """The decision as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class RolledBack:
    """An alias that was moved back."""

    name: str
    alias: str
    version: int
    """Where it stands now."""
    was: int
    by: str
    reason: str
    stale: tuple[str, ...] = ()
    """The erasures of people from whose rows that version learned, if any."""

    def to_dict(self) -> dict[str, Any]:
        """The move as JSON values."""
        return asdict(self)


def approve(session: Session, run_id: str, reason: str, *, is_refused: bool = False) -> Decided:
    """Release what a run made though its gate, or its recipe, kept it back; or refuse it, for good reason.

    Raises: Denied where whoever speaks has run it as well and others could speak; RecipeError where there is nothing
        to decide.
    """
    reason = _reason(reason)
    run_id = run_id.removeprefix("run:")
    run = session.ledger.run(run_id)
    folder = session.workspace.run_folder(run_id)
    with session.workspace.lock(folder / "lock", wait=False):
        _check(run)
        # As the run began, and not as somebody, or a newer version's defaults, would have it by now.
        began = began_with(folder, run.recipe_digest)
        if began is None:
            raise StoreError(
                f"what the run `{run_id}` began with is not known any more", seen=folder / PLAIN, next="run it again"
            )
        name, alias = str(began["name"]), str(began["serve"]["alias"])
        released, word, is_alone = _decide(session, run, name, alias, reason, is_refused=is_refused)
        report = tell_decision(session, run_id, released)
    return Decided(
        run=run_id,
        status=released.status,
        decision=word.decision,
        kind=word.kind,
        by=word.by,
        reason=reason,
        is_alone=is_alone,
        model=released.reference,
        version=released.version,
        report=None if report is None else str(report),
        why=released.why,
    )


def rollback(session: Session, reference: str, reason: str, to: int | None = None) -> RolledBack:
    """Move an alias back to the version it stood on before, or to another that it ever stood on.

    Raises: RecipeError where it never stood there.
    """
    reason = _reason(reason)
    name, _, alias = reference.partition("@")
    if not alias or alias.isdigit():
        aliases = [one for version in session.ledger.models() if version.name == name for one in version.aliases]
        raise RecipeError(
            "what is rolled back is an alias",
            seen=reference,
            allowed=", ".join(f"{name}@{one}" for one in aliases) or "NAME@ALIAS",
            next=f"tunesmith rollback {name}@{aliases[0]} --reason TEXT" if aliases else None,
        )
    project, engine = session.ledger.project, session.ledger.engine
    with writing(engine) as connection:
        audit.lock(connection, project)
        stands = registry.find_version(connection, project, name, alias)
        moves = registry.moves_of(connection, project, name)
        goal = registry.before(moves, alias) if to is None else to
        stood = sorted({one.version for one in moves if one.alias == alias} - {stands.version})
        if goal is not None and goal not in stood:
            raise RecipeError(
                f"`{reference}` never stood on version {goal}" if goal != stands.version else "it stands there already",
                seen=goal,
                allowed=", ".join(map(str, stood)) or "none: it has stood on one version only",
                next=f"`tunesmith models` lists the versions of `{name}`",
            )
        if goal is None:
            raise RecipeError(
                f"`{reference}` has no version before this one",
                seen=f"version {stands.version} is the first that the alias stood on",
                allowed=f"--to {' or '.join(map(str, stood))}" if stood else None,
                next=f"`tunesmith models` lists the versions of `{name}`",
            )
        # Its bytes must still be there, and be what they were: an erasure may have taken them.
        find_model(session, f"{name}@{goal}")
        registry.set_alias(connection, project, name, alias, goal)
        details = {"version": goal, "previous": stands.version, "reason": reason}
        audit.append(connection, project, session.actor, "alias.rollback", f"{name}@{alias}", details)
    stale = Staleness(session).of(session.ledger.resolve(name, goal))
    erased = () if stale is None else stale.erasures
    return RolledBack(name, alias, goal, stands.version, session.actor.name, reason, erased)


def anchor_again(session: Session, reason: str) -> Entry:
    """Let the anchors go on from the ledger as it stands, and keep who wanted that, why, and what was wrong before."""
    reason = _reason(reason)
    project, engine = session.ledger.project, session.ledger.engine
    found = verify(engine, project)
    kinds = sorted({one.kind for one in found.problems})
    audit.anchor_anew(engine, project)
    with writing(engine) as connection:
        details = {"reason": reason, "problems": kinds, "entries": found.num_entries, "head": found.head}
        return audit.append(connection, project, session.actor, "audit.anchor", "audit", details)


def _decide(
    session: Session, run: RunRecord, name: str, alias: str, reason: str, *, is_refused: bool
) -> tuple[Release, Approval, bool]:
    """One transaction: the decision, its audit entry, the release and how the run stands.

    The release, the word, and whether whoever spoke was alone.
    """
    project, actor = session.ledger.project, session.actor
    digest = run.model_digest
    assert digest is not None  # _check has seen to it
    with writing(session.ledger.engine) as connection:
        audit.lock(connection, project)
        status = approvals.status_of(connection, project, run.id)
        if status != run.status:
            raise StoreError(f"the run `{run.id}` was decided meanwhile", seen=status)
        is_alone = _four_eyes(connection, project, actor, run.id)
        last = approvals.latest(connection, project, run.id, digest)
        kind: approvals.Kind = last.kind if last else "release" if status == "waiting" else "exception"
        decision: approvals.Decision = "refused" if is_refused else "approved"
        word = approvals.record(
            connection,
            project,
            run_id=run.id,
            model_digest=digest,
            kind=kind,
            decision=decision,
            by=actor.name,
            reason=reason,
        )
        details: dict[str, Any] = {"kind": kind, "reason": reason, "model": digest, "verdict": run.verdict}
        details |= {"alone": is_alone}
        audit.append(connection, project, actor, "refuse" if is_refused else "approve", run.id, details)
        approvals.settle(connection, project, run.id, "denied" if is_refused else "done")
        if is_refused:
            return Release(False, run.verdict or "", name, approval=word), word, is_alone
        return put_out(connection, project, actor, name, alias, run.id, digest, run.verdict, word), word, is_alone


def _check(run: RunRecord) -> None:
    """Refuse a run of which there is nothing to decide."""
    if run.status in ("waiting", "denied") and run.model_digest is not None:
        return
    if run.status == "done":
        raise RecipeError(
            f"the run `{run.id}` waits for nobody: it was released, or only evaluated",
            seen=f"status {run.status}",
            next=f"`tunesmith models` lists what is released; tunesmith resume {run.id} goes on to the release",
        )
    raise RecipeError(
        f"the run `{run.id}` has not come to its release decision",
        seen=f"status {run.status}",
        next=f"tunesmith resume {run.id}",
    )


def _four_eyes(connection: Connection, project: str, actor: Actor, run_id: str) -> bool:
    """Whether whoever approves a run of their own is alone with the workspace; others may not.

    Raises: Denied where somebody else is to look at it.
    """
    ran = audit.actors_of(connection, project, run_id, STARTS)
    if ran and actor.name not in ran:
        return False
    others = [
        user.name
        for user in access.active(connection, project)
        if user.name != actor.name and may(Actor(user.name, user.role), "approve")
    ]
    if actor.is_local and not others:
        return True
    if not ran:
        raise Denied(
            f"it is not on record who ran `{run_id}`, so nobody can be the second to look at it",
            next=f"tunesmith resume {run_id} puts it on record",
        )
    raise Denied(
        "who ran it may not approve it",
        seen=f"`{actor.name}` ran {run_id}",
        allowed=f"another approver: {', '.join(others[:10])}" if others else "another user whose role is approver",
        next=None if others else "tunesmith users add NAME --role approver",
    )


def _reason(reason: str) -> str:
    words = " ".join(reason.split())
    if not words or len(words) > MOST_REASON_CHARS or not words.isprintable():
        raise RecipeError(
            "a decision needs its reason",
            seen=f"{len(words)} characters" if words.isprintable() else "characters that cannot be shown",
            allowed=f"1 to {MOST_REASON_CHARS} characters",
            next='--reason "customer asked for it, ticket 4711"',
        )
    return words
