"""A table or a query of any database that SQLAlchemy reaches: streamed, and read only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from tunesmith.core import digests
from tunesmith.core.errors import DataError, RecipeError
from tunesmith.core.source import Batch, Description
from tunesmith.data.sources import sql_query, sql_url
from tunesmith.data.sources.batches import BatchBuilder, distinct_names
from tunesmith.data.sources.cells import plain, row_bytes
from tunesmith.data.sources.config import SourceConfig
from tunesmith.data.sources.cursor_config import CursorConfig

if TYPE_CHECKING:
    from sqlalchemy import Connection, Select

    from tunesmith.data.sources.sql_connect import Database
    from tunesmith.data.sources.sql_pull import SqlPull

FETCH_ROWS = 1_000
"""Rows drawn from the server at a time."""


def _spelled(value: Any) -> Any:
    """`cursor: updated_at` is short for `cursor: {column: updated_at}`."""
    return {"column": value} if isinstance(value, str) else value


class SqlConfig(SourceConfig):
    """A table or a query of a database; exactly one of `table` and `query`."""

    kind: Literal["sql"] = "sql"
    """Which kind of source this is."""
    url: str
    """A SQLAlchemy URL such as `sqlite:///crm.db` or `postgresql://me:${env:CRM_PASSWORD}@host/crm`; `${env:NAME}` may
    also stand for all of it. Secrets are read from the environment when connecting and never stored."""
    table: str | None = None
    """A table or view, `schema.table` where it is not in the default schema; read in the order of its primary key."""
    query: str | None = None
    """One SELECT statement. Without an ORDER BY the order of rows is the database's own."""
    cursor: Annotated[CursorConfig | None, BeforeValidator(_spelled)] = None
    """The column by which only new rows are read, `updated_at`, or `{column: updated_at, key: id}`: rows that changed
    replace their older version, rows that are gone go, and no row is lost while others write. Null: every pull reads
    everything."""
    connect_timeout_s: int = Field(default=10, ge=1, le=600)
    """Seconds to wait for the server, 1 to 600; longer than a healthy server ever takes, shorter than patience."""

    @field_validator("url")
    @classmethod
    def _has_no_secret(cls, url: str) -> str:
        return sql_url.check(url)

    @field_validator("query")
    @classmethod
    def _only_reads(cls, query: str | None) -> str | None:
        return None if query is None else sql_query.check(query)

    @model_validator(mode="after")
    def _names_one(self) -> SqlConfig:
        if (self.table is None) == (self.query is None):
            raise RecipeError(
                f"source `{self.name}` needs exactly one of `table` and `query`",
                seen="both" if self.table is not None else "neither",
                allowed="table: tickets, or query: select …",
            )
        if self.cursor is not None and self.table is None and self.cursor.key is None:
            raise RecipeError(
                f"source `{self.name}` reads what is new of a query, and no column is said to tell its rows apart",
                seen=f"cursor: {self.cursor.column}",
                next=f"write `cursor: {{column: {self.cursor.column}, key: id}}`",
            )
        return self


class SqlSource:
    """The rows of a table or query."""

    def __init__(self, config: SqlConfig) -> None:
        self.config = config

    def describe(self) -> Description:
        """The database's dialect and the columns, without reading rows."""
        if self.config.cursor is not None:
            with self.pulled() as pull:
                return pull.description
        with self._rows() as (database, columns, notes, _):
            what = "query" if self.config.table is None else f"table {self.config.table}"
            return Description(f"{database.dialect} {what}", columns, notes)

    def fingerprint(self) -> str:
        """A hash of the URL without secrets, the query and every row, whatever order the rows come in.

        All rows are read: a count or a newest date would miss a changed label. The order is left out because a
        database may return the same rows in another order each time. Of a source with a cursor, only its index is read.
        """
        url, _ = sql_url.resolve(self.config.url, source=self.config.name)
        if self.config.cursor is not None:
            with self.pulled() as pull:
                return digests.of_value([self.cursor_identity(), pull.fingerprint()])
        total, num_rows = 0, 0
        for batch in self.read():
            for content in row_bytes(batch.columns):
                total = (total + int.from_bytes(hashlib.sha256(content).digest())) % (1 << 256)
            num_rows += batch.num_rows
        what = [sql_url.shown(url), self.config.table, self.config.query, list(batch.columns)]
        return digests.of_value([*what, num_rows, f"{total:064x}"])

    def cursor_identity(self) -> str | None:
        """What a cursor of this source belongs to: the database, what is read of it and how; None without a cursor."""
        if self.config.cursor is None:
            return None
        url, _ = sql_url.resolve(self.config.url, source=self.config.name)
        how = self.config.model_dump(mode="json", exclude={"url", "purpose", "licence", "connect_timeout_s"})
        return digests.of_value([sql_url.shown(url), how])

    def pulled(self) -> AbstractContextManager[SqlPull]:
        """The table or query at this moment, to read what is new."""
        from tunesmith.data.sources.sql_pull import opened

        config = self.config
        assert config.cursor is not None, "only a source with a cursor is pulled"
        return opened(
            config.url,
            config.cursor,
            source=config.name,
            timeout_s=config.connect_timeout_s,
            table=config.table,
            query=config.query,
        )

    def read(self, since: str | None = None) -> Iterator[Batch]:
        """Every row once, from one server-side cursor in a read-only transaction; ``since`` does not apply: what is new
        is read by ``pulled``."""
        builder = BatchBuilder()
        num_rows = 0
        with self._rows() as (database, columns, _, rows):
            for row in rows:
                cells = list(map(plain, row))
                builder.add(cells, sum(len(cell) for cell in cells if isinstance(cell, str)))
                num_rows += 1
                if builder.is_full:
                    yield builder.take(columns)
            shown = sql_url.shown(database.url)
        if not num_rows:
            raise DataError(
                f"source `{self.config.name}`: the {'table' if self.config.table else 'query'} has no rows",
                seen=f"{shown}: {self.config.table or self.config.query}",
                next="look at the database, or loosen the query",
            )
        if not builder.is_empty:
            yield builder.take(columns)

    @contextmanager
    def _rows(self) -> Iterator[tuple[Database, tuple[str, ...], tuple[str, ...], Iterator[Any]]]:
        """The database, the columns, notes on their names, and the rows as a stream."""
        from tunesmith.data.sources.sql_connect import connected

        with connected(self.config.url, source=self.config.name, timeout_s=self.config.connect_timeout_s) as database:
            with database.explained(self.config.query):
                statement = self.config.query or self._select(database.connection)
                result = database.stream(statement, FETCH_ROWS)
                columns, notes = distinct_names(list(result.keys()))
            with closing(result):
                yield database, columns, notes, database.drawn(result, FETCH_ROWS)

    def _select(self, connection: Connection) -> Select[Any]:
        """The statement that reads a table; names come from the database's own catalogue, never from the recipe."""
        import sqlalchemy

        from tunesmith.data.sources.sql_connect import reflected

        table, keys = reflected(connection, self.config.table or "", source=self.config.name)
        return sqlalchemy.select(table).order_by(*(table.c[key] for key in keys))
