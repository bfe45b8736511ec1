"""Ingest: every record of a source once, with lineage, under the recipe's names."""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.unit.data.context import FakeContext

from tunesmith.core import digests, wiring
from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import DataError, Interrupted, RecipeError
from tunesmith.core.source import Batch, Description, Refused
from tunesmith.data import dataset
from tunesmith.data.config import IngestConfig
from tunesmith.data.ingest import Ingest
from tunesmith.data.prepare import Prepare
from tunesmith.data.prepare_config import CleanConfig, PrepareConfig, SplitConfig
from tunesmith.data.sources.config import SourceConfig
from tunesmith.data.sources.csv import CsvConfig


def ingest(folder: Path, **source: Any) -> tuple[Artifact, dict[str, Any]]:
    context = FakeContext(folder)
    facts = Ingest(IngestConfig(source=source)).run({}, context)["dataset"]  # type: ignore[arg-type]
    return context.artifact("dataset", "dataset", facts), dict(facts)


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    path = tmp_path / "tickets.csv"
    path.write_text(
        "message,intent,customer,tier\n"
        "Where is my card?,card_arrival,c-1,gold\n"
        "Ärger mit PIN,pin,c-2,basic\n"
        "too,many,fields,in,here\n"
        "Where is my card?,card_arrival,c-1,gold\n"
        "anonymous,pin, ,basic\n"
    )
    return path


MAPPED = {"text": "message", "label": "intent", "subject": "customer"}


def test_rows_and_facts_follow_the_contract(tmp_path: Path, tickets: Path) -> None:
    artifact, facts = ingest(
        tmp_path / "one", name="export", kind="csv", path=str(tickets), columns=MAPPED, purpose="support", licence="own"
    )
    assert facts == {
        "source": "export",
        "kind": "csv",
        "format": "csv (comma, utf-8, header)",
        "columns": ["text", "label"],
        "notes": [],
        "rows_read": 5,
        "rows": 4,
        "refused": {"too many fields": 1},
        "purpose": "support",
        "licence": "own",
    }
    rows = dataset.scan(artifact).collect()
    assert rows.columns == [*dataset.LINEAGE, "text", "label"]
    assert rows["text"].to_list() == ["Where is my card?", "Ärger mit PIN", "Where is my card?", "anonymous"]
    assert set(rows["source_id"]) == {"export"}
    assert rows["parents"].to_list() == [[]] * 4
    assert dataset.read_refused(artifact).rows() == [(3, "too many fields", "too,many,fields,in,here")]
    manifest = json.loads((artifact.path / "manifest.json").read_text())
    assert manifest["rows"] == 4 and manifest["shards"] == ["part-00000.parquet"]
    assert list(manifest["columns"]) == rows.columns
    json.dumps(facts)


def test_subjects_are_keyed_hashes_and_the_plain_value_is_nowhere(tmp_path: Path, tickets: Path) -> None:
    artifact, _ = ingest(tmp_path / "one", name="export", kind="csv", path=str(tickets), columns=MAPPED)
    expected = hmac.new(b"k" * 32, b"c-1", hashlib.sha256).hexdigest()[:32]
    assert dataset.scan(artifact).collect()["subject"].to_list()[::2] == [expected] * 2
    assert dataset.scan(artifact).collect()["subject"][3] is None, "a blank customer is no customer"
    assert all(b"c-1" not in file.read_bytes() for file in artifact.path.iterdir())


def test_row_ids_are_unique_stable_and_independent_of_other_rows(tmp_path: Path, tickets: Path) -> None:
    source = {"name": "export", "kind": "csv", "path": str(tickets), "columns": MAPPED}
    before = dataset.scan(ingest(tmp_path / "one", **source)[0]).collect()["row_id"].to_list()
    assert len(set(before)) == 4
    lines = tickets.read_text().splitlines()
    tickets.write_text("\n".join([lines[0], "a new one,pin,c-9,gold", *lines[1:]]) + "\n")
    after = dataset.scan(ingest(tmp_path / "two", **source)[0]).collect()["row_id"].to_list()
    assert after[1:] == before
    renamed = dataset.scan(ingest(tmp_path / "three", **(source | {"name": "other"}))[0]).collect()["row_id"]
    assert not set(renamed) & set(after)


def test_equal_input_gives_equal_bytes(tmp_path: Path, tickets: Path) -> None:
    source = {"name": "export", "kind": "csv", "path": str(tickets), "columns": MAPPED}
    one, two = (ingest(tmp_path / name, **source)[0].path for name in ("one", "two"))
    assert digests.of_folder(one) == digests.of_folder(two)


def test_all_columns_are_kept_under_their_names_without_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,row_id,subject,split\nhello,7,me,test\n")
    artifact, facts = ingest(tmp_path / "one", name="a", kind="csv", path=str(path), split="train")
    (row,) = dataset.scan(artifact).collect().to_dicts()
    assert (row["text"], row["source_row_id"], row["split"]) == ("hello", "7", "train")
    assert len(row["subject"]) == 32 and len(row["row_id"]) == 32
    assert facts["columns"] == ["text", "source_row_id", "split"]
    assert len(facts["notes"]) == 2


def test_a_given_split_is_a_column(tmp_path: Path, tickets: Path) -> None:
    artifact, _ = ingest(tmp_path, name="gold", kind="csv", path=str(tickets), columns=MAPPED, split="test")
    assert dataset.scan(artifact).collect()["split"].to_list() == ["test"] * 4


@pytest.mark.parametrize(
    ("columns", "what", "way_out"),
    [
        ({"text": "mesage", "label": "intent"}, "no column `mesage`", "text: message"),
        ({"text": "MESSAGE"}, "no column `MESSAGE`", "text: message"),
        ({"label": "intent"}, "no column for the role `text`", "text: message"),
        ({}, "no column for the role `text`", "text: message"),
        ({"text": "message", "split": "tier"}, "gives its split twice", "one split"),
    ],
)
def test_wrong_columns_are_recipe_errors_that_name_the_way_out(
    tmp_path: Path, tickets: Path, columns: dict[str, str], what: str, way_out: str
) -> None:
    with pytest.raises(RecipeError, match=what) as caught:
        ingest(tmp_path, name="e", kind="csv", path=str(tickets), columns=columns, split="train")
    assert way_out in str(caught.value.next)


def test_numbers_of_typed_sources_keep_their_type_and_mixtures_become_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines: list[dict[str, Any]] = [{"text": "a", "n": 1, "x": 1, "mixed": 1, "is": True, "huge": 2**70, "odd": True}]
    lines += [{"text": "b", "n": 2, "x": 0.5, "mixed": None, "is": None}] * 12_000
    lines += [{"text": "c", "n": None, "x": 2, "mixed": "one", "is": False, "late": 3, "odd": 2}]
    path.write_text("\n".join(map(json.dumps, lines)))
    artifact, facts = ingest(tmp_path / "one", name="a", kind="jsonl", path=str(path))
    rows = dataset.scan(artifact).collect()
    assert rows.select("n", "x", "mixed", "is", "huge", "late").dtypes == [
        pl.Int64, pl.Float64, pl.String, pl.Boolean, pl.String, pl.Int64,
    ]  # fmt: skip
    assert rows["mixed"].to_list() == ["1", *[None] * 12_000, "one"]
    assert rows["huge"][0] == str(2**70) and rows["odd"].drop_nulls().to_list() == ["true", "2"]
    assert rows["late"].to_list()[-2:] == [None, 3]
    assert facts["rows"] == 12_002 and len(set(rows["row_id"])) == 12_002


def test_shards_are_bounded_and_agree_on_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "SHARD_BYTES", 300_000)
    path = tmp_path / "a.jsonl"
    lines = [{"text": f"row {number}", "n": number} for number in range(30_000)] + [
        {"text": "last", "n": "x", "new": 1}
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    artifact, _ = ingest(tmp_path / "one", name="a", kind="jsonl", path=str(path))
    manifest = json.loads((artifact.path / "manifest.json").read_text())
    assert len(manifest["shards"]) == 4
    schemas = [pl.read_parquet_schema(artifact.path / shard) for shard in manifest["shards"]]
    assert all(schema == schemas[0] for schema in schemas) and schemas[0]["n"] == pl.String
    rows = dataset.scan(artifact).collect()
    assert rows["text"].to_list() == [line["text"] for line in lines]
    assert rows["n"].to_list() == [str(line["n"]) for line in lines]
    assert rows["new"].to_list() == [None] * 30_000 + [1]


def test_database_rows(tmp_path: Path) -> None:
    path = tmp_path / "crm.db"
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT, score REAL, customer INTEGER);"
        "INSERT INTO t VALUES (1, 'a', 0.5, 77), (2, 'b', 1, NULL)"
    )
    connection.close()
    columns = {"text": "body", "label": "score", "subject": "customer"}
    artifact, facts = ingest(
        tmp_path / "one", name="crm", kind="sql", url=f"sqlite:///{path}", table="t", columns=columns
    )
    rows = dataset.scan(artifact).collect()
    assert rows["label"].to_list() == [0.5, 1.0] and rows["subject"].is_null().to_list() == [False, True]
    assert facts["kind"] == "sql" and facts["format"] == "sqlite table t"


class ManyRefused:
    """A source with nothing but refused records, more than are held in memory."""

    def __init__(self, config: SourceConfig) -> None:
        pass

    def describe(self) -> Description:
        return Description("fake", ("text",))

    def fingerprint(self) -> str:
        return "fake"

    def read(self, since: str | None = None) -> Any:
        for start in range(1, 120_001, 10_000):
            yield Batch({"text": []}, tuple(Refused("bad", f"é{n}", n) for n in range(start, start + 10_000)))


def test_refused_records_are_all_kept_in_order(tmp_path: Path) -> None:
    wire = wiring.Wire("source", "fake", f"{__name__}:ManyRefused", "tunesmith.data.sources.config:SourceConfig")
    context = FakeContext(tmp_path)

    class FakeConfig(SourceConfig):
        kind: str = "fake"

    with wiring.added(wire):
        facts = Ingest(IngestConfig(source=FakeConfig(name="f"))).run({}, context)["dataset"]
    artifact = context.artifact("dataset", "dataset", facts)
    assert facts["refused"] == {"bad": 120_000} and facts["rows_read"] == 120_000 and facts["rows"] == 0
    refused = dataset.read_refused(artifact)
    assert refused["position"].to_list() == list(range(1, 120_001))
    assert dataset.scan(artifact).collect().columns == [*dataset.LINEAGE, "text"]
    assert sorted(file.name for file in artifact.path.iterdir()) == [
        "manifest.json",
        "part-00000.parquet",
        "refused.parquet",
    ]


def test_progress_is_told_and_a_stop_is_heard(tmp_path: Path, tickets: Path) -> None:
    config = IngestConfig(source={"name": "e", "kind": "csv", "path": str(tickets), "columns": MAPPED})  # type: ignore[arg-type]
    context = FakeContext(tmp_path / "one")
    Ingest(config).run({}, context)
    assert context.told == [(5, 0, "rows", "e")]
    with pytest.raises(Interrupted):
        Ingest(config).run({}, FakeContext(tmp_path / "two", cancel=Interrupted("stop")))


def test_the_union_refuses_unknown_kinds_and_keys() -> None:
    with pytest.raises(Exception, match="no source of kind `cvs`"):
        IngestConfig(source={"name": "a", "kind": "cvs", "path": "x"})  # type: ignore[arg-type]
    with pytest.raises(Exception, match="Extra inputs"):
        IngestConfig(source={"name": "a", "kind": "csv", "path": "x", "delim": ";"})  # type: ignore[arg-type]


def test_config_survives_the_way_through_json(tickets: Path) -> None:
    config = IngestConfig(source={"name": "e", "kind": "csv", "path": str(tickets), "columns": MAPPED})  # type: ignore[arg-type]
    assert IngestConfig.model_validate_json(config.model_dump_json()) == config


def test_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        ingest(tmp_path, name="a", kind="csv", path=str(tmp_path / "none.csv"))
    assert not (tmp_path / "out" / "dataset").exists()


@pytest.mark.parametrize("group_by", [None, "subject"])
def test_two_projects_draw_the_same_splits_though_their_subjects_hash_differently(
    tmp_path: Path, group_by: str | None
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label,customer\n" + "".join(f"message {i} {i * i},{i % 3},c{i % 17}\n" for i in range(120)))
    columns = {"text": "text", "label": "label", "subject": "customer"}
    config = IngestConfig(source=CsvConfig(kind="csv", name="rows", path=str(path), columns=columns))
    drawn, subjects = [], []
    for key in (b"a" * 32, b"b" * 32):
        context = FakeContext(tmp_path / key.decode()[0], key=key)
        facts = Ingest(config).run({}, context)["dataset"]
        prepare = FakeContext(tmp_path / key.decode()[0] / "prepare")
        split = SplitConfig(group_by=group_by)
        given = {"rows": context.artifact("dataset", "dataset", facts)}
        Prepare(PrepareConfig(task="classify", clean=CleanConfig(near_duplicates=None), split=split)).run(
            given, prepare
        )
        test = pl.read_parquet(prepare.out / "splits" / "test.parquet")
        drawn.append(test["text"].to_list())
        subjects.append(set(test["subject"]))
    assert drawn[0] == drawn[1]
    assert not subjects[0] & subjects[1]
