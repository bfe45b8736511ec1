"""Real, dirty files: every record is a row or refused, counted against an independent reading of the same bytes."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.unit.data.context import FakeContext

from tunesmith.data import dataset
from tunesmith.data.config import IngestConfig
from tunesmith.data.ingest import Ingest

FILES: dict[str, tuple[str, str, dict[str, str], str]] = {
    # file, known encoding, columns, detected format
    "sms_spam_cp1252": (
        "spam.csv", "cp1252", {"text": "v2", "label": "v1", "more": "column_3"},
        "csv (comma, mixed utf-8 and cp1252, header)",
    ),
    "tate_artists": (
        "artist_data.csv", "utf-8-sig", {"text": "name", "label": "gender", "dates": "dates"},
        "csv (comma, utf-8 with BOM, header)",
    ),
    "dirty_hospital": (
        "dirty.csv", "utf-8", {"text": "MeasureName", "label": "Condition", "subject": "ProviderNumber"},
        "csv (comma, utf-8, header)",
    ),
    "dirty_flights": (
        "dirty.csv", "utf-8", {"text": "flight", "label": "src", "segment": "act_dep_time"},
        "csv (comma, utf-8, header)",
    ),
    "banking77": ("train.csv", "utf-8", {"text": "text", "label": "category"}, "csv (comma, utf-8, header)"),
    "emobank": (
        "emobank.csv", "utf-8", {"text": "text", "label": "V", "split": "split"}, "csv (comma, utf-8, header)",
    ),
}  # fmt: skip
# Valid UTF-8 by accident in a file that is cp1252: the one cell of 5,575 that line-by-line decoding reads otherwise.
KNOWN_DIFFERENCES = {"sms_spam_cp1252": 1}


@pytest.mark.parametrize("name", FILES)
def test_read_is_rows_plus_refused(name: str, shared_data: Path, tmp_path: Path) -> None:
    file, encoding, columns, expected_format = FILES[name]
    path = shared_data / name / file
    context = FakeContext(tmp_path)
    source: dict[str, Any] = {"name": name, "kind": "csv", "path": str(path), "columns": columns}
    facts = Ingest(IngestConfig(source=source)).run({}, context)["dataset"]  # type: ignore[arg-type]
    artifact = context.artifact("dataset", "dataset", facts)
    rows = dataset.scan(artifact).collect()

    with path.open(encoding=encoding, newline="") as stream:
        header, *records = [record for record in csv.reader(stream) if record]
    whole = [record for record in records if len(record) == len(header)]
    assert facts["format"] == expected_format
    assert facts["rows_read"] == facts["rows"] + sum(facts["refused"].values()) == len(records)
    assert facts["rows"] == rows.height == len(whole)
    assert sum(facts["refused"].values()) == dataset.read_refused(artifact).height == len(records) - len(whole)
    assert rows["row_id"].n_unique() == rows.height

    for left, right in columns.items():
        if left == "subject":
            continue
        place = int(right.removeprefix("column_")) - 1 if right.startswith("column_") else header.index(right)
        theirs = [record[place] for record in whole]
        different = sum(ours != other for ours, other in zip(rows[left].to_list(), theirs, strict=True))
        assert different == (KNOWN_DIFFERENCES.get(name, 0) if left == "text" else 0)
        if left == "label":
            assert Counter(rows["label"].to_list()) == Counter(theirs)


def test_hashed_subjects_keep_who_is_who(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "dirty_hospital" / "dirty.csv"
    context = FakeContext(tmp_path)
    source = {"name": "h", "kind": "csv", "path": str(path), "columns": FILES["dirty_hospital"][2]}
    facts = Ingest(IngestConfig(source=source)).run({}, context)["dataset"]  # type: ignore[arg-type]
    rows = dataset.scan(context.artifact("dataset", "dataset", facts)).collect()
    with path.open(encoding="utf-8", newline="") as stream:
        providers = [record["ProviderNumber"] for record in csv.DictReader(stream)]
    pairs = set(zip(providers, rows["subject"].to_list(), strict=True))
    assert len(pairs) == len(set(providers)) == rows["subject"].n_unique()
