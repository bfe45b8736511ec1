"""Init writes recipes that load and plan; the example builds itself."""

from __future__ import annotations

import sqlite3
from importlib import metadata
from pathlib import Path

import pytest

from tunesmith.core.errors import RecipeError
from tunesmith.lifecycle import columns, doctor
from tunesmith.lifecycle.starter import copy_example, init
from tunesmith.recipe.load import load

TICKETS = "id;customer_id;message;intent\n" + "".join(
    f"{at};C-{at % 7};please {verb} my {thing} for me;{verb}\n"
    for at in range(10)
    for verb in ("send", "cancel")
    for thing in ("order", "parcel")
)


def test_a_recipe_for_a_file_says_what_was_guessed(tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").write_text(TICKETS)
    started = init(tmp_path, tmp_path / "tickets.csv")
    assert started.columns == {"text": "message", "label": "intent", "subject": "customer_id"}
    assert started.format == "csv (semicolon, utf-8, header)"
    assert any("`message`" in one for one in started.guesses)
    recipe = load(tmp_path / "recipe.yaml")
    assert recipe.task == "classify"
    (source,) = recipe.data.sources
    assert source.columns == started.columns
    assert source.path == str(tmp_path / "tickets.csv")  # type: ignore[attr-defined]


def test_a_recipe_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("mine")
    with pytest.raises(RecipeError, match="left as it is"):
        init(tmp_path)
    assert (tmp_path / "recipe.yaml").read_text() == "mine"


def test_numbers_make_a_regression(tmp_path: Path) -> None:
    lines = "".join(f'{{"review": "so many words number {at}", "rating": {at / 10}}}\n' for at in range(20))
    (tmp_path / "reviews.jsonl").write_text(lines)
    started = init(tmp_path / "sub", tmp_path / "reviews.jsonl")
    assert (started.task, started.columns) == ("regress", {"text": "review", "label": "rating"})
    assert load(tmp_path / "sub" / "recipe.yaml").task == "regress"


def test_an_empty_folder_gets_an_example_that_loads(tmp_path: Path) -> None:
    started = init(tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["recipe.yaml", "tickets.csv"]
    assert started.columns["text"] == "message"
    assert load(tmp_path / "new" / "recipe.yaml").task == "classify"


def test_several_files_are_a_question(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(TICKETS)
    with pytest.raises(RecipeError, match="2 data files") as caught:
        init(tmp_path)
    assert "--from" in str(caught.value.next)
    assert not (tmp_path / "recipe.yaml").exists()


def test_a_file_without_a_label_is_refused(tmp_path: Path) -> None:
    (tmp_path / "texts.csv").write_text("text\nsome words here\nmore words there\n")
    with pytest.raises(RecipeError, match="looks like a label"):
        init(tmp_path, tmp_path / "texts.csv")
    assert not (tmp_path / "recipe.yaml").exists()


def test_the_example_is_copied_once_and_its_database_built(tmp_path: Path) -> None:
    recipe = copy_example(tmp_path / "demo")
    with sqlite3.connect(tmp_path / "demo" / "crm.db") as database:
        assert database.execute("select count(*) from tickets").fetchone() == (353,)
    (tmp_path / "demo" / "tickets.csv").write_text("mine")
    before = (tmp_path / "demo" / "crm.db").stat().st_mtime_ns
    assert copy_example(tmp_path / "demo") == recipe
    assert (tmp_path / "demo" / "tickets.csv").read_text() == "mine"
    assert (tmp_path / "demo" / "crm.db").stat().st_mtime_ns == before


VARIED = ["a b c", "d e f", "g h i", "j k l"]


@pytest.mark.parametrize(
    ("table", "text", "label"),
    [
        ({"a": VARIED, "b": ["x"] * 4}, "a", None),
        ({"t": ["credit card", "bank account"] * 2, "u": ["x", "y", "z", "w"]}, None, "t"),
        ({"note": VARIED, "review": ["a b c d", "e f", "h i", "j k"], "c": ["1", "2", "1", "2"]}, "review", "c"),
        ({"id": ["1", "2", "3", "4"], "say": VARIED, "c": ["u", "v", "u", "v"]}, "say", "c"),
        ({"t": ["the same long words again"] * 4, "label": VARIED}, "t", "label"),
    ],
)
def test_guesses(table: dict[str, list[str]], text: str | None, label: str | None) -> None:
    guess = columns.guess(table)
    assert (guess.text, guess.label) == (text, label)


def test_doctor_names_what_is_missing(tmp_path: Path) -> None:
    def installed(name: str) -> str:
        if name == "torch":
            raise metadata.PackageNotFoundError(name)
        return "1.0" if name == "polars" else "99.0"

    check = doctor.packages(installed)
    assert check.status == "problem"
    assert check.seen == "torch is missing; polars 1.0 is older than 2.1"
    (tmp_path / "file").write_text("x")
    assert doctor.workspace(tmp_path / "file").status == "problem"
    assert doctor.workspace(tmp_path / "new" / "deep").status == "ok"
    assert not (tmp_path / "new").exists()


def test_a_damaged_ledger_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"this is no database" * 100)
    check = doctor.workspace(tmp_path)
    assert check.status == "problem"
    assert check.next
