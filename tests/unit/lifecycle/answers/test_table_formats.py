"""A file of rows is read wherever one is asked for, in every format that a recipe's sources have."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.unit.lifecycle.answers.conftest import rule_manifest

from tunesmith.core.errors import RecipeError
from tunesmith.data.dataset import scan
from tunesmith.lifecycle.explain import texts_of
from tunesmith.lifecycle.measure import measure
from tunesmith.lifecycle.model import Model
from tunesmith.lifecycle.observed import Observed, from_file
from tunesmith.lifecycle.predict_file import answers_name, predict_file
from tunesmith.lifecycle.session import Session
from tunesmith.lifecycle.starter import init
from tunesmith.lifecycle.suggest import recipe_of
from tunesmith.recipe.load import load
from tunesmith.store.records import ModelVersion

ROWS = [
    {"message": "my money please, all of it", "n": 1, "label": "refund"},
    {"message": "good day to you", "n": 2, "label": "greeting"},
    {"message": None, "n": 3, "label": "greeting"},
    {"message": "where is my money now", "n": 4, "label": "greeting"},
]
LINES = "\n".join(map(json.dumps, ROWS)) + "\n"


def _packed(path: Path, content: str) -> None:
    path.write_bytes(gzip.compress(content.encode()))


WRITERS: dict[str, Callable[[Path], object]] = {
    "in.csv": lambda path: pl.DataFrame(ROWS).write_csv(path),
    "in.csv.gz": lambda path: _packed(path, pl.DataFrame(ROWS).write_csv()),
    "in.jsonl": lambda path: path.write_text(LINES),
    "in.jsonl.gz": lambda path: _packed(path, LINES),
    "in.json": lambda path: path.write_text(json.dumps(ROWS, indent=1)),
    "in.json.gz": lambda path: _packed(path, json.dumps(ROWS)),
    "lines.json": lambda path: path.write_text(LINES),
    "array.jsonl": lambda path: path.write_text(json.dumps(ROWS)),
    "in.parquet": lambda path: pl.DataFrame(ROWS).write_parquet(path),
    "in.arrow": lambda path: pl.DataFrame(ROWS).write_ipc(path),
    "parquet.data": lambda path: pl.DataFrame(ROWS).write_parquet(path),
    "stream.data": lambda path: pl.DataFrame(ROWS).write_ipc_stream(path),
}


@pytest.fixture(params=sorted(WRITERS))
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The same rows in a file of each format."""
    made = tmp_path / str(request.param)
    WRITERS[request.param](made)
    return made


def observed(session: Session, path: Path, most: int = 100, label: str | None = None) -> Observed:
    manifest = rule_manifest("classify", ("greeting", "refund"))
    version = ModelVersion("m", 1, "ab" * 32, "run-1", "better", datetime(2026, 1, 1, tzinfo=UTC))
    return from_file(
        session, version, manifest, path, most, text_column="message", label_column=label, trained_on=[], seed=0
    )


def table(found: Observed) -> pl.DataFrame:
    return scan(found.dataset).collect()


def test_a_check_reads_it(session: Session, path: Path) -> None:
    found = observed(session, path, label="label")
    assert found.rows == {"read": 4, "looked_at": 3, "text is empty": 1}
    rows = table(found)
    assert rows["text"].to_list() == [one["message"] for one in ROWS if one["message"]]
    assert rows["truth"].to_list() == ['"refund"', '"greeting"', '"greeting"']


def test_it_is_measured_and_explained(session: Session, classifier: Model, path: Path) -> None:
    told = measure(session, classifier, path, "label", text_column="message", num_samples=100)
    assert told.rows == {"read": 4, "measured": 3, "text is empty": 1}
    assert told.metrics["accuracy"]["value"] == pytest.approx(2 / 3)
    assert texts_of(path, "message", []) == ([str(one["message"]) for one in ROWS if one["message"]], 1)


def test_its_answers_come_back(session: Session, classifier: Model, path: Path) -> None:
    is_csv = ".csv" in path.name
    out = path.with_name("out.csv" if is_csv else "out.jsonl")
    told = predict_file(session, classifier, path, out, text_column="message")
    assert told.rows == {"read": 4, "predicted": 3, "empty": 1, "refused": 0}
    back = pl.read_csv(out).to_dicts() if is_csv else [json.loads(line) for line in out.read_text().splitlines()]
    given = [{name: cell for name, cell in one.items() if name in ROWS[0]} for one in back]
    assert given == ROWS
    assert [one.get("predicted_label") for one in back] == ["refund", "greeting", None, "refund"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("in.csv.gz", "csv"), ("in.jsonl.gz", "jsonl"), ("in.json", "json"), ("lines.json", "jsonl"),
        ("array.jsonl", "json"), ("in.parquet", "parquet"), ("stream.data", "arrow"),
    ],
)  # fmt: skip
def test_a_recipe_is_written_for_it(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    init(tmp_path, path)
    (source,) = load(tmp_path / "recipe.yaml").data.sources
    assert (source.kind, source.columns) == (kind, {"text": "message", "label": "label"})  # type: ignore[attr-defined]
    if name != "stream.data":  # a file that models are suggested for is told from a recipe by its name
        found = recipe_of(path, None)
        assert isinstance(found, dict) and found["data"]["sources"][0]["kind"] == kind


def test_answers_go_where_their_format_is_told_by_the_name(
    session: Session, classifier: Model, path: Path, tmp_path: Path
) -> None:
    is_csv = ".csv" in path.name
    for name in ("out.parquet", "out.json.gz", "out.csv.gz", "out.arrow", "out.jsonl" if is_csv else "out.csv"):
        with pytest.raises(RecipeError, match="the answers") as caught:
            predict_file(session, classifier, path, tmp_path / name, text_column="message")
        fitting = "out.csv" if is_csv else "out.json" if path.name == "lines.json" else "out.jsonl"
        assert caught.value.next == f"--out {tmp_path / fitting}"
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a.csv", "a-predicted.csv"), ("a.tsv.gz", "a-predicted.tsv"), ("a.b.jsonl.zst", "a.b-predicted.jsonl"),
        ("a.parquet", "a-predicted.jsonl"), ("a.json", "a-predicted.jsonl"), ("a.txt", "a-predicted.txt"),
        ("a", "a-predicted.csv"),
    ],
)  # fmt: skip
def test_the_name_that_is_proposed_for_answers(name: str, wanted: str) -> None:
    assert answers_name(Path("there") / name) == Path("there") / wanted


def test_cells_of_every_type_come_back_as_json(session: Session, classifier: Model, tmp_path: Path) -> None:
    moment = datetime(2026, 11, 22, 1, 2, 3)
    pl.DataFrame(
        {"text": ["my money"], "list": [[1, 2]], "when": [moment], "share": [float("inf")], "none": [float("nan")]}
    ).write_parquet(tmp_path / "in.parquet")
    told = predict_file(session, classifier, tmp_path / "in.parquet", tmp_path / "out.jsonl")
    (line,) = (tmp_path / "out.jsonl").read_text().splitlines()
    back = json.loads(line, parse_constant=lambda name: pytest.fail(f"no JSON: {name}"))
    given = {"text": "my money", "list": "[1,2]", "when": moment.isoformat(), "share": "inf", "none": None}
    assert back == given | {"label": "refund", "probability": 0.75}
    assert told.notes == ["1 cells of `none` are NaN, read as missing"]


def test_records_that_are_no_rows_stay_in_their_place(session: Session, classifier: Model, tmp_path: Path) -> None:
    path, out = tmp_path / "in.json", tmp_path / "out.jsonl"
    path.write_text('[{"message": "my money"}, 7, {"message": "good day", "late": 1}, {"message": "x", "n": NaN}]')
    told = predict_file(session, classifier, path, out)
    assert told.rows == {"read": 4, "predicted": 2, "empty": 0, "refused": 2}
    first, second, third, fourth = map(json.loads, out.read_text().splitlines())
    assert (first["label"], third["label"], third["late"]) == ("refund", "greeting", 1)
    assert "7" in second["tunesmith_error"] and "NaN" in fourth["tunesmith_error"]


def test_a_check_says_why_records_were_not_read(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(LINES + "{broken\n{broken again\n7\n")
    found = observed(session, path)
    assert found.rows == {"read": 7, "looked_at": 3, "text is empty": 1, "refused": 3}
    (note,) = found.notes
    assert note.startswith("in.jsonl: 3 records cannot be read as rows: invalid JSON (2), ")


def test_a_check_of_more_rows_than_it_looks_at_holds_only_those(session: Session, tmp_path: Path) -> None:
    words = "a text that is long enough to be seen in memory, " * 10
    pl.DataFrame({"message": [f"{words}{at}" for at in range(100_000)]}).write_parquet(
        tmp_path / "in.parquet", compression="uncompressed"
    )
    tracemalloc.start()
    try:
        found = observed(session, tmp_path / "in.parquet", most=100)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.rows == {"read": 100_000, "looked_at": 100, "not drawn": 99_900}
    assert peak < 20 * 2**20  # all texts together are 50 MB
    drawn = np.sort(np.random.default_rng([0, 33]).permutation(100_000)[:100])
    assert table(found)["text"].to_list() == [f"{words}{at}" for at in drawn]
