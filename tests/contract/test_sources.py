"""What every source promises, held for each kind of source: files, SQLite and a real PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.http_places import WAYS, http
from tests.contract.places import FILE_MAKERS, ROWS, Place, Row
from tests.postgres import PASSWORD, PostgresServer

from tunesmith.core.errors import DataError, RecipeError
from tunesmith.core.source import Batch
from tunesmith.data.sources.batches import BATCH_ROWS
from tunesmith.data.sources.sql import SqlConfig, SqlSource


def _sqlite(folder: Path, **what: str) -> Place:
    path = folder / "crm.db"

    def write(rows: list[Row]) -> None:
        path.unlink(missing_ok=True)
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE tickets (text TEXT, label TEXT)")
            connection.executemany("INSERT INTO tickets VALUES (?, ?)", rows)
        connection.close()

    return Place(write, lambda: SqlSource(SqlConfig(name="rows", url=f"sqlite:///{path}", **what)))


def _postgres(server: PostgresServer, **what: str) -> Place:
    def write(rows: list[Row]) -> None:
        server.execute(
            "DROP TABLE IF EXISTS tickets",
            "CREATE TABLE tickets (text text, label text)",
            "INSERT INTO tickets VALUES (%s, %s)",
            rows=rows,  # type: ignore[arg-type]
        )

    return Place(write, lambda: SqlSource(SqlConfig(name="rows", url=server.url, **what)))


QUERY = "SELECT text, label FROM tickets WHERE label LIKE '%' AND text <> ':not a parameter' -- all of them\n;"
MAKERS: dict[str, Callable[[Path, Any], Place]] = {
    **FILE_MAKERS,
    "sqlite table": lambda folder, _: _sqlite(folder, table="tickets"),
    "sqlite query": lambda folder, _: _sqlite(folder, query=QUERY),
    "postgresql table": lambda folder, request: _postgres(request.getfixturevalue("postgres"), table="tickets"),
    "postgresql query": lambda folder, request: _postgres(request.getfixturevalue("postgres"), query=QUERY),
    **{way: lambda folder, request, way=way: http(way, request) for way in WAYS},  # type: ignore[misc]
}


@pytest.fixture(params=MAKERS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    yield MAKERS[request.param](tmp_path, request)


def rows_of(batches: list[Batch]) -> list[tuple[Any, ...]]:
    return [row for batch in batches for row in zip(*batch.columns.values(), strict=True)]


def test_every_record_is_read_once_in_order_and_unaltered(place: Place) -> None:
    place.write(ROWS)
    batches = list(place.open().read())
    assert rows_of(batches) == place.expected(ROWS)
    assert not any(batch.refused for batch in batches)


def test_described_columns_are_the_columns_read(place: Place) -> None:
    place.write(ROWS)
    source = place.open()
    assert source.describe().columns == place.columns
    assert all(tuple(batch.columns) == place.columns for batch in source.read())
    assert source.describe().format


def test_reading_again_gives_the_same(place: Place) -> None:
    place.write(ROWS)
    source = place.open()
    first, second, fresh = list(source.read()), list(source.read()), list(place.open().read())
    assert first == second == fresh


def test_fingerprint_changes_with_a_row_and_only_then(place: Place) -> None:
    place.write(ROWS)
    before = place.open().fingerprint()
    assert place.open().fingerprint() == before
    place.write(ROWS)
    assert place.open().fingerprint() == before
    if not place.tells_changes:
        return
    changed = [*ROWS[:4], (ROWS[4][0], "found"), *ROWS[5:]]
    place.write(changed)
    assert place.open().fingerprint() != before
    place.write(ROWS[:-1])
    assert place.open().fingerprint() != before


def test_batches_are_bounded(place: Place) -> None:
    if place.is_slow:
        pytest.skip("a file for each row")
    rows = [(f"message {number} é", f"label {number % 7}") for number in range(2 * BATCH_ROWS + 17)]
    place.write(rows)
    batches = list(place.open().read())
    assert [batch.num_rows for batch in batches] == [BATCH_ROWS, BATCH_ROWS, 17]
    assert rows_of(batches) == place.expected(rows)


def test_read_is_rows_plus_refused(place: Place) -> None:
    place.write(ROWS)
    # In a database every record is a row; a file can hold others.
    num_spoiled = 0
    if place.spoil is not None:
        place.spoil()
        num_spoiled = 2
    batches = list(place.open().read())
    refused = [one for batch in batches for one in batch.refused]
    assert rows_of(batches) == place.expected(ROWS)
    assert [one.position for one in refused] == [len(ROWS) + 1, len(ROWS) + 2][:num_spoiled]
    assert all(one.reason and one.record for one in refused)


def test_a_source_without_rows_says_so(place: Place) -> None:
    place.write([])
    with pytest.raises(DataError, match=r"empty|no rows|no line|no file of"):
        list(place.open().read())


def test_postgresql_down_is_a_clear_error_without_the_password(postgres: PostgresServer) -> None:
    place = _postgres(postgres, table="tickets")
    place.write(ROWS)
    source = place.open()
    postgres.stop()
    for look in (source.describe, source.fingerprint, lambda: list(source.read())):
        with pytest.raises(DataError, match="cannot be reached") as caught:
            look()
        assert caught.value.next is not None and "start the server" in caught.value.next
        assert PASSWORD not in str(caught.value) and "***" in str(caught.value)
        assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_postgresql_stopped_while_reading_is_a_clear_error(postgres: PostgresServer) -> None:
    place = _postgres(postgres, query="SELECT text, label FROM tickets")
    place.write([(f"message {number} " + "x" * 200, "label") for number in range(60_000)])
    batches = place.open().read()
    assert next(batches).num_rows == BATCH_ROWS
    postgres.stop()
    with pytest.raises(DataError, match="stopped answering") as caught:
        list(batches)
    assert PASSWORD not in str(caught.value)


def test_postgresql_wrong_password_is_not_printed(
    postgres: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TUNESMITH_TEST_PG_PASSWORD", "wrong-but-secret")
    with pytest.raises(DataError, match="cannot be reached") as caught:
        _postgres(postgres, table="tickets").open().describe()
    assert "authentication failed" in str(caught.value) and "wrong-but-secret" not in str(caught.value)


def test_postgresql_names_nearest_table_and_column(postgres: PostgresServer) -> None:
    _postgres(postgres, table="tickets").write(ROWS)
    for what in ({"table": "tickts"}, {"query": "SELECT * FROM tickts"}):
        with pytest.raises(DataError, match="no table `tickts`") as caught:
            _postgres(postgres, **what).open().describe()
        assert "tickets" in str(caught.value.next)
    with pytest.raises(DataError, match="no column `txt`") as caught:
        _postgres(postgres, query="SELECT txt FROM tickets").open().describe()
    assert "text" in str(caught.value.next)


def test_postgresql_itself_refuses_to_write(postgres: PostgresServer) -> None:
    """A function hides its writing from the check of the query; the read-only transaction stops it."""
    _postgres(postgres, table="tickets").write(ROWS)
    postgres.execute(
        "CREATE FUNCTION wipe() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM tickets; RETURN 1; END $$"
    )
    with pytest.raises(DataError, match="read-only"):
        list(_postgres(postgres, query="SELECT wipe()").open().read())
    assert len(rows_of(list(_postgres(postgres, table="tickets").open().read()))) == len(ROWS)
    with pytest.raises(RecipeError, match="would change data"):
        _postgres(postgres, query="WITH x AS (DELETE FROM tickets RETURNING *) SELECT * FROM x").open()


def test_postgresql_types_become_plain_cells_and_keys_order_rows(postgres: PostgresServer) -> None:
    postgres.execute(
        "CREATE SCHEMA IF NOT EXISTS crm",
        "DROP TABLE IF EXISTS crm.orders",
        """CREATE TABLE crm.orders (id int PRIMARY KEY, score double precision, price numeric(12, 2), paid boolean,
           at timestamptz, day date, tags text[], extra jsonb, raw bytea, "Odd % name" text)""",
        """INSERT INTO crm.orders VALUES
           (2, 1.5, 12345678.90, true, '2024-01-02T03:04:05Z', '2024-01-02', '{a,b}', '{"k": [1]}', '\\xff00', 'é'),
           (1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'plain', NULL)""",
    )
    source = _postgres(postgres, table="crm.orders").open()
    assert source.describe().format == "postgresql table crm.orders"
    (batch,) = source.read()
    rows = [dict(zip(batch.columns, row, strict=True)) for row in zip(*batch.columns.values(), strict=True)]
    assert rows[0] == dict.fromkeys(batch.columns) | {"id": 1, "raw": "plain"}
    assert rows[1]["at"].startswith("2024-01-02T") and rows[1].pop("at")
    assert rows[1] == {
        "id": 2, "score": 1.5, "price": "12345678.90", "paid": True, "day": "2024-01-02", "tags": '["a","b"]',
        "extra": '{"k":[1]}', "raw": "ff00", "Odd % name": "é",
    }  # fmt: skip
