"""Connections to databases that can only read, and their failures in words that help."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import URL, Connection, CursorResult, Engine, Select, TableClause
from sqlalchemy.pool import NullPool

from tunesmith.core.errors import DataError
from tunesmith.data.sources import sql_url
from tunesmith.data.sources.files import require_file
from tunesmith.data.sources.text import decode_line

TIMEOUT_ARGUMENTS = {"psycopg": "connect_timeout", "psycopg2": "connect_timeout", "pymysql": "connect_timeout",
                     "mysqldb": "connect_timeout", "pg8000": "timeout", "pysqlite": "timeout"}  # fmt: skip
EXTRAS = {"postgresql": "postgres"}
UNKNOWN_NAME = re.compile(
    r"""no\ such\ (?P<kind1>table|column):\ (?P<name1>[\w.]+)          # SQLite
      | (?P<kind2>relation|column)\ "?(?P<name2>[\w.]+)"?\ does\ not\ exist  # PostgreSQL
      | Unknown\ (?P<kind3>column)\ '(?P<name3>[\w.]+)'                # MySQL
      | (?P<kind4>Table)\ '(?P<name4>[\w.]+)'\ doesn't\ exist """,
    re.VERBOSE,
)


@dataclass
class Database:
    """An open, read-only connection."""

    connection: Connection
    url: URL
    source: str
    secrets: tuple[str, ...] = field(repr=False)

    @property
    def dialect(self) -> str:
        """The database's name as SQLAlchemy calls it: ``postgresql``, ``sqlite``."""
        return self.connection.dialect.name

    def stream(self, statement: str | Select[Any], num_rows: int) -> CursorResult[Any]:
        """The result of a statement, drawn ``num_rows`` at a time; a query's text goes to the driver untouched."""
        if self.dialect == "postgresql":
            # Else a scan of a large table may start in its middle, and the same rows come in another order each time.
            self.connection.exec_driver_sql("SET LOCAL synchronize_seqscans = off")
        options = {"stream_results": True, "max_row_buffer": num_rows}
        if isinstance(statement, str):
            # no_parameters: else psycopg takes every % of a LIKE for a placeholder.
            return self.connection.exec_driver_sql(statement, execution_options={**options, "no_parameters": True})
        return self.connection.execute(statement, execution_options=options)

    def drawn(self, result: CursorResult[Any], num_rows: int) -> Iterator[Any]:
        """The rows of a result one by one, a lost connection explained."""
        num_done = 0
        while True:
            with self.explained(None, num_done):
                rows = result.fetchmany(num_rows)
            if not rows:
                return
            yield from rows
            num_done += len(rows)

    @contextmanager
    def explained(self, query: str | None, num_done: int = 0) -> Iterator[None]:
        """Turn a driver's errors into ``DataError``; never chained, since they can hold secrets and rows."""
        try:
            yield
        except _failures(self.connection.engine) as error:
            raise self._error(error, query, num_done) from None

    def _error(self, error: Exception, query: str | None, num_done: int) -> DataError:
        message = _message(error, self.secrets)
        match = UNKNOWN_NAME.search(message)
        if match is not None:
            self.connection.rollback()
            name = next(value for key, value in match.groupdict().items() if key.startswith("name") and value)
            is_column = "column" in match.group().lower()
            kind, known = ("column", self._columns(query or "")) if is_column else ("table", tables(self.connection))
            near = difflib.get_close_matches(name.rpartition(".")[2], known, n=3, cutoff=0.5)
            return DataError(
                f"source `{self.source}`: the database has no {kind} `{name}`",
                seen=(query or "")[:200] or name,
                allowed=", ".join(near or known[:20]) or None,
                next=f"did you mean `{near[0]}`?" if near else f"correct the {kind} in the query",
            )
        is_lost = num_done or getattr(error, "connection_invalidated", False)
        return DataError(
            f"source `{self.source}`: the database " + ("stopped answering" if is_lost else "refused the query"),
            seen=f"{sql_url.shown(self.url)}: {message}" + (f" (after {num_done} rows)" if num_done else ""),
            next="see that the server is up, and run the command again" if is_lost else "correct `query` of the source",
        )

    def _columns(self, query: str) -> list[str]:
        """The columns of the tables that a query names."""
        try:
            inspector = sqlalchemy.inspect(self.connection)
            named = set(re.findall(r"\w+", query.lower()))
            found = [name for name in tables(self.connection) if name.lower() in named]
            return [column["name"] for table in found for column in inspector.get_columns(table)]
        except sqlalchemy.exc.SQLAlchemyError:
            return []


@contextmanager
def connected(url: str, *, source: str, timeout_s: int) -> Iterator[Database]:
    """A read-only connection, closed and rolled back at the end.

    Raises: DataError when the driver is missing or the database cannot be reached.
    """
    parsed, secrets = sql_url.resolve(url, source=source)
    if parsed.get_backend_name() == "sqlite":
        parsed = _existing_file(parsed, source)
    engine = _engine(parsed, source, timeout_s, secrets)
    try:
        try:
            connection = engine.connect()
            _forbid_writing(connection)
        except _failures(engine) as error:
            raise _unreachable(error, parsed, source, secrets) from None
        try:
            yield Database(connection, parsed, source, secrets)
        finally:
            connection.close()
    finally:
        engine.dispose()


def _engine(url: URL, source: str, timeout_s: int, secrets: tuple[str, ...]) -> Engine:
    try:
        driver = url.get_dialect().driver
        argument = TIMEOUT_ARGUMENTS.get(driver)
        given = {argument: timeout_s} if argument and argument not in url.query else {}
        return sqlalchemy.create_engine(url, poolclass=NullPool, connect_args=given)
    except (ModuleNotFoundError, sqlalchemy.exc.NoSuchModuleError) as error:
        backend = url.get_backend_name()
        if isinstance(error, ModuleNotFoundError):
            what, seen = f"the driver for {backend} is not installed", f"no module `{error.name}`"
            install = f"'tunesmith[{EXTRAS[backend]}]'" if backend in EXTRAS else str(error.name)
            way_out = f"pip install {install}"
        else:
            what, seen = f"SQLAlchemy knows no database `{backend}`", url.drivername
            way_out = "correct the beginning of `url`, or install the package that adds this database to SQLAlchemy"
        raise DataError(f"source `{source}`: {what}", seen=seen, next=way_out) from None
    except (sqlalchemy.exc.SQLAlchemyError, TypeError, ValueError) as error:
        raise _unreachable(error, url, source, secrets) from None


def _existing_file(url: URL, source: str) -> URL:
    """A SQLite URL that opens the file for reading only; a file that is not there is an error, not a new database."""
    name = (url.database or "").removeprefix("file:").split("?", 1)[0]
    if name in ("", ":memory:"):
        raise DataError(
            f"source `{source}`: a SQLite database in memory is always empty",
            seen=sql_url.shown(url),
            next="name the file: sqlite:///crm.db (relative), sqlite:////data/crm.db (absolute)",
        )
    path = require_file(Path(name), source=source).absolute()
    return url.set(database=path.as_uri(), query={"mode": "ro", "uri": "true"})


def _forbid_writing(connection: Connection) -> None:
    """Make the database itself refuse changes where it can; nothing is ever committed anyway."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA query_only = ON")
        # A database may hold text that is not UTF-8; sqlite3 would stop at the first such cell.
        raw: Any = connection.connection.dbapi_connection
        raw.text_factory = decode_line
        # Opening is lazy: the first look at the file tells whether it is a database at all.
        connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()
    elif connection.dialect.name == "postgresql":
        connection.execution_options(postgresql_readonly=True)


def tables(connection: Connection, schema: str | None = None) -> list[str]:
    """The names of a schema's tables and views, sorted."""
    try:
        inspector = sqlalchemy.inspect(connection)
        return sorted({*inspector.get_table_names(schema), *inspector.get_view_names(schema)})
    except sqlalchemy.exc.SQLAlchemyError:
        return []


def find_table(connection: Connection, wanted: str, *, source: str) -> tuple[str, str | None]:
    """The catalogue's name and schema of a table or view; ``schema.table`` is understood.

    Raises: DataError with the nearest names.
    """
    if wanted in tables(connection):
        return wanted, None
    schema, _, name = wanted.rpartition(".")
    schemas = sqlalchemy.inspect(connection).get_schema_names()
    if schema in schemas and name in tables(connection, schema):
        return name, schema
    known = tables(connection) + [
        f"{one}.{table}"
        for one in schemas
        if one not in ("information_schema", "pg_catalog", "main")
        for table in tables(connection, one)
    ]
    near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.5)
    raise DataError(
        f"source `{source}`: the database has no table `{wanted}`",
        seen=wanted,
        allowed=", ".join(near or known[:20]) or "nothing: it holds no tables",
        next=f"did you mean `table: {near[0]}`?" if near else "correct `table` of the source",
    )


def reflected(connection: Connection, wanted: str, *, source: str) -> tuple[TableClause, list[str]]:
    """A table with the columns that the database's own catalogue gives it, and those of its primary key.

    Columns without types: typed ones would make SQLAlchemy parse dates and fail on dirty ones.
    """
    name, schema = find_table(connection, wanted, source=source)
    inspector = sqlalchemy.inspect(connection)
    with warnings.catch_warnings():
        # The types are not used, so one that SQLAlchemy does not know is no news.
        warnings.simplefilter("ignore", sqlalchemy.exc.SAWarning)
        names = [column["name"] for column in inspector.get_columns(name, schema=schema)]
    keys = inspector.get_pk_constraint(name, schema=schema)["constrained_columns"]
    return sqlalchemy.table(name, *(sqlalchemy.column(one) for one in names), schema=schema), list(keys)


def _unreachable(error: Exception, url: URL, source: str, secrets: tuple[str, ...]) -> DataError:
    if url.get_backend_name() == "sqlite":
        way_out = "name a SQLite file that this user may read"
    else:
        way_out = "start the server, or correct host, port, user and password in `url` (or in the variable it names)"
    return DataError(
        f"source `{source}`: the database cannot be reached",
        seen=f"{sql_url.shown(url)}: {_message(error, secrets)}",
        next=way_out,
    )


def _failures(engine: Engine) -> tuple[type[Exception], ...]:
    """What a database can raise: some drivers' errors reach us unwrapped."""
    return sqlalchemy.exc.SQLAlchemyError, engine.dialect.loaded_dbapi.Error


def _message(error: Exception, secrets: tuple[str, ...]) -> str:
    """The driver's own first line, without SQLAlchemy's repetition of the statement and without secrets."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return sql_url.scrubbed(lines[0] if lines else type(error).__name__, secrets)[:500]
