"""SQL: secrets stay out, queries only read, files are not created, and dirt comes through."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from tunesmith.core.errors import DataError, RecipeError
from tunesmith.data.sources import sql_query, sql_url
from tunesmith.data.sources.sql import SqlConfig, SqlSource


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "crm.db"
    connection = sqlite3.connect(path)
    connection.executescript(
        """CREATE TABLE tickets (id INTEGER PRIMARY KEY, body TEXT, intent TEXT, opened DATETIME, score REAL);
           INSERT INTO tickets VALUES (2, 'second', 'b', 'not a date', 1), (1, 'first', 'a', '2024-01-02', 'n/a');
           INSERT INTO tickets (id, body) VALUES (3, CAST(X'636166E9' AS TEXT));
           CREATE VIEW recent AS SELECT body, intent FROM tickets WHERE id < 3;"""
    )
    connection.close()
    return path


def source(path: Path, **what: Any) -> SqlSource:
    return SqlSource(SqlConfig(name="crm", url=f"sqlite:///{path}", **what))


def test_table_is_read_in_key_order_with_its_dirt(database: Path) -> None:
    opened = source(database, table="tickets")
    assert opened.describe().format == "sqlite table tickets"
    (batch,) = opened.read()
    assert batch.columns == {
        "id": [1, 2, 3],
        "body": ["first", "second", "café"],
        "intent": ["a", "b", None],
        "opened": ["2024-01-02", "not a date", None],
        "score": ["n/a", 1.0, None],
    }


def test_views_and_queries(database: Path) -> None:
    (view,) = source(database, table="recent").read()
    (query,) = source(database, query="select body, intent, body from tickets where id < 3").read()
    assert view.columns == {"body": ["first", "second"], "intent": ["a", "b"]}
    assert list(query.columns) == ["body", "intent", "body_2"]


def test_fingerprint_sees_a_changed_cell(database: Path) -> None:
    before = source(database, table="tickets").fingerprint()
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE tickets SET intent = 'c' WHERE id = 1")
    assert source(database, table="tickets").fingerprint() != before
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE tickets SET intent = 'a' WHERE id = 1")
    assert source(database, table="tickets").fingerprint() == before


def test_a_missing_database_is_not_created(tmp_path: Path, database: Path) -> None:
    with pytest.raises(DataError, match="no such file") as caught:
        source(tmp_path / "crn.db", table="tickets").describe()
    assert "crm.db" in str(caught.value.next) and not (tmp_path / "crn.db").exists()
    with pytest.raises(DataError, match="in memory"):
        SqlSource(SqlConfig(name="crm", url="sqlite://", table="t")).describe()


def test_a_relative_path_is_relative_to_the_working_folder(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(database.parent)
    assert SqlSource(SqlConfig(name="crm", url="sqlite:///crm.db", table="recent")).describe().columns == (
        "body",
        "intent",
    )


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("these are notes, and not a database at all\n" * 100)
    with pytest.raises(DataError, match="cannot be reached"):
        source(path, table="t").describe()


def test_nearest_names(database: Path) -> None:
    with pytest.raises(DataError, match="no table `ticket`") as table:
        source(database, table="ticket").describe()
    assert "table: tickets" in str(table.value.next)
    with pytest.raises(DataError, match="no table `ticket`") as named:
        source(database, query="select * from ticket").describe()
    assert "tickets" in str(named.value.next)
    with pytest.raises(DataError, match="no column `boddy`") as column:
        source(database, query="select boddy from tickets").describe()
    assert "body" in str(column.value.next)
    with pytest.raises(DataError, match="refused the query"):
        source(database, query="select from from").describe()


def test_no_rows_is_an_error(database: Path) -> None:
    with pytest.raises(DataError, match="has no rows"):
        list(source(database, query="select * from tickets where id > 99").read())


def test_sqlite_itself_refuses_to_write(database: Path) -> None:
    from tunesmith.data.sources.sql_connect import connected

    with (
        connected(f"sqlite:///{database}", source="crm", timeout_s=1) as opened,
        pytest.raises(OperationalError, match="readonly"),
    ):
        opened.connection.exec_driver_sql("DELETE FROM tickets")


@pytest.mark.parametrize(
    "query",
    [
        "select 1",
        "SELECT * FROM t; ",
        "-- why\nselect ';drop' as x /* ; */ from t -- end\n;",
        "with a as (select 1) select * from a",
        "(select 1) union (select 2)",
        """select "update", 'delete it''s' from "insert" """,
        "select updated_at, set_by, call from t where a like '%;%'",
        "select $$ ; drop table t $$",
    ],
)
def test_queries_that_only_read_pass(query: str) -> None:
    assert sql_query.check(query).rstrip() == query.rstrip("; \n")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "-- nothing",
        "delete from t",
        "UPDATE t SET a = 1",
        "select 1; drop table t",
        "with a as (delete from t returning *) select * from a",
        "with a as (insert into t values (1) returning *) select * from a",
        "select * into copy from t",
        "select * from t for update",
        r"select '\' ; drop table t; --'",
        r"select 'a\' ; drop table t",
        "select 1 /*! ; drop table t */",
        "pragma writable_schema = 1",
        "explain select 1",
        "attach 'x.db' as x",
        "select é$$ ; commit; drop table t; $$",
    ],
)
def test_queries_that_could_write_are_refused(query: str) -> None:
    with pytest.raises(RecipeError):
        sql_query.check(query)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@host/db",
        "postgresql://me:hunter2${env:X}@host/db",
        "postgresql://me@host/db?password=hunter2",
        "postgresql://me@host/db?sslpassword=hunter2",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3Dhunter2",
        "postgresql://me:hunter2@host:port/db",
    ],
)
def test_literal_secrets_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(RecipeError) as caught:
        SqlConfig(name="crm", url=url, table="t")
    assert "hunter2" not in str(caught.value) and caught.value.__suppress_context__ is not None
    assert "${env:" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "${env:CRM_URL}",
        "postgresql://me:${env:PW}@${env:HOST}/db",
        "postgresql://me@host/db?password=${env:PW}",
        "sqlite:///crm.db",
        "postgresql:///db?host=/tmp",
    ],
)
def test_references_are_kept_as_written(url: str) -> None:
    assert SqlConfig(name="crm", url=url, table="t").url == url


def test_references_are_resolved_when_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", "a/b@c:%d e")
    monkeypatch.setenv("HOST", "db.example")
    url, secrets = sql_url.resolve("postgresql://me:${env:PW}@${env:HOST}/db", source="crm")
    assert (url.password, url.host, url.database) == ("a/b@c:%d e", "db.example", "db")
    assert sql_url.scrubbed("failed for a/b@c:%d e and a%2Fb%40c%3A%25d+e", secrets) == "failed for *** and ***"
    assert sql_url.shown(url) == "postgresql://me:***@db.example/db"
    monkeypatch.setenv("ALL", "postgresql://me:pw@h/db?x=1")
    assert sql_url.resolve("${env:ALL}", source="crm")[0].password == "pw"


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRM_URL", raising=False)
    with pytest.raises(DataError, match="`CRM_URL` is not set"):
        SqlSource(SqlConfig(name="crm", url="${env:CRM_URL}", table="t")).describe()


def test_the_secret_is_in_no_form_of_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", "hunter2")
    config = SqlConfig(name="crm", url="postgresql://me:${env:PW}@127.0.0.1:1/db", table="t", connect_timeout_s=1)
    assert "hunter2" not in config.model_dump_json() + repr(config)
    with pytest.raises(DataError, match="cannot be reached") as caught:
        SqlSource(config).fingerprint()
    assert "hunter2" not in str(caught.value)


def test_missing_and_unknown_drivers_name_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="driver for oracle is not installed") as caught:
        SqlSource(SqlConfig(name="crm", url="oracle+oracledb://me@host/db", table="t")).describe()
    assert "pip install oracledb" in str(caught.value.next)
    with pytest.raises(DataError, match="knows no database `nosuchdb`"):
        SqlSource(SqlConfig(name="crm", url="nosuchdb://host/db", table="t")).describe()
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(DataError, match="driver for postgresql is not installed") as missing:
        SqlSource(SqlConfig(name="crm", url="postgresql://me@host/db", table="t")).describe()
    assert "tunesmith[postgres]" in str(missing.value.next)


@pytest.mark.parametrize("what", [{}, {"table": "t", "query": "select 1"}])
def test_exactly_one_of_table_and_query(what: dict[str, str]) -> None:
    with pytest.raises(RecipeError, match="exactly one"):
        SqlConfig(name="crm", url="sqlite:///crm.db", **what)  # type: ignore[arg-type]
