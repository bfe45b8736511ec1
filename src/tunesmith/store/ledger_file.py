"""The SQLite file of a ledger: the one that was opened, and no other that comes to lie at its path.

A file that is renamed or deleted is read and written on through the connections that are open, and SQLite says
nothing: what is acknowledged then would lie where nobody looks. So each transaction looks whether the file at the path
is the one that was opened, and a commit counts once it was looked at again. The same holds for the log beside it
(``-wal``), where commits are until SQLite moves them over.

Another file at the path is never gone on with: it would be read together with the log of the one before.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, event

from tunesmith.core.errors import LedgerDown

_FILE = "tunesmith_file"
_LOG = "tunesmith_log"
Identity = tuple[int, int]


class LedgerFile:
    """Which file an engine has opened; ``check`` says whether it is still there."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._log = self.path.with_name(f"{self.path.name}-wal")
        self._opened: Identity | None = None

    @property
    def is_blank(self) -> bool:
        """Whether nothing is there: told without opening it, which would make it."""
        return not self.path.exists() or self.path.stat().st_size == 0

    def watch(self, engine: Engine) -> None:
        """Let the engine's transactions ask whether the file is there; after its other listeners for `connect`."""
        engine.update_execution_options(**{_FILE: self})
        event.listen(engine, "do_connect", self._before_connect)
        event.listen(engine, "connect", self._connected)

    def check(self, info: dict[Any, Any]) -> None:
        """Look whether the file and the log that a connection reads and writes are those at the path.

        Raises: LedgerDown where they are not.
        """
        self._check_file()
        if _identity(self._log) != info.get(_LOG):
            # SQLite moves what the log holds into the ledger as the last connection is closed.
            way_out = "stop this process with SIGTERM or Ctrl-C and start it again: it puts back what the log held"
            raise LedgerDown("the ledger's log was taken away while it was open", seen=self._log, next=way_out)

    def _check_file(self) -> None:
        found = _identity(self.path)
        if found == self._opened:
            return
        if found is None:
            what, way_out = "the ledger's file was moved or deleted while it was open", "put it back"
        else:
            what, way_out = "another file lies where the ledger was", "put back the one that was opened"
        raise LedgerDown(
            what,
            seen=self.path,
            next=f"{way_out}, and the work goes on; to put in a backup, stop every process of this workspace first, "
            "and put its -wal file in with it or take the old one away",
        )

    def _before_connect(self, dialect: Any, record: Any, words: list[Any], options: dict[str, Any]) -> None:
        if self._opened is not None:
            self._check_file()
        # Made by the first connection alone: a later one would make an empty ledger where one was taken away.
        mode = "rwc" if self._opened is None else "rw"
        words[:1] = [f"file:{quote(os.fsencode(self.path))}?mode={mode}"]
        options["uri"] = True

    def _connected(self, connection: Any, record: Any) -> None:
        # Reads, so that the log is opened as well, and kept for as long as the connection is.
        connection.execute("PRAGMA schema_version").fetchall()
        if self._opened is None:
            self._opened = _identity(self.path)
        self._check_file()
        record.info[_LOG] = _identity(self._log)


def file_of(place: Engine | Connection) -> LedgerFile | None:
    """The file of a ledger; None where it is on a server or in memory."""
    found: LedgerFile | None = place.get_execution_options().get(_FILE)
    return found


def path_of(url: URL) -> Path | None:
    """The path of the file that a URL names; None where it names none."""
    named = url.database or ""
    is_file = url.get_backend_name() == "sqlite" and named not in ("", ":memory:") and not named.startswith("file:")
    return Path(named) if is_file else None


def _identity(path: Path) -> Identity | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
