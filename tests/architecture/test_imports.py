"""What importing and planning loads: none of the heavy libraries."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

HEAVY = ("torch", "transformers", "sklearn", "pandas", "tensorflow")
DUMP = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
CALL = """\
import sys
from tunesmith.cli.main import main
code = main({arguments!r})
print(code, file=sys.stderr)
"""


def loaded(code: str, folder: Path) -> tuple[set[str], str]:
    """The top-level modules that a program loads, and what it said on stderr."""
    program = f"{code}\nsys.stdout.flush()\nprint('\\n=== modules')\n{DUMP}"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "TUNESMITH_HOME"},
        check=True,
    )
    return set(json.loads(done.stdout.split("=== modules")[1])), done.stderr


# One program for several imports or calls: what it has not loaded in the end, none of them loads.


def test_imports_load_nothing_heavy(tmp_path: Path) -> None:
    names = (
        "tunesmith, tunesmith.api, tunesmith.cli.main",
        "tunesmith.lifecycle.predict_file, tunesmith.lifecycle.measure, tunesmith.lifecycle.compare",
        "tunesmith.server.app, tunesmith.server.run, tunesmith.lifecycle.deploy",
        "tunesmith.lifecycle.doctor, tunesmith.lifecycle.starter, tunesmith.recipe.load",
    )
    modules, _ = loaded("\n".join(f"import {one}" for one in names), tmp_path)
    assert "tunesmith" in modules
    assert not modules & set(HEAVY)


def test_help_loads_not_even_the_tables(tmp_path: Path) -> None:
    calls = (["--help"], ["--version"], ["run", "--help"])
    modules, said = loaded("".join(CALL.format(arguments=one) for one in calls), tmp_path)
    assert said.split() == ["0"] * 3
    assert not modules & {*HEAVY, "polars", "sqlalchemy", "numpy"}


def test_doctor_and_models_load_nothing_heavy(tmp_path: Path) -> None:
    modules, _ = loaded("".join(CALL.format(arguments=one) for one in (["doctor"], ["models"])), tmp_path)
    assert not modules & set(HEAVY)


def test_a_plan_of_two_sources_loads_nothing_heavy(tmp_path: Path) -> None:
    rows = [
        (f"please {verb} the {thing} number {at}", verb)
        for at in range(12)
        for verb in ("send", "cancel")
        for thing in ("order", "invoice")
    ]
    with sqlite3.connect(tmp_path / "crm.db") as database:
        database.execute("create table tickets (body text, intent text)")
        database.executemany("insert into tickets values (?, ?)", rows[: len(rows) // 2])
    lines = ["text,label", *(f"{text},{label}" for text, label in rows[len(rows) // 2 :])]
    (tmp_path / "more.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(
        "task: classify\n"
        "data:\n"
        "  sources:\n"
        "    - {kind: sql, url: sqlite:///crm.db, query: select * from tickets, columns: {text: body, label: intent}}\n"
        "    - {kind: csv, path: more.csv}\n"
        "  clean: {near_duplicates: null}\n",
        encoding="utf-8",
    )
    modules, said = loaded(CALL.format(arguments=["plan", "recipe.yaml"]), tmp_path)
    assert said.strip().splitlines()[-1] == "0", said
    assert {"polars", "sqlalchemy"} <= modules
    assert not modules & set(HEAVY)
