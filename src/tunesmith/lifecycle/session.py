"""A session: an open workspace and ledger, and who listens and may cancel."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tunesmith.core.actor import Actor, local_owner
from tunesmith.core.events import Listener
from tunesmith.store import access
from tunesmith.store.anchors import Custody
from tunesmith.store.ledger import Ledger
from tunesmith.store.workspace import Workspace

KEY_VARIABLE = "TUNESMITH_KEY"
"""Holds the key of whoever acts; without, it is the login that owns the workspace. No option: those are seen in the
list of processes."""


def _silence(event: object) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Session:
    """What every verb works with."""

    workspace: Workspace
    ledger: Ledger
    listener: Listener = _silence
    cancel: threading.Event = field(default_factory=threading.Event)
    """Set it, from another thread or a signal handler, to stop the work so that it can be resumed."""
    actor: Actor = field(default_factory=local_owner)
    """Whoever acts: the login that owns the workspace, or the user of ``TUNESMITH_KEY``."""


@contextmanager
def open_session(
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
    *,
    may_begin: bool = True,
) -> Iterator[Session]:
    """A session on the workspace at ``home`` (``TUNESMITH_HOME``, or ``./.tunesmith``), closed in the end.

    ``may_begin``: whether a project that is not there is begun.
    Raises: StoreError where the project has a history and the ledger is gone, or is not there and may not be begun,
    Unauthenticated where ``TUNESMITH_KEY`` holds a key that does not count.
    """
    workspace = Workspace.at(home, project)
    custody = Custody.of(workspace.root)
    url, traces = workspace.ledger_url, workspace.traces
    with Ledger.open(url, project, custody, traces=traces, may_begin=may_begin) as ledger:
        # After the ledger was asked: a name that no project has leaves no folder either.
        workspace.make()
        key = os.environ.get(KEY_VARIABLE)
        actor = access.authenticate(ledger.engine, project, key) if key else local_owner()
        yield Session(workspace, ledger, listener or _silence, cancel or threading.Event(), actor)
