"""Verbs of who may do what: users, approvals, the audit chain, sources that were withdrawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.verbs.opening import acting

if TYPE_CHECKING:
    from datetime import datetime

    from tunesmith.core.actor import Role
    from tunesmith.lifecycle.approve import Decided, RolledBack
    from tunesmith.lifecycle.erase import Erased
    from tunesmith.store.access import Key, NewKey, User
    from tunesmith.store.audit import Entry
    from tunesmith.store.verify_audit import Verified
    from tunesmith.store.withdrawals import Withdrawal


def erase(
    subject: str,
    reason: str,
    *,
    also: Sequence[str] = (),
    is_dry_run: bool = False,
    home: Path | str | None = None,
    project: str = "default",
) -> Erased:
    """Take a person out of everything a project holds, name the models that learned from them, and write a proof.

    ``also``: other texts that stand for the person, to be blacked out in rows of others.
    """
    from tunesmith.lifecycle.erase import erase as take_out

    with acting("erase", home, project) as session:
        return take_out(session, subject, reason, also=also, is_dry_run=is_dry_run)


def withdraw(
    source: str,
    purpose: str = "",
    *,
    is_permitted: bool = False,
    home: Path | str | None = None,
    project: str = "default",
) -> list[Withdrawal]:
    """Let no run use the rows of a source, for a purpose or any; ``is_permitted`` takes that back. All that stand."""
    from tunesmith.lifecycle.permission import withdraw as put_down

    with acting("withdraw", home, project) as session:
        return put_down(session, source, purpose, is_permitted=is_permitted)


def approve(
    run: str, reason: str, *, is_refused: bool = False, home: Path | str | None = None, project: str = "default"
) -> Decided:
    """Release what a run made though its gate said no or its recipe waits for a person, or refuse it."""
    from tunesmith.lifecycle.approve import approve as decide

    with acting("approve", home, project) as session:
        return decide(session, run, reason, is_refused=is_refused)


def rollback(
    reference: str, reason: str, to: int | None = None, *, home: Path | str | None = None, project: str = "default"
) -> RolledBack:
    """Move ``name@alias`` back to the version it stood on before, or ``to`` another that it ever stood on."""
    from tunesmith.lifecycle.approve import rollback as move_back

    with acting("rollback", home, project) as session:
        return move_back(session, reference, reason, to)


def users(*, home: Path | str | None = None, project: str = "default") -> list[User]:
    """Every user of the project with what is known of its keys."""
    from tunesmith.store import access

    with acting("users", home, project) as session:
        return access.users(session.ledger.engine, session.ledger.project)


def add_user(name: str, role: Role, *, home: Path | str | None = None, project: str = "default") -> User:
    """A new user of the project."""
    from tunesmith.store import access

    with acting("add_user", home, project) as session:
        return access.add_user(session.ledger.engine, session.ledger.project, session.actor, name, role)


def disable_user(name: str, *, home: Path | str | None = None, project: str = "default") -> User:
    """Take a user's rights and revoke its keys."""
    from tunesmith.store import access

    with acting("disable_user", home, project) as session:
        return access.disable_user(session.ledger.engine, session.ledger.project, session.actor, name)


def make_key(
    user: str, expires: datetime | None = None, *, home: Path | str | None = None, project: str = "default"
) -> NewKey:
    """A new key of a user: this is the only time that it is told."""
    from tunesmith.store import access

    with acting("make_key", home, project) as session:
        return access.make_key(session.ledger.engine, session.ledger.project, session.actor, user, expires)


def revoke_key(key_id: str, *, home: Path | str | None = None, project: str = "default") -> Key:
    """Let a key count no more."""
    from tunesmith.store import access

    with acting("revoke_key", home, project) as session:
        return access.revoke_key(session.ledger.engine, session.ledger.project, session.actor, key_id)


def audit_entries(
    *,
    last: int | None = None,
    target: str | None = None,
    action: str | None = None,
    home: Path | str | None = None,
    project: str = "default",
) -> list[Entry]:
    """Who did what, the oldest first: the last so many, of one target, of one action."""
    from tunesmith.store import audit

    with acting("audit_entries", home, project) as session:
        return audit.entries(session.ledger.engine, session.ledger.project, last=last, target=target, action=action)


def audit_verify(*, home: Path | str | None = None, project: str = "default") -> Verified:
    """Whether the audit chain is as it was written, and every place where it is not."""
    from tunesmith.store.verify_audit import verify

    with acting("audit_verify", home, project) as session:
        return verify(session.ledger.engine, session.ledger.project)


def audit_anchor(reason: str, *, home: Path | str | None = None, project: str = "default") -> Entry:
    """Anchor the chain as it stands now, after a backup was brought back or a second place was named; audited."""
    from tunesmith.lifecycle.approve import anchor_again

    with acting("audit_anchor", home, project) as session:
        return anchor_again(session, reason)
