"""Incremental pulls lose no row while others write, and follow every change, on SQLite and a real PostgreSQL."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.postgres import PASSWORD, USER, PostgresServer
from tests.pulling import Puller

from tunesmith.core.errors import DataError, RecipeError
from tunesmith.data.sources.sql import SqlConfig, SqlSource
from tunesmith.data.sources.sql_pull import SqlPull

NUM_ROWS, NUM_WRITERS = 10_000, 8
MAPPED = {"text": "text", "label": "label"}
TICKETS = "CREATE TABLE tickets (id {key} PRIMARY KEY, text text, label text, updated_at {time}, deleted_at {time})"
QUERY = "SELECT id, text, label, updated_at, deleted_at FROM tickets WHERE text <> ':not a parameter %' -- all\n;"


class Place:
    """A database that a test writes to, and pulls of it."""

    def __init__(self, url: str, execute: Callable[..., None], folder: Path, what: dict[str, Any]) -> None:
        self.url, self.execute, self._folder, self._what = url, execute, folder, what
        self._num_pullers = 0

    def puller(self, **cursor: Any) -> Puller:
        self._num_pullers += 1
        how = {"column": "updated_at", "key": "id"} | cursor
        config = SqlConfig(name="crm", url=self.url, columns=MAPPED, cursor=how, **self._what)  # type: ignore[arg-type]
        return Puller(self._folder / str(self._num_pullers), config)

    def put(self, *rows: tuple[int, str, str, str]) -> None:
        self.execute(
            *(
                f"INSERT INTO tickets VALUES ({key}, '{text}', '{label}', '2024-01-01 00:00:{at}', NULL)"
                for key, text, label, at in rows
            )
        )


@pytest.fixture(params=["sqlite table", "sqlite query", "postgresql table", "postgresql query", "postgresql view"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    database, _, form = request.param.partition(" ")
    what = {"query": QUERY} if form == "query" else {"table": "seen" if form == "view" else "tickets"}
    if database == "sqlite":
        path = tmp_path / "crm.db"

        def execute(*statements: str) -> None:
            with sqlite3.connect(path) as connection:
                for statement in statements:
                    connection.execute(statement)
            connection.close()

        execute(TICKETS.format(key="integer", time="text"))
        yield Place(f"sqlite:///{path}", execute, tmp_path, what)
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    server.execute(
        TICKETS.format(key="bigint", time="timestamptz"), "CREATE VIEW seen AS SELECT * FROM tickets"
    )  # fmt: skip
    yield Place(server.url, server.execute, tmp_path, what)


def test_changes_reach_the_dataset_and_are_counted(place: Place) -> None:
    place.put((1, "a", "x", "01"), (2, "b", "x", "02"), (3, "c", "y", "03"))
    puller = place.puller()
    facts = puller.pull()
    assert facts["pulled"]["how"] == "everything: the first pull"
    assert [facts["pulled"][name] for name in ("read", "new", "unchanged")] == [3, 3, 0]
    assert facts["rows_read"] == facts["rows"] == 3 and facts["columns"] == ["text", "label"]
    assert puller.rows()["text"].to_list() == ["a", "b", "c"]
    first = puller.digest()
    assert puller.counts() == (0, 0, 0, 3)
    assert puller.digest() == first

    place.execute(
        "UPDATE tickets SET text = 'B', updated_at = '2024-01-01 00:00:09' WHERE id = 2",
        "DELETE FROM tickets WHERE id = 1",
        "UPDATE tickets SET updated_at = '2024-01-01 00:00:08' WHERE id = 3",
    )
    place.put((4, "d", "y", "04"), (5, "a", "x", "05"))
    facts = puller.pull()
    assert facts["pulled"]["how"] == "what is new"
    assert [facts["pulled"][name] for name in ("new", "replaced", "deleted", "unchanged")] == [2, 1, 1, 1]
    assert puller.rows()["text"].to_list() == ["d", "a", "c", "B"]
    # Many pulls or one: the same bytes.
    fresh = place.puller()
    fresh.pull()
    assert fresh.digest() == puller.digest()


def test_a_cursor_that_was_set_back_or_committed_late_is_found_by_the_index(place: Place) -> None:
    place.put((1, "a", "x", "50"), (2, "b", "x", "51"))
    puller = place.puller(overlap=0)
    puller.pull()
    place.put((3, "late", "x", "07"))
    place.execute("UPDATE tickets SET label = 'z', updated_at = '2024-01-01 00:00:06' WHERE id = 1")
    assert puller.counts() == (1, 1, 0, 1)
    assert puller.rows()["text"].to_list() == ["a", "late", "b"]
    assert puller.rows()["label"].to_list() == ["z", "x", "x"]


def test_rows_without_a_cursor_are_read_each_time_and_counted(place: Place) -> None:
    place.put((1, "a", "x", "01"))
    place.execute("INSERT INTO tickets VALUES (2, 'none', 'x', NULL, NULL)")
    puller = place.puller()
    facts = puller.pull()
    assert facts["pulled"]["without_cursor"] == 1 and "1 rows have no `updated_at`" in facts["notes"][-1]
    place.execute("UPDATE tickets SET text = 'still none' WHERE id = 2")
    assert puller.counts() == (0, 1, 0, 1)
    assert puller.rows()["text"].to_list() == ["a", "still none"]


def test_rows_that_are_marked_as_deleted_go(place: Place) -> None:
    place.put((1, "a", "x", "01"), (2, "b", "x", "02"), (3, "c", "x", "03"))
    place.execute("UPDATE tickets SET deleted_at = '2024-01-01 00:01:00' WHERE id = 1")
    puller = place.puller(deleted_at="deleted_at")
    facts = puller.pull()
    assert facts["pulled"]["marked_deleted"] == 1 and facts["rows"] == 2 and facts["pulled"]["read"] == 3
    # One marked without a new cursor, one taken out altogether, one brought back.
    place.execute(
        "UPDATE tickets SET deleted_at = '2024-01-01 00:01:00' WHERE id = 2",
        "DELETE FROM tickets WHERE id = 3",
        "UPDATE tickets SET deleted_at = NULL WHERE id = 1",
    )
    assert puller.counts() == (1, 0, 2, 0)
    assert puller.rows()["text"].to_list() == ["a"]


def test_keys_must_tell_rows_apart(place: Place) -> None:
    place.put((1, "a", "x", "01"), (2, "b", "x", "02"))
    with pytest.raises(DataError, match="does not tell rows apart"):
        place.puller(key="label").pull()
    place.execute("UPDATE tickets SET text = NULL WHERE id = 1")
    with pytest.raises(DataError, match="nulls"):
        place.puller(key="deleted_at").pull()
    with pytest.raises(DataError, match="no column `updated`") as caught:
        place.puller(column="updated").pull()
    assert "updated_at" in str(caught.value.next)


def test_everything_gone_is_an_error_and_loses_nothing(place: Place) -> None:
    place.put((1, "a", "x", "01"))
    puller = place.puller()
    puller.pull()
    place.execute("DELETE FROM tickets")
    with pytest.raises(DataError, match="no rows"):
        puller.pull()
    place.put((1, "a", "x", "01"))
    assert puller.counts() == (0, 0, 0, 1)


def test_a_column_that_came_or_went_is_read_anew(place: Place, request: pytest.FixtureRequest) -> None:
    place.put((1, "a", "x", "01"), (2, "b", "x", "02"))
    puller = place.puller()
    puller.pull()
    if "table" not in request.node.callspec.params["place"]:
        # A query or view names its columns: one that goes is the database's own error.
        return
    place.execute("ALTER TABLE tickets ADD COLUMN tier text DEFAULT 'gold'")
    assert puller.pull()["pulled"]["how"] == "everything: the columns of the source changed"
    place.execute("ALTER TABLE tickets RENAME COLUMN label TO intent")
    with pytest.raises(RecipeError, match="no column `label`"):
        puller.pull()


def test_a_pull_that_died_before_its_record_is_done_again(place: Place) -> None:
    place.put((1, "a", "x", "01"))
    puller = place.puller()
    puller.pull()
    place.put((2, "b", "x", "02"))
    assert puller.counts(keep=False) == (1, 0, 0, 1)
    place.put((3, "c", "x", "03"))
    assert puller.counts() == (2, 0, 0, 1)


def test_fingerprints_change_with_a_row_and_only_then(place: Place) -> None:
    place.put((1, "a", "x", "01"), (2, "b", "x", "02"))
    source = SqlSource(place.puller().config)
    before = source.fingerprint()
    assert SqlSource(place.puller().config).fingerprint() == before
    place.execute("UPDATE tickets SET text = 'B', updated_at = '2024-01-01 00:00:03' WHERE id = 2")
    changed = source.fingerprint()
    assert changed != before
    place.execute("DELETE FROM tickets WHERE id = 1")
    assert source.fingerprint() not in (before, changed)


def test_a_query_needs_its_key_and_a_table_a_primary_one(postgres: PostgresServer, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no column is said to tell its rows apart"):
        SqlConfig(name="crm", url=postgres.url, query="SELECT 1 AS a", cursor="updated_at")  # type: ignore[arg-type]
    postgres.execute("CREATE TABLE pairs (a int, b int, updated_at timestamp, text text, PRIMARY KEY (a, b))")
    config = SqlConfig(name="crm", url=postgres.url, table="pairs", cursor="updated_at")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no primary key of one column") as caught:
        Puller(tmp_path, config).pull()
    assert "primary key (a, b)" in str(caught.value)


def test_large_keys_odd_types_and_other_cursors(postgres: PostgresServer, tmp_path: Path) -> None:
    postgres.execute(
        """CREATE TABLE "Odd % Table" ("Key" uuid PRIMARY KEY, n bigint, day date, price numeric, text text)""",
        """INSERT INTO "Odd % Table"
           SELECT gen_random_uuid(), 9000000000 + i, date '2024-01-01' + i, i + 0.5, 'row ' || i
           FROM generate_series(1, 1200) AS i""",
    )
    select = """SELECT "Key", n, day, price, text FROM "Odd % Table" """
    for column in ("n", "day", "price"):
        config = SqlConfig(
            name="crm", url=postgres.url, query=select, cursor={"column": column, "key": "Key", "overlap": 2}
        )  # type: ignore[arg-type]
        puller = Puller(tmp_path / column, config)
        assert puller.counts() == (1200, 0, 0, 0)
        # Below the window, so only the index shows it; then more strays than one statement fetches.
        if column == "n":
            postgres.execute("""UPDATE "Odd % Table" SET n = n + 100000, text = text || '!' WHERE n < 9000000700""")
        facts = puller.pull()["pulled"]
        assert facts["how"] == "what is new" and facts["replaced"] == (699 if column == "n" else 0)
        assert facts["read"] < 1200
    table = SqlConfig(name="crm", url=postgres.url, table="Odd % Table", cursor="n")  # type: ignore[arg-type]
    puller = Puller(tmp_path / "table", table)
    puller.pull()
    postgres.execute("""UPDATE "Odd % Table" SET text = 'silent' WHERE n = 9000000800""")
    # The cursor did not change: on a table of PostgreSQL the row's own transaction tells it.
    assert puller.counts() == (0, 1, 0, 1199)


def test_another_cluster_or_mode_reads_everything(postgres: PostgresServer, tmp_path: Path) -> None:
    postgres.execute(
        TICKETS.format(key="bigint", time="timestamptz"), "INSERT INTO tickets VALUES (1, 'a', 'x', now())"
    )
    config = SqlConfig(name="crm", url=postgres.url, table="tickets", columns=MAPPED, cursor="updated_at")  # type: ignore[arg-type]
    with SqlSource(config).pulled() as moment:
        state = moment.state()
        assert state["bound"]["by"] == "snapshot" and moment.blocked(state) == ""
        bound = state["bound"]
        for other in (
            {"by": "window", "type": "int", "high": "1"},
            {**bound, "cluster": "elsewhere"},
            {**bound, "xmin": bound["xmin"] + (1 << 20)},
            {**bound, "xmin": bound["xmin"] - (1 << 31)},
        ):
            assert moment.blocked({**state, "bound": other})


WAYS = {
    "xmin of a table": {"table": "tickets", "cursor": {"column": "updated_at", "key": "id"}},
    "an xid8 column": {
        "query": "SELECT id, text, label, written_by FROM tickets",
        "cursor": {"column": "written_by", "key": "id"},
    },
    "window and index": {
        "query": "SELECT id, text, label, updated_at FROM tickets",
        "cursor": {"column": "updated_at", "key": "id", "overlap": 0},
    },
}


@pytest.mark.parametrize("way", WAYS)
def test_ten_thousand_rows_once_each_while_eight_writers_commit(
    postgres: PostgresServer,
    tmp_path: Path,
    way: str,
) -> None:
    """Ids and times are handed out before the commit, which comes late: `> last` misses rows, the pulls miss none."""
    import psycopg

    postgres.execute(
        """CREATE TABLE tickets (id bigserial PRIMARY KEY, text text, label text,
           updated_at timestamptz DEFAULT clock_timestamp(), written_by xid8 DEFAULT pg_current_xact_id())"""
    )

    def connect() -> psycopg.Connection[Any]:
        return psycopg.connect(host=str(postgres.folder), user=USER, password=PASSWORD, dbname="postgres")

    def write(writer: int) -> None:
        with connect() as connection:
            for part in range(25):
                rows = [(f"row {writer} {part} {number}", str(number % 3)) for number in range(50)]
                with connection.cursor() as cursor:
                    cursor.executemany("INSERT INTO tickets (text, label) VALUES (%s, %s)", rows[:25])
                    with connection.transaction():  # a savepoint: its rows carry an id of their own
                        cursor.executemany("INSERT INTO tickets (text, label) VALUES (%s, %s)", rows[25:])
                if part % 5 == writer % 5:
                    looks.wait_for_next()
                connection.commit()

    looks = _Looks()
    what: dict[str, Any] = WAYS[way]
    config = SqlConfig(name="crm", url=postgres.url, columns=MAPPED, **what)
    puller, bounded = Puller(tmp_path, config), _Bounded(config)
    naive: set[int] = set()
    last = 0
    writers = [threading.Thread(target=write, args=(number,)) for number in range(NUM_WRITERS)]
    for writer in writers:
        writer.start()
    num_pulls = 0
    with connect() as reader:
        reader.autocommit = True
        is_over = False
        while not is_over:
            is_over = not any(writer.is_alive() for writer in writers)
            # The last look comes after the last commit.
            for (number,) in reader.execute("SELECT id FROM tickets WHERE id > %s ORDER BY id", (last,)).fetchall():
                naive.add(number)
                last = number
            bounded.look()
            if reader.execute("SELECT count(*) FROM tickets").fetchall()[0][0]:
                puller.pull()
                num_pulls += 1
            looks.count()
    for writer in writers:
        writer.join()
    rows = puller.rows()
    assert rows.height == NUM_ROWS == rows["text"].n_unique() == rows["row_id"].n_unique()
    assert num_pulls > 3
    # The fault can be seen: the customary cursor misses rows in this very run.
    assert len(naive) < NUM_ROWS
    if way != "window and index":
        assert len(bounded.seen) == NUM_ROWS


class _Looks:
    """Lets a writer hold its commit back until the readers have looked once more, however slow the machine is."""

    def __init__(self) -> None:
        self._number, self._changed = 0, threading.Condition()

    def count(self) -> None:
        with self._changed:
            self._number += 1
            self._changed.notify_all()

    def wait_for_next(self) -> None:
        with self._changed:
            number = self._number
            self._changed.wait_for(lambda: self._number > number, timeout=30)


class _Bounded:
    """Only what the bound tells to be new, without the index that would make up for a fault of it."""

    def __init__(self, config: SqlConfig) -> None:
        self._config = config
        self._state: dict[str, Any] | None = None
        self.seen: set[int] = set()

    def look(self) -> None:
        with SqlSource(self._config).pulled() as moment:
            assert isinstance(moment, SqlPull)
            batches = moment.everything() if self._state is None else moment.changed(self._state)
            for batch in batches:
                self.seen.update(batch.columns["id"])
            self._state = moment.state()
