"""Real, dirty tables through ingest and prepare: nothing is lost, and the counts agree with plain Python's."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tunesmith.core import wiring
from tunesmith.core.artifact import Artifact, MadeBy
from tunesmith.core.config import Config
from tunesmith.core.errors import DataError
from tunesmith.core.source import Source
from tunesmith.data.config import IngestConfig
from tunesmith.data.ingest import Ingest
from tunesmith.data.prepare import Prepare
from tunesmith.data.prepare_config import CleanConfig, PrepareConfig, Rule

PLAIN = CleanConfig(unicode=False, near_duplicates=None)


class Context:
    """As much of a step's context as these two stages use."""

    def __init__(self, out: Path) -> None:
        self.out, self.scratch, self.seed, self.project = out, out, 0, "default"

    def progress(self, done: float, total: float, unit: str, note: str = "") -> None:
        pass

    def check_cancelled(self) -> None:
        pass

    def warn(self, message: str) -> None:
        pass

    def subject_key(self) -> bytes:
        return bytes(32)

    def source(self, config: Config) -> Source:
        opened: Source = wiring.load(wiring.wire("source", config.kind).make)(config)  # type: ignore[attr-defined]
        return opened


def records(path: Path, encoding: str = "utf-8-sig") -> list[dict[str, str]]:
    with path.open(encoding=encoding, newline="") as stream:
        return list(csv.DictReader(stream))


def journey(folder: Path, path: Path, columns: dict[str, str], **config: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The facts of splits and quality, checked against the files: every record read is in exactly one of them."""
    source = {"kind": "csv", "name": "real", "path": str(path), "columns": columns}
    read = Ingest(IngestConfig(source=source)).run({}, Context(folder))["dataset"]  # type: ignore[arg-type]
    given = {"real": Artifact("dataset", "d", folder / "dataset", read, MadeBy("k", "ingest", 0))}
    made = Prepare(PrepareConfig(**{"task": "classify", **config})).run(given, Context(folder))  # type: ignore[arg-type]
    facts = made["splits"]
    height = {file.stem: pl.read_parquet(file).height for file in (folder / "splits").glob("*.parquet")}
    kept = height["train"] + height["validation"] + height["test"]
    assert facts["rows"] == {
        "read": read["rows_read"], "kept": kept, "removed": height["removed"], "quarantined": height["quarantine"],
    }  # fmt: skip
    assert read["rows_read"] == kept + height["removed"] + height["quarantine"]
    assert facts["by_source"] == {"real": facts["rows"]}
    ids = [pl.read_parquet(file)["row_id"].drop_nulls() for file in (folder / "splits").glob("*.parquet")]
    assert pl.concat(ids).n_unique() == read["rows"]
    return facts, made["quality"]


def same(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().lower()


def test_sms_spam(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "sms_spam_cp1252" / "spam.csv"
    with path.open(encoding="cp1252", newline="") as stream:
        rows = [(row[0], row[1]) for row in csv.reader(stream)][1:]
    assert len(rows) - len(set(rows)) == 403
    repeats = len(rows) - len({(label, same(text)) for label, text in rows})
    columns = {"text": "v2", "label": "v1"}
    facts, _ = journey(tmp_path / "plain", path, columns, clean=PLAIN, contamination=None)
    assert facts["rows"] == {"read": 5575, "kept": 5575 - repeats, "removed": repeats, "quarantined": 0}
    assert facts["removed"] == {"exact duplicate": repeats}
    facts, quality = journey(tmp_path / "default", path, columns, contamination=None)
    assert facts["rows"]["read"] == 5575
    # Repairs can only make more texts equal, never fewer.
    assert quality["uniqueness"]["exact_duplicates"] >= repeats
    assert quality["uniqueness"]["near_duplicates"] > 0
    assert quality["uniqueness"]["across_splits"] == 0
    kept = facts["splits"]["train"] + facts["splits"]["validation"] + facts["splits"]["test"]
    for split, share in {"test": 0.2, "validation": 0.1}.items():
        for label, count in quality["balance"]["counts"].items():
            assert abs(facts["label_counts"][split][label] - share * count) < 1
        assert abs(facts["splits"][split] - share * kept) <= 1


def test_tate_artists(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "tate_artists" / "artist_data.csv"
    rows = records(path)
    labelled = [row for row in rows if row["gender"].strip()]
    odd = [row for row in labelled if row["yearOfBirth"] and not re.fullmatch(r"\d{4}", row["yearOfBirth"])]
    columns = {"text": "name", "label": "gender", "born": "yearOfBirth", "place": "placeOfBirth"}
    rules = [Rule(column="born", pattern=r"^\d{4}$"), Rule(column="text", min_chars=2)]
    facts, quality = journey(tmp_path, path, columns, rules=rules, clean=PLAIN)
    assert facts["rows"]["read"] == 3532
    assert facts["quarantined"]["label is missing"] == 116 == len(rows) - len(labelled)
    assert [entry["broken"] for entry in quality["validity"]] == [len(odd), 0]
    assert quality["completeness"]["place"]["missing"] == sum(not row["placeOfBirth"].strip() for row in rows) == 492
    assert "14 % of the rows have no `place`" in quality["notes"]


def test_dirty_hospital(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "dirty_hospital" / "dirty.csv"
    rows = records(path)
    columns = {"text": "MeasureName", "label": "Condition", "emergency": "EmergencyService", "zip": "ZipCode"}
    rules = [
        Rule(name="emergency", column="emergency", one_of=("yes", "no")),
        Rule(name="zip", column="zip", pattern=r"^\d{5}$"),
    ]
    facts, quality = journey(tmp_path, path, columns, rules=rules, clean=PLAIN)
    odd = [row["EmergencyService"] not in ("yes", "no") for row in rows]
    wrong = [not re.fullmatch(r"\d{5}", row["ZipCode"]) for row in rows]
    assert [(entry["checked"], entry["broken"]) for entry in quality["validity"]] == [
        (1000, sum(odd)),
        (1000, sum(wrong)),
    ]
    # What the rules leave: texts with one label are kept once, texts with several not at all.
    valid = [row for row, *broken in zip(rows, odd, wrong, strict=True) if not any(broken)]
    labels: dict[str, set[str]] = {}
    for row in valid:
        labels.setdefault(same(row["MeasureName"]), set()).add(row["Condition"])
    copies = Counter(same(row["MeasureName"]) for row in valid)
    assert facts["rows"]["kept"] == sum(len(seen) == 1 for seen in labels.values())
    clash = sum(copies[text] for text, seen in labels.items() if len(seen) > 1)
    assert facts["quarantined"]["same text, different labels"] == clash
    assert facts["rows"]["quarantined"] == clash + len(rows) - len(valid)


def test_dirty_flights(shared_data: Path, tmp_path: Path) -> None:
    rows = records(shared_data / "dirty_flights" / "dirty.csv")
    path = tmp_path / "flights.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "airline", "planned"])
        for row in rows:
            report = f"{row['src']} says {row['flight']} left {row['act_dep_time']} and came {row['act_arr_time']}"
            writer.writerow([report, row["flight"][:2], row["sched_dep_time"]])
    columns = {"text": "text", "label": "airline", "planned": "planned"}
    facts, quality = journey(tmp_path, path, columns, rules=[Rule(column="planned", not_missing=True)], clean=PLAIN)
    blank = sum(not row["sched_dep_time"].strip() for row in rows)
    assert (facts["rows"]["read"], blank) == (2376, 784)
    assert facts["quarantined"] == {"rule: `planned` must be there": blank}
    assert quality["completeness"]["planned"]["missing"] == blank
    assert "33 % of the rows have no `planned`" in quality["notes"]


def test_a_mapping_that_makes_no_sense_shows_why_nothing_is_left(shared_data: Path, tmp_path: Path) -> None:
    # 38 sources report each of 100 flights: no text has one label.
    with pytest.raises(DataError, match=r"no row is left of 2376 read[\s\S]*same text, different labels: 2376"):
        journey(tmp_path, shared_data / "dirty_flights" / "dirty.csv", {"text": "flight", "label": "src"}, clean=PLAIN)
