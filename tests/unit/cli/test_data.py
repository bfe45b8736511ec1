"""``tunesmith data show``: rows as a language model reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests import tiny

from tunesmith.cli.main import main

NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    rows = [
        {"prompt": f"What comes before {number}? Case {place * 7919}.", "completion": f"It is number {place}."}
        for place, number in enumerate(NUMBERS * 2)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"""name: numbers
task: generate
data:
  sources: [{{kind: jsonl, path: rows.jsonl}}]
  clean: {{near_duplicates: null}}
model: {tiny.decoder()}
""",
        encoding="utf-8",
    )
    return path


def test_rows_are_shown_with_what_is_trained(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--home", str(recipe.parent / "home"), "--quiet"]
    assert main(["data", "show", str(recipe), "--rows", "2", "--json", *where]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["phase"], found["split"], len(found["rows"])) == (1, "train", 2)
    row = found["rows"][0]
    (seen, _), (answer, weight) = row["pieces"]
    assert seen.startswith("What comes before")
    assert seen.endswith(".\n")
    assert answer.startswith("It is number")
    assert answer.endswith(".</s>")
    assert weight == 1
    assert row["num_trained"] < row["num_tokens"]
    assert main(["data", "show", str(recipe), "--rows", "1", "--split", "test", *where]) == 0
    words = capsys.readouterr().out
    assert "«It is number" in words
    assert "every answer is trained" in words
    assert "row" in words.splitlines()[-1]


def test_rows_of_other_tasks_and_phases_are_refused(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--home", str(recipe.parent / "home"), "--quiet"]
    assert main(["data", "show", str(recipe), "--phase", "2", *where]) == 2
    assert "no such phase" in capsys.readouterr().err
    heads = recipe.with_name("heads.yaml")
    heads.write_text(
        "name: heads\ntask: classify\ndata:\n  sources: [{kind: jsonl, path: rows.jsonl, columns: "
        "{text: prompt, label: completion}}]\n",
        encoding="utf-8",
    )
    assert main(["data", "show", str(heads), *where]) == 2
    assert "task: classify" in capsys.readouterr().err
