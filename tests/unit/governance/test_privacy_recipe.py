"""From the recipe's word to the steps, the plan's line and the report's section."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests import tiny

from tunesmith.cli.plan_screen import _privacy as plan_lines
from tunesmith.lifecycle.flows import flow_of
from tunesmith.recipe.load import load
from tunesmith.reporting.sections.privacy import privacy_of, summed

RECIPE = """\
task: classify
data:
  sources: [{{kind: csv, path: rows.csv, columns: {{text: text, label: label, customer: customer}}}}]
  split: {{group_by: customer}}
  privacy: {privacy}
model: {model}
"""


def steps(folder: Path, privacy: str) -> dict[str, Any]:
    (folder / "rows.csv").write_text("text,label,customer\na,b,c\n")
    (folder / "recipe.yaml").write_text(RECIPE.format(privacy=privacy, model=tiny.encoder("bert")))
    return {spec.name: spec for spec in flow_of(load(folder / "recipe.yaml")).specs}


def test_off_looks_at_nothing(tmp_path: Path) -> None:
    made = steps(tmp_path, "off")
    assert "privacy:csv-1" not in made and made["prepare"].given["csv-1"].step == "ingest:csv-1"


@pytest.mark.parametrize("privacy", ["{}", "allow", "block", "{entities: {EMAIL: block}}"])
def test_what_changes_nothing_is_a_scan_beside_the_rows(tmp_path: Path, privacy: str) -> None:
    made = steps(tmp_path, privacy)
    assert made["privacy:csv-1"].kind == "pii_scan"
    assert made["prepare"].given["csv-1"].step == "ingest:csv-1"
    assert list(made).index("privacy:csv-1") < list(made).index("prepare"), (
        "a blocked run ends before rows are prepared"
    )


@pytest.mark.parametrize("privacy", ["redact", "{on_pii: pseudonymise}", "{entities: {EMAIL: redact}}"])
def test_what_changes_rows_stands_between_ingest_and_prepare(tmp_path: Path, privacy: str) -> None:
    made = steps(tmp_path, privacy)
    assert made["privacy:csv-1"].kind == "privacy" and made["privacy:csv-1"].given["dataset"].step == "ingest:csv-1"
    assert made["prepare"].given["csv-1"].step == "privacy:csv-1"
    assert made["privacy:csv-1"].config.grouped_by == ("customer",)


def scan(source: str, action: str, values: int) -> dict[str, Any]:
    found = [{"column": "text", "entity": "EMAIL", "action": action, "values": values, "rows": 2}] if values else []
    counts = {"rows": 10, "rows_found": 2 if values else 0, "rows_touched": 0, "values": values}
    return {"source": source, "on_pii": action, "columns": ["text"], **counts, "found": found}


def test_the_report_sums_the_sources() -> None:
    section = summed([scan("a", "allow", 3), scan("b", "redact", 5)])
    assert (section.num_rows, section.num_values, section.num_kept) == (20, 8, 3)
    assert [(line.source, line.done) for line in section.lines] == [("b", "redacted"), ("a", "kept as it is")]
    assert privacy_of(SimpleNamespace(made={"prepare": {}})) is None  # type: ignore[arg-type]


def test_the_plan_says_what_was_found_and_how_to_take_it_out() -> None:
    def said(*scans: dict[str, Any]) -> str:
        return "\n".join(line.plain for line in plan_lines(SimpleNamespace(privacy=list(scans))))  # type: ignore[arg-type]

    assert said() == ""
    assert "no personal data found" in said(scan("a", "allow", 0))
    allowed = said(scan("a", "allow", 3), scan("b", "allow", 5))
    assert "allow: EMAIL 8 (in 4 rows)" in allowed and "privacy: redact" in allowed
    assert "takes out" not in said(scan("a", "redact", 5))
