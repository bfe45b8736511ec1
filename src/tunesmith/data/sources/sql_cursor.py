"""Where a pull of a database goes on: the bound below which every row is known to have been seen."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol

import sqlalchemy
from sqlalchemy import ColumnElement, Connection

from tunesmith.core.errors import DataError

XID, XID8 = 28, 5069
"""PostgreSQL's type numbers of transaction ids with 32 and 64 bits."""
COMPARABLE_XIDS = 1 << 31
"""Two 32-bit ids further apart than this cannot be ordered."""


class Bound(Protocol):
    """The rows a pull must have seen, as the database can express it."""

    def state(self) -> dict[str, Any]:
        """The bound as JSON values."""

    def blocked(self, since: Mapping[str, Any]) -> str:
        """Why reading cannot go on from an earlier bound; empty where it can."""

    def changed(self, since: Mapping[str, Any]) -> ColumnElement[bool]:
        """The condition that every row meets which an earlier pull may not have seen as it is now."""


class SnapshotBound:
    """PostgreSQL: rows written by transactions that had not all ended when the last pull took its snapshot.

    A row's own transaction id tells it, so neither clocks nor the order of commits matter. Everything below the
    snapshot's xmin had ended by then; ids of subtransactions are above their parent's, so they are covered too.
    """

    def __init__(self, connection: Connection, column: ColumnElement[Any], type_number: int) -> None:
        self.column, self._is_wide = column, type_number == XID8
        snapshot = "pg_current_snapshot()"
        row = connection.exec_driver_sql(
            f"SELECT pg_snapshot_xmin({snapshot})::text, pg_snapshot_xmax({snapshot})::text"
        ).one()
        self._xmin, self._xmax = int(row[0]), int(row[1])
        self._cluster = _cluster(connection)

    def state(self) -> dict[str, Any]:
        """The snapshot's xmin, and which cluster counts that way."""
        return {"by": "snapshot", "xmin": self._xmin, "cluster": self._cluster}

    def blocked(self, since: Mapping[str, Any]) -> str:
        """Why the earlier xmin means nothing here."""
        if since.get("by") != "snapshot":
            return "it was read in another way before"
        if since["cluster"] != self._cluster or since["xmin"] > self._xmax:
            return "the database is another one, or was brought back from a backup"
        if self._xmax - since["xmin"] >= COMPARABLE_XIDS:
            return "too many transactions have passed"
        return ""

    def changed(self, since: Mapping[str, Any]) -> ColumnElement[bool]:
        """Rows from the earlier xmin on."""
        xmin = int(since["xmin"])
        if self._is_wide:
            return self.column >= sqlalchemy.literal_column(f"CAST('{xmin}' AS xid8)")
        earlier: ColumnElement[Any] = sqlalchemy.literal_column(f"CAST('{xmin % (1 << 32)}' AS xid)")
        # age() counts back from now, so ids that have wrapped around stay in order.
        return sqlalchemy.func.age(self.column) <= sqlalchemy.func.age(earlier)


class WindowBound:
    """Any database: rows whose cursor is not well below the highest one that the last pull saw, or is null."""

    def __init__(self, column: ColumnElement[Any], high: Any, overlap: float, *, source: str, name: str) -> None:
        self._column, self._high, self._overlap = column, high, overlap
        if (high is not None and not isinstance(high, int | float | Decimal | str | datetime.date)) or high is True:
            raise DataError(
                f"source `{source}`: the cursor column `{name}` cannot be put in order",
                seen=f"{type(high).__name__} {high!r}"[:200],
                allowed="a time, a date, a number or a text that sorts like one",
                next="name another column as `cursor`",
            )

    def state(self) -> dict[str, Any]:
        """The highest cursor, with its type."""
        high = self._high
        shown = high.isoformat() if isinstance(high, datetime.date) else str(high)
        return {"by": "window", "type": type(high).__name__, "high": None if high is None else shown}

    def blocked(self, since: Mapping[str, Any]) -> str:
        """Why the earlier cursor means nothing here."""
        if since.get("by") != "window":
            return "it was read in another way before"
        if since["high"] is not None and since["type"] != type(self._high).__name__:
            return "the cursor column changed its type"
        return ""

    def changed(self, since: Mapping[str, Any]) -> ColumnElement[bool]:
        """Rows from the window's lower end on, and those without a cursor."""
        if since["high"] is None:
            return sqlalchemy.true()
        low, kind = _earlier(since["type"], since["high"], self._overlap)
        return (self._column >= sqlalchemy.literal(low, kind)) | self._column.is_(None)


def _earlier(type_name: str, high: str, overlap: float) -> tuple[Any, Any]:
    """The lower end of the window, as the database's own type."""
    moment: Any
    match type_name:
        case "int":
            return int(high) - int(overlap), sqlalchemy.BigInteger()
        case "float":
            return float(high) - overlap, sqlalchemy.Float()
        case "Decimal":
            return Decimal(high) - Decimal(str(overlap)), sqlalchemy.Numeric()
        case "datetime":
            moment = datetime.datetime.fromisoformat(high) - datetime.timedelta(seconds=overlap)
            return moment, sqlalchemy.DateTime(timezone=moment.tzinfo is not None)
        case "date":
            # A day is the column's finest step.
            return datetime.date.fromisoformat(high) - datetime.timedelta(days=1 + overlap // 86_400), sqlalchemy.Date()
    # A text has no distance: reading begins again at the highest itself.
    return high, sqlalchemy.String()


def _cluster(connection: Connection) -> str:
    """Which cluster counts its transactions here; a restored or promoted one has another name."""
    can_tell = connection.exec_driver_sql(
        "SELECT has_function_privilege('pg_control_system()', 'execute')"
        " AND has_function_privilege('pg_control_checkpoint()', 'execute')"
    ).scalar()
    database = connection.exec_driver_sql("SELECT oid::text FROM pg_database WHERE datname = current_database()")
    name = str(database.scalar())
    if can_tell:
        row = connection.exec_driver_sql(
            "SELECT system_identifier::text, timeline_id::text FROM pg_control_system(), pg_control_checkpoint()"
        ).one()
        name = f"{row[0]}:{row[1]}:{name}"
    return name
