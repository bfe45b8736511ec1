"""Erasing where rows come by pulls, are pseudonymised, or are conversations."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest
from sqlalchemy import select
from tests import planted, tiny
from tests.postgres import PASSWORD, PostgresServer

from tunesmith import api
from tunesmith.core.artifact import Artifact
from tunesmith.lifecycle.session import Session, open_session
from tunesmith.store.artifacts import ArtifactStore
from tunesmith.store.database import reading
from tunesmith.store.records import ArtifactRecord
from tunesmith.store.tables import STEPS


def made_by(session: Session, name: str) -> list[dict[str, ArtifactRecord]]:
    """What every step of a name made, the oldest first."""
    with reading(session.ledger.engine) as connection:
        keys = (
            connection.execute(select(STEPS.c.key).where(STEPS.c.name == name).order_by(STEPS.c.ended)).scalars().all()
        )
    return [session.ledger.find_step(key) or {} for key in keys]


def rows_of(session: Session, one: ArtifactRecord) -> pl.DataFrame:
    opened: Artifact = ArtifactStore(session.workspace, session.ledger).load(one.digest)
    return pl.concat([pl.read_parquet(path) for path in sorted(opened.path.glob("part-*.parquet"))])


def recipe(source: dict[str, Any], **more: Any) -> dict[str, Any]:
    columns = {"text": "text", "label": "label", "subject": "who"}
    data = {"sources": [{"name": "crm", "columns": columns, **source}], "clean": {"near_duplicates": None}, **more}
    return {"name": "desk", "task": "classify", "data": data, "model": str(tiny.encoder("bert")), "gate": {}}


def test_a_pull_goes_on_without_them_and_makes_what_one_pull_makes(tmp_path: Path) -> None:
    everybody = planted.people(6)
    gone = everybody[2]
    rows = [(one.id, text, label) for one in everybody for text, label in zip(one.texts, one.labels, strict=True)]

    def put(first: int, last: int) -> None:
        connection = sqlite3.connect(tmp_path / "crm.db")
        with connection:
            connection.execute("CREATE TABLE IF NOT EXISTS t (id integer PRIMARY KEY, who, text, label, at integer)")
            for key in range(first, last):
                connection.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?)", (key, *rows[key], key))
        connection.close()

    source = {"kind": "sql", "url": f"sqlite:///{tmp_path / 'crm.db'}", "table": "t"}
    asked = recipe({**source, "cursor": {"column": "at", "key": "id"}})
    put(0, 15)
    home = tmp_path / "home"
    api.plan(asked, home=home)
    told = api.erase(gone.id, "request 1", home=home)
    assert (
        told.rows == 3 and told.is_clean and {"dataset", "cursor", "splits"} <= {one["kind"] for one in told.artifacts}
    )
    put(15, 18)
    api.plan(asked, home=home)
    with open_session(home) as session:
        first, last = [one["dataset"] for one in made_by(session, "ingest:crm")]
        assert first.facts["rows"] == 12 and last.facts["rows"] == 15 == rows_of(session, last).height
        assert last.facts["pulled"]["how"] == "what is new" and last.facts["pulled"]["unchanged"] == 12
        assert last.facts["erased"] == 3
        cursor = made_by(session, "ingest:crm")[-1]["cursor"]
        keys = pl.read_parquet(session.workspace.blobs.open(cursor.digest) / "keys.parquet")
        assert keys["row_id"].to_list() == rows_of(session, last)["row_id"].to_list()
    assert planted.hits(home, list(gone.traces)) == {}


def test_a_sealed_name_goes_with_the_person_and_others_are_still_led_back(tmp_path: Path) -> None:
    people = [("CUST-000001", "zora.quell@example.org"), ("CUST-000002", "mip.draxwyn@example.org")]
    texts, labels = tiny.sentences(30)
    rows = [
        {"who": people[place % 2][0], "text": f"{text}, write to {people[place % 2][1]}", "label": label}
        for place, (text, label) in enumerate(zip(texts, labels, strict=True))
    ]
    pl.DataFrame(rows).write_csv(tmp_path / "rows.csv")
    home = tmp_path / "home"
    asked = recipe({"kind": "csv", "path": str(tmp_path / "rows.csv")}, privacy={"on_pii": "pseudonymise"})
    api.plan(asked, home=home)
    with open_session(home) as session:
        before = made_by(session, "privacy:crm")[0]
        tokens = {
            row["subject"]: next(word for word in row["text"].split() if word.startswith("EMAIL_"))
            for row in rows_of(session, before["dataset"]).to_dicts()
        }
    told = api.erase(people[0][0], "request 1", home=home)
    theirs = tokens.pop(told.subject)
    [other] = tokens.values()
    assert told.is_clean and "findings" in {one["kind"] for one in told.artifacts}
    with open_session(home) as session:
        after = made_by(session, "privacy:crm")[0]
        folder = session.workspace.blobs.open(after["findings"].digest)
        sealed = pl.concat([pl.read_parquet(path) for path in folder.glob("pseudonyms-*.parquet")])
    assert sealed["token"].to_list() == [other]
    assert planted.hits(home, [theirs, *people[0]]) == {}


def test_conversations_and_their_tokens_are_erased(tmp_path: Path) -> None:
    everybody = planted.people(12)
    lines = [
        {"who": one.id, "messages": [{"role": "user", "content": text}, {"role": "assistant", "content": label}]}
        for one in everybody
        for text, label in zip(one.texts, one.labels, strict=True)
    ]
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    source = {"kind": "jsonl", "name": "chats", "path": str(tmp_path / "chats.jsonl")}
    source |= {"columns": {"messages": "messages", "subject": "who"}}
    asked: dict[str, Any] = {
        "name": "chat",
        "task": "generate",
        "data": {"sources": [source], "clean": {"near_duplicates": None}},
        "model": str(tiny.decoder("llama")),
        "train": [{"method": "sft"}],
        "gate": {},
    }
    home = tmp_path / "home"
    api.plan(asked, home=home)
    found = planted.hits(home, list(everybody[0].traces))
    assert found
    told = api.erase(everybody[0].id, "request 1", home=home)
    kinds = {one["kind"] for one in told.artifacts}
    assert told.rows == 3 and told.is_clean and {"dataset", "splits", "tokens"} <= kinds
    assert planted.hits(home, list(everybody[0].traces)) == {}
    # The tokens are made again, of the rows that are left.
    api.plan(asked, home=home)
    assert planted.hits(home, list(everybody[0].traces)) == {} and planted.hits(home, list(everybody[1].traces))


def test_a_ledger_on_a_server_is_cleaned_as_well(
    tmp_path: Path,
    postgres: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = f"postgresql+psycopg://tester:{quote(PASSWORD, safe='')}@/postgres?host={postgres.folder}"
    monkeypatch.setenv("TUNESMITH_LEDGER", url)
    everybody = planted.people(6)
    planted.write_sources(everybody, tmp_path)
    home = tmp_path / "home"
    api.plan(recipe({"kind": "csv", "path": str(tmp_path / "tickets.csv")}), home=home)
    for project, number in (("default", 2), ("default", 0)):
        told = api.erase(everybody[0].id, "request 1", home=home, project=project)
        assert told.is_clean and told.rows == number and not any("keeps bytes" in note for note in told.notes)
    assert planted.hits(home, list(everybody[0].traces)) == {}
    with open_session(home) as session:
        [dataset] = [one["dataset"] for one in made_by(session, "ingest:crm")]
        assert rows_of(session, dataset).height == dataset.facts["rows"] == 10
