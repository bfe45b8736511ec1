"""The ledger's database: connections, transactions, and its schema brought up to date."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError, StatementError

from tunesmith.core.errors import LedgerDown, StoreError
from tunesmith.store.ledger_file import LedgerFile, file_of, path_of
from tunesmith.store.tables import HEAD

BUSY_TIMEOUT_S = 30
_ADVISORY_LOCK = 7_305_417_131
_WRITES = "tunesmith_writes"
_LATER = "tunesmith_later"


def connect(url: str) -> Engine:
    """An engine for SQLite or PostgreSQL; nothing is opened yet."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            engine = create_engine(parsed, json_serializer=_dumps, connect_args={"timeout": BUSY_TIMEOUT_S})
            event.listen(engine, "connect", _prepare_sqlite)
            if path := path_of(parsed):
                LedgerFile(path).watch(engine)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        return create_engine(parsed, json_serializer=_dumps, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(
            "the ledger's URL cannot be used",
            seen=error,
            allowed="sqlite:///path/ledger.db or postgresql://user@host/database",
            next="for PostgreSQL: pip install 'tunesmith[postgres]'",
        ) from error


def _dumps(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise StoreError("a value cannot be recorded in the ledger", seen=error, allowed="JSON without NaN") from error


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that sees one state of the ledger.

    Raises: LedgerDown where the ledger cannot be asked.
    """
    with told(engine), engine.begin() as connection:
        if file := file_of(engine):
            file.check(connection.info)
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes: all of it, or nothing; what ``after_commit`` was given is done once it is durable.

    Raises: LedgerDown where the ledger cannot be asked, or was taken away meanwhile: then nothing counts as written.
    """
    later: dict[str, Callable[[], None]] = {}
    file = file_of(engine)
    with told(engine), engine.execution_options(**{_WRITES: True, _LATER: later}).begin() as connection:
        if file:
            file.check(info := connection.info)
        yield connection
    if file:
        file.check(info)
    for work in later.values():
        work()


def after_commit(connection: Connection, name: str, work: Callable[[], None]) -> bool:
    """Have something done once the transaction of ``writing`` is committed; whether it is the first of this name.

    Of one name, the latest alone is done.
    """
    later = connection.get_execution_options().get(_LATER)
    if later is None:
        raise StoreError("this is recorded in a transaction that writes", seen="one that reads")
    is_first = name not in later
    later[name] = work
    return is_first


def insert_new(connection: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert a row unless its key is there; whether it was inserted."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    # Not by rowcount: PostgreSQL's driver gives none for an INSERT.
    statement = insert(table).values(dict(values)).on_conflict_do_nothing().returning(*table.primary_key)
    return connection.execute(statement).first() is not None


def is_blank(engine: Engine) -> bool:
    """Whether no ledger was ever made there; a file that is not there stays so."""
    file = file_of(engine)
    if file and file.is_blank:
        return True
    with reading(engine) as connection:
        return _version(connection) is None


def upgrade(engine: Engine) -> None:
    """Bring the schema to the newest version; openers at the same time wait for the first."""
    with reading(engine) as connection:
        if _version(connection) == HEAD:
            return
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
        if _version(connection) != HEAD:
            _migrate(connection)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("select version_num from alembic_version")).scalar()


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(
            "the ledger was written by another version of tunesmith",
            seen=f"schema {_version(connection)}",
            allowed=f"schema {HEAD} or older",
            next="pip install --upgrade tunesmith",
        ) from error


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver would begin transactions on its own, too late for reads and not at all for DDL.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        cursor.execute("PRAGMA journal_mode=WAL")
    # A commit that was acknowledged survives a power cut as well.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A reader that turns writer is refused at once when another writes; whoever means to write says so and waits.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def told(engine: Engine) -> Iterator[None]:
    """Turns the database's errors into the store's, with the cause and the way out."""
    try:
        yield
    except StatementError as error:
        if isinstance(error.orig, StoreError):
            raise error.orig from error
        cause = str(error.orig or error).strip()
        place = engine.url.render_as_string(hide_password=True)
        if "locked" in cause:
            way_out = f"another process has been writing for over {BUSY_TIMEOUT_S} s: wait for it, or stop it"
        elif "not a database" in cause or "malformed" in cause:
            way_out = "bring the ledger back from a backup; the blobs beside it are not affected"
        else:
            way_out = "check that the database is up, writable and has space, then run the same command again"
        raise LedgerDown(f"the ledger {place} cannot be used", seen=cause, next=way_out) from error
    except SQLAlchemyError as error:
        raise LedgerDown("the ledger cannot be used", seen=error, next="check that the database is up") from error
