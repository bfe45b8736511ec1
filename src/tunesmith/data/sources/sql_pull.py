"""A table or query at one moment: all of it, what changed, and its index, from one snapshot."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

import sqlalchemy
from sqlalchemy import ColumnElement, Connection, FromClause, Select, TableClause, TextClause

from tunesmith.core.errors import DataError
from tunesmith.core.source import Batch, Description, Entry
from tunesmith.data.sources import sql_connect
from tunesmith.data.sources.batches import BatchBuilder, distinct_names
from tunesmith.data.sources.cells import encoded, plain
from tunesmith.data.sources.cursor_config import CursorConfig
from tunesmith.data.sources.sql_cursor import XID, XID8, Bound, SnapshotBound, WindowBound

FETCH_ROWS, FETCH_KEYS = 1_000, 500
KINDS = ("r", "p", "m")
"""Tables, partitioned tables and materialised views: relations of PostgreSQL whose rows say who wrote them."""
REPEATABLE = ("postgresql", "mysql", "mariadb")
"""Databases that keep one state for a whole transaction at this level; SQLite does so by itself."""


class SqlPull:
    """One moment of a database's table or query; what ``core.source.Pull`` promises."""

    def __init__(
        self,
        database: sql_connect.Database,
        config: CursorConfig,
        *,
        source: str,
        table: str | None,
        query: str | None,
    ) -> None:
        self._database, self._source, self._query = database, source, query
        connection = database.connection
        keys: list[str] = []
        if table is not None:
            relation, keys = sql_connect.reflected(connection, table, source=source)
            self._from: FromClause | TextClause = relation
            self._columns: dict[str, ColumnElement[Any]] = {column.name: column for column in relation.c}
        else:
            # Every colon is the query's own: none of them begins a parameter.
            self._from = sqlalchemy.text("({}\n) AS pulled".format((query or "").replace(":", "\\:")))
            self._columns = {name: sqlalchemy.column(name) for name in self._query_names(self._from)}
        self.columns, notes = distinct_names(list(self._columns))
        self.cursor = self._known(config.column, "cursor")
        self.deleted_at = None if config.deleted_at is None else self._known(config.deleted_at, "cursor.deleted_at")
        self.key = self._known(config.key, "cursor.key") if config.key is not None else self._primary(keys, table)
        self._bound = self._bounded(connection, config, table)
        what = "query" if table is None else f"table {table}"
        how = "snapshot" if isinstance(self._bound, SnapshotBound) else "window"
        self.description = Description(
            f"{database.dialect} {what}, new rows by `{self.cursor}` ({how})", self.columns, tuple(notes)
        )

    def blocked(self, since: Mapping[str, Any]) -> str:
        """Why reading cannot go on from an earlier state; empty where it can."""
        if since["columns"] != list(self.columns):
            return "the columns of the source changed"
        return self._bound.blocked(since["bound"])

    def state(self) -> dict[str, Any]:
        """Where a later pull goes on from."""
        return {"bound": self._bound.state(), "columns": list(self.columns)}

    def everything(self) -> Iterator[Batch]:
        """Every row once."""
        return self._read(self._select(*self._columns.values()))

    def changed(self, since: Mapping[str, Any]) -> Iterator[Batch]:
        """The rows that an earlier pull may not have seen as they are now."""
        return self._read(self._select(*self._columns.values()).where(self._bound.changed(since["bound"])))

    def fetched(self, keys: Sequence[Any]) -> Iterator[Batch]:
        """The rows with these keys."""
        column = self._columns[self.key]
        if all(isinstance(key, int) for key in keys):
            # Else the driver takes them for integers of 32 bits.
            column = sqlalchemy.type_coerce(column, sqlalchemy.BigInteger())
        for start in range(0, len(keys), FETCH_KEYS):
            some = column.in_(keys[start : start + FETCH_KEYS])
            yield from self._read(self._select(*self._columns.values()).where(some))

    def index(self) -> Iterator[list[Entry]]:
        """Key and cursor of every row that is not marked as deleted."""
        for rows in self._drawn(self._index()):
            yield [Entry(row[0], (plain(row[0]), plain(row[1]))) for row in rows]

    def fingerprint(self) -> str:
        """A hash of the index and, where the database tells it, of who wrote each row last; in any order."""
        total = num_rows = 0
        statement = self._index()
        if isinstance(self._bound, SnapshotBound):
            statement = statement.add_columns(sqlalchemy.cast(self._bound.column, sqlalchemy.Text))
        for rows in self._drawn(statement):
            for row in rows:
                content = "".join(encoded("", [plain(value) for value in row])).encode(errors="surrogatepass")
                total = (total + int.from_bytes(hashlib.sha256(content).digest())) % (1 << 256)
            num_rows += len(rows)
        return f"{num_rows}:{total:064x}"

    def _index(self) -> Select[Any]:
        statement = self._select(self._columns[self.key], self._columns[self.cursor])
        return statement if self.deleted_at is None else statement.where(self._columns[self.deleted_at].is_(None))

    def _select(self, *columns: ColumnElement[Any]) -> Select[Any]:
        return sqlalchemy.select(*columns).select_from(self._from)

    def _query_names(self, text: TextClause) -> list[str]:
        statement: Select[Any] = sqlalchemy.select(sqlalchemy.literal_column("*")).select_from(text).limit(0)
        with self._database.explained(self._query):
            result = self._database.connection.execute(statement)
        with closing(result):
            described = result.cursor.description if result.cursor is not None else None
            self._types: dict[str, Any] = {entry[0]: entry[1] for entry in described or ()}
            return list(result.keys())

    def _bounded(self, connection: Connection, config: CursorConfig, table: str | None) -> Bound:
        column = self._columns[self.cursor]
        with self._database.explained(self._query):
            if self._database.dialect == "postgresql":
                if table is None and self._types.get(self.cursor) in (XID, XID8):
                    return SnapshotBound(connection, column, self._types[self.cursor])
                if isinstance(self._from, TableClause) and self._has_xmin(connection, self._from):
                    return SnapshotBound(connection, sqlalchemy.column("xmin", _selectable=self._from), XID)
            high = connection.execute(self._select(sqlalchemy.func.max(column))).scalar()
        return WindowBound(column, high, config.overlap, source=self._source, name=self.cursor)

    def _has_xmin(self, connection: Connection, relation: TableClause) -> bool:
        """Whether the rows of a relation say which transaction wrote them: those of a view do not."""
        statement = sqlalchemy.text(
            "SELECT relkind::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
            " WHERE relname = :name AND CASE WHEN CAST(:schema AS text) IS NULL THEN pg_table_is_visible(pg_class.oid)"
            " ELSE nspname = :schema END"
        )
        return connection.execute(statement, {"name": relation.name, "schema": relation.schema}).scalar() in KINDS

    def _primary(self, keys: list[str], table: str | None) -> str:
        if len(keys) == 1:
            return keys[0]
        raise DataError(
            f"source `{self._source}`: the table `{table}` has no primary key of one column",
            seen=f"primary key ({', '.join(keys)})" if keys else "no primary key",
            allowed="one column that tells rows apart",
            next="write `cursor: {column: …, key: …}`; of several columns make one in a `query`: a || '-' || b AS key",
        )

    def _known(self, name: str, what: str) -> str:
        if name in self._columns:
            return name
        near = difflib.get_close_matches(name, self._columns, n=1, cutoff=0.5)
        raise DataError(
            f"source `{self._source}`: there is no column `{name}`, which `{what}` names",
            seen=name,
            allowed=", ".join(self._columns),
            next=f"did you mean `{near[0]}`?" if near else "add it to the query, or name another",
        )

    def _drawn(self, statement: Select[Any]) -> Iterator[list[Any]]:
        """The rows of a statement, some at a time."""
        with self._database.explained(self._query):
            result = self._database.stream(statement, FETCH_ROWS)
        rows: list[Any] = []
        with closing(result):
            for row in self._database.drawn(result, FETCH_ROWS):
                rows.append(row)
                if len(rows) == 10 * FETCH_ROWS:
                    yield rows
                    rows = []
        if rows:
            yield rows

    def _read(self, statement: Select[Any]) -> Iterator[Batch]:
        builder = BatchBuilder()
        for rows in self._drawn(statement):
            for row in rows:
                cells = list(map(plain, row))
                builder.add(cells, sum(len(cell) for cell in cells if isinstance(cell, str)))
                if builder.is_full:
                    yield builder.take(self.columns)
        if not builder.is_empty:
            yield builder.take(self.columns)


@contextmanager
def opened(
    url: str, cursor: CursorConfig, *, source: str, timeout_s: int, table: str | None, query: str | None
) -> Iterator[SqlPull]:
    """A table or query at this moment.

    Raises: DataError for a database that cannot be reached, or columns that are not there.
    """
    with sql_connect.connected(url, source=source, timeout_s=timeout_s) as database:
        _freeze(database)
        yield SqlPull(database, cursor, source=source, table=table, query=query)


def _freeze(database: sql_connect.Database) -> None:
    """Let every statement from here on see one state."""
    connection = database.connection
    with database.explained(None):
        if database.dialect in REPEATABLE:
            connection.execution_options(isolation_level="REPEATABLE READ")
        if database.dialect == "postgresql":
            # Else the same moment reads differently where the server's zone, or summer time, is another.
            connection.exec_driver_sql("SET LOCAL timezone = 'UTC'")
        if database.dialect == "sqlite":
            # Its driver begins no transaction for reading.
            connection.exec_driver_sql("BEGIN")
