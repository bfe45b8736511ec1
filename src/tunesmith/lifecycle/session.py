"""A session: an open workspace and ledger, and who listens and may cancel."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tunesmith.core.events import Listener
from tunesmith.store.ledger import Ledger
from tunesmith.store.workspace import Workspace


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


@contextmanager
def open_session(
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Iterator[Session]:
    """A session on the workspace at ``home`` (``TUNESMITH_HOME``, or ``./.tunesmith``), closed in the end."""
    workspace = Workspace.open(home, project)
    with Ledger.open(workspace.ledger_url, project) as ledger:
        yield Session(workspace, ledger, listener or _silence, cancel or threading.Event())
