"""Who acts: a name with a role."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from typing import Literal

from tunesmith.core.errors import TunesmithError

Role = Literal["viewer", "engineer", "approver", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "engineer", "approver", "admin")
LOCAL = "local:"
"""Begins the names of those who act on the machine itself; a user's name holds no colon, so none can take one."""


@dataclass(frozen=True)
class Actor:
    """A person or program with a role; what the role allows is ``governance.access``."""

    name: str
    role: Role
    key_id: str | None = None
    """The key by which it came; None on the machine itself."""

    @property
    def is_local(self) -> bool:
        """Whether this is the login that owns the workspace, and could write the ledger without us."""
        return self.name.startswith(LOCAL)


def local_owner() -> Actor:
    """The login of this process, with every right."""
    try:
        login = getpass.getuser()
    except (OSError, KeyError):
        # A container's number without a name.
        login = "unknown"
    return Actor(LOCAL + login, "admin")


def named(actor: Actor | str) -> str:
    """The name under which an actor is recorded."""
    name = actor if isinstance(actor, str) else actor.name
    if not name or len(name) > 200:
        raise TunesmithError("whoever acts has a name of 1 to 200 characters", seen=name[:50])
    return name
