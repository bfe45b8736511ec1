"""Bad input, through the command line as a user meets it: a clear error with a way out, the design's exit code, nothing
half written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import write_encoder

FAILED, WRONG = 1, 2

TEXTS = [f"my parcel number {number} has not arrived yet" for number in range(12)]
OTHERS = [f"please send the invoice for order {number} again" for number in range(12)]


def table(rows: list[tuple[str, str]]) -> bytes:
    """A CSV of texts and labels."""
    return ("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows)).encode()


GOOD = table([(text, "delivery") for text in TEXTS] + [(text, "invoice") for text in OTHERS])


def missing(folder: Path, recipe: dict[str, Any]) -> None:
    (folder / "rows.csv").rename(folder / "row.csv")


def empty(folder: Path, recipe: dict[str, Any]) -> None:
    (folder / "rows.csv").write_bytes(b"")


def binary(folder: Path, recipe: dict[str, Any]) -> None:
    (folder / "rows.csv").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)


def wrong_column(folder: Path, recipe: dict[str, Any]) -> None:
    recipe["data"]["sources"][0]["columns"] = {"text": "txt", "label": "label"}


def one_class(folder: Path, recipe: dict[str, Any]) -> None:
    (folder / "rows.csv").write_bytes(table([(text, "delivery") for text in TEXTS]))


def no_row_left(folder: Path, recipe: dict[str, Any]) -> None:
    recipe["data"]["rules"] = [{"column": "text", "min_chars": 500}]


def database_down(folder: Path, recipe: dict[str, Any]) -> None:
    recipe["data"]["sources"] = [{"kind": "sql", "name": "crm", "url": "${env:CRM_URL}", "table": "tickets"}]


def wrong_key(folder: Path, recipe: dict[str, Any]) -> None:
    recipe["trian"] = {"epochs": 3}


def no_weights(folder: Path, recipe: dict[str, Any]) -> None:
    write_encoder("bert", folder / "model")
    recipe["model"] = str(folder / "model")
    (folder / "model" / "model.safetensors").unlink()


def cut_weights(folder: Path, recipe: dict[str, Any]) -> None:
    write_encoder("bert", folder / "model")
    recipe["model"] = str(folder / "model")
    weights = folder / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


CASES: list[tuple[Callable[[Path, dict[str, Any]], None], int, list[str]]] = [
    (missing, FAILED, ["rows.csv", "row.csv"]),
    (empty, FAILED, ["rows.csv", "empty"]),
    (binary, FAILED, ["rows.csv"]),
    (wrong_column, WRONG, ["txt", "did you mean `text: text`?"]),
    (one_class, FAILED, ["delivery"]),
    (no_row_left, FAILED, ["500", "24"]),
    (database_down, FAILED, ["127.0.0.1"]),
    (wrong_key, WRONG, ["trian", "did you mean `train`"]),
    (no_weights, FAILED, ["no weights"]),
    (cut_weights, FAILED, ["cut short"]),
]


@pytest.mark.parametrize(("spoil", "code", "words"), CASES, ids=[case[0].__name__ for case in CASES])
def test_bad_input(spoil: Callable[[Path, dict[str, Any]], None], code: int, words: list[str], tmp_path: Path) -> None:
    recipe = write(tmp_path, spoil)
    done = tunesmith("run", str(recipe), home=tmp_path / "home")
    assert done.returncode == code, done.stderr
    for word in words:
        assert word.lower() in done.stderr.lower(), done.stderr
    assert "next:" in done.stderr, "an error names its way out"
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr + done.stdout, "a password is never shown"
    assert done.stdout == ""
    assert not list((tmp_path / "home").rglob("report.html")), "no report of a run that failed"
    assert not list((tmp_path / "home").rglob(".tunesmith-tmp-*")), "nothing half written"
    as_json = tunesmith("run", str(recipe), "--json", home=tmp_path / "home")
    assert as_json.returncode == code
    assert json.loads(as_json.stdout)["next"]


def test_a_label_seen_once_is_kept_and_said(tmp_path: Path) -> None:
    rows = [(text, "delivery") for text in TEXTS] + [(text, "invoice") for text in OTHERS]
    recipe = write(tmp_path, lambda folder, _: (folder / "rows.csv").write_bytes(table([*rows, ("odd", "rare")])))
    done = tunesmith("plan", str(recipe), "--json", home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    rows_of = json.loads(done.stdout)["rows"]
    assert "rare" in " ".join(rows_of["notes"])
    assert rows_of["rows"] == {"read": 25, "kept": 25, "removed": 0, "quarantined": 0}


def write(folder: Path, spoil: Callable[[Path, dict[str, Any]], Any]) -> Path:
    """A recipe and its rows, spoiled."""
    recipe: dict[str, Any] = {
        "task": "classify",
        # Near duplicates stay: the rows of this test differ by a number.
        "data": {
            "sources": [{"kind": "csv", "name": "rows", "path": "rows.csv"}],
            "clean": {"near_duplicates": None},
        },
        "train": {"trainable": "head"},
    }
    (folder / "rows.csv").write_bytes(GOOD)
    spoil(folder, recipe)
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(recipe))
    return path


def tunesmith(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    """A call of the command line."""
    environment = {**os.environ, "CRM_URL": "postgresql://reader:hunter2@127.0.0.1:1/crm", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "tunesmith.cli.main", *words, "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
