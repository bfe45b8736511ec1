"""The keys that a server asks for: those its projects' ledgers know, and the first one of a project that has none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tunesmith.core.errors import RecipeError, Unauthenticated
from tunesmith.lifecycle.session import Session
from tunesmith.server.auth import Caller
from tunesmith.store import access
from tunesmith.store.files import write_bytes

OWNER = "owner"
"""The user whose key the first ``serve`` makes."""


class LedgerKeys:
    """The keys of the served projects, as their ledgers know them."""

    def __init__(self, sessions: Mapping[str, Session]) -> None:
        self._sessions = sessions

    def find(self, key: str) -> Caller | None:
        """Whose key it is; None where it counts in no served project."""
        for project, session in self._sessions.items():
            try:
                return Caller(project, access.authenticate(session.ledger.engine, project, key))
            except Unauthenticated:
                continue
        return None


def require_keys(sessions: Mapping[str, Session]) -> None:
    """Refuse a server that others than this machine could ask.

    Raises: RecipeError where a project has no key.
    """
    for project, session in sessions.items():
        if not _has_key(session):
            raise RecipeError(
                "a server that others can reach needs keys, and there is none",
                seen=f"project {project}: no key",
                next="tunesmith users add NAME --role engineer, then tunesmith users key NAME; or serve on 127.0.0.1",
            )


def made_keys(sessions: Mapping[str, Session]) -> dict[str, tuple[str, Path]]:
    """Keys that had to be made, by project: each with its file."""
    return {project: _owner_key(session) for project, session in sessions.items() if not _has_key(session)}


def _has_key(session: Session) -> bool:
    users = access.users(session.ledger.engine, session.workspace.project)
    return any(key.revoked is None for user in users if user.disabled is None for key in user.keys)


def _owner_key(session: Session) -> tuple[str, Path]:
    engine, project = session.ledger.engine, session.workspace.project
    if not any(user.name == OWNER for user in access.users(engine, project)):
        access.add_user(engine, project, session.actor, OWNER, "admin")
    key = access.make_key(engine, project, session.actor, OWNER).key
    file = session.workspace.folder / "owner.key"
    write_bytes(file, f"{key}\n".encode(), mode=0o600)
    return key, file
