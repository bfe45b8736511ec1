"""A real PostgreSQL server for tests: in a folder of its own, reached through a socket in it, gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PASSWORD = "s3cret/p@ss word"
PASSWORD_VARIABLE = "TUNESMITH_TEST_PG_PASSWORD"
USER = "tester"


def binary(name: str) -> Path | None:
    """Where a program of PostgreSQL is: the newest installed version, else the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which(name)
    return found[-1] if found else Path(on_path) if on_path else None


class PostgresServer:
    """A server that can be stopped and started within a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        # PostgreSQL refuses to run as root.
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._as_user = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(folder, "postgres", "postgres")

    @property
    def url(self) -> str:
        """The URL as a recipe writes it: the password is a reference."""
        return f"postgresql://{USER}:${{env:{PASSWORD_VARIABLE}}}@/postgres?host={self.folder}"

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped since."""
        return (self.data / "postmaster.pid").exists()

    def make(self) -> None:
        """Make the cluster."""
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run(
            "initdb", "-D", str(self.data), "-U", USER, "--auth=scram-sha-256", f"--pwfile={secret}",
            "--encoding=UTF8", "--locale=C", "--no-sync",
        )  # fmt: skip

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c fsync=off -c max_connections=20"
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(self.data), "-w", "-t", "60", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """Stop the server at once, whoever is connected."""
        if self.is_running:
            self._run("pg_ctl", "-D", str(self.data), "-w", "-m", "immediate", "stop")

    def execute(self, *statements: str, rows: list[tuple[Any, ...]] | None = None) -> None:
        """Run statements; with ``rows`` the last one once for each of them."""
        import psycopg

        with psycopg.connect(
            host=str(self.folder), user=USER, password=PASSWORD, dbname="postgres", autocommit=rows is None
        ) as connection:
            cursor = connection.cursor()
            for statement in statements[: None if rows is None else -1]:
                cursor.execute(statement)
            if rows is not None:
                cursor.executemany(statements[-1], rows)

    def _run(self, program: str, *arguments: str) -> None:
        path = binary(program)
        assert path is not None
        done = subprocess.run(
            [str(path), *arguments], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, **self._as_user,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def postgres_session() -> Iterator[PostgresServer]:
    """The server of this test session."""
    if binary("initdb") is None or binary("pg_ctl") is None:
        pytest.skip("no PostgreSQL server is installed (initdb and pg_ctl were not found)")
    pytest.importorskip("psycopg", reason="the PostgreSQL driver is not installed")
    # Not below pytest's own folder: that one is closed to other users, and too deep for a socket's name.
    with tempfile.TemporaryDirectory(prefix="tspg", dir="/tmp", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder))
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def postgres(postgres_session: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresServer]:
    """A running server with an empty database, and its password in the environment."""
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    if not postgres_session.is_running:  # the test before had stopped it
        postgres_session.start()
    postgres_session.execute("DROP SCHEMA IF EXISTS public CASCADE", "CREATE SCHEMA public")
    yield postgres_session
