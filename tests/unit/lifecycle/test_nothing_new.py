"""A champion that would be given nothing that it does not have: said with its figures, and no run is begun for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.unit.data.test_extend import rows
from tests.unit.lifecycle.test_retrain import recipe, released

from tunesmith.cli.main import main
from tunesmith.core.errors import Interrupted, TunesmithError
from tunesmith.data.extend import NothingNew
from tunesmith.lifecycle import news, retrain
from tunesmith.lifecycle.run import start_run
from tunesmith.lifecycle.session import Session, open_session
from tunesmith.recipe.load import load
from tunesmith.recipe.recipe import Recipe
from tunesmith.store import audit


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with open_session(tmp_path / "home") as opened:
        yield opened


def desk(session: Session, folder: Path) -> Recipe:
    """A released model whose sources hold the rows that it was made with, `letters` one of them twice."""
    made = recipe(folder)
    released(session, folder, made)
    write(folder / "desk.csv", rows(20))
    letters = rows(10, 60)
    write(folder / "letters.csv", {name: [*column, column[0]] for name, column in letters.items()})
    return made


def write(path: Path, columns: dict[str, list[Any]]) -> Path:
    frame = pl.DataFrame({"words": columns["text"], "intent": columns["label"]})
    frame.with_columns(who=pl.lit("ana")).write_csv(path)
    return path


def runs(session: Session) -> list[str]:
    return [one.id for one in session.ledger.runs()]


def test_nothing_new_begins_no_run_and_says_what_was_looked_at(session: Session, tmp_path: Path) -> None:
    desk(session, tmp_path)
    before = len(audit.entries(session.ledger.engine, session.ledger.project))
    done = retrain.retrain(session, "m")
    assert done.result is None and done.why == "nothing new to learn from, so no run was begun"
    assert done.nothing_new == {
        "read": 31,
        "known": 30,
        "near": 0,
        "left_out": 0,
        "removed": 1,
        "quarantined": 0,
        "champion": 35,
    }
    assert runs(session) == ["run-1"] and len(audit.entries(session.ledger.engine, session.ledger.project)) == before
    # The file that was added holds what the champion knows: no news either.
    known = write(tmp_path / "known.csv", rows(5, 90))
    assert dict(retrain.retrain(session, "m", add=[known]).nothing_new or {})["known"] == 35
    assert runs(session) == ["run-1"]


def test_the_command_ends_well_and_says_what_would_make_it_go(
    session: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk(session, tmp_path)
    where = ["--home", str(tmp_path / "home")]
    assert main(["retrain", "m", *where, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["champion"], told["run"], told["nothing_new"]["known"]) == ("m@1", None, 30)
    assert told["next"].startswith("tunesmith retrain m --add FILE --home") and "needs_new=false" in told["next"]
    assert main(["retrain", "m", *where]) == 0
    printed = capsys.readouterr()
    assert "31 rows looked at: 30 the champion has, 1 the recipe removes" in printed.out
    assert "--add FILE" in printed.out and "resume" not in printed.out + printed.err


def test_a_recipe_with_a_champion_and_no_news_begins_no_run_either(session: Session, tmp_path: Path) -> None:
    made = desk(session, tmp_path)
    child = load(made.model_dump(mode="json") | {"champion": {"model": "m@1"}})
    with pytest.raises(NothingNew, match="no row is new") as caught:
        start_run(session, child)
    assert caught.value.run_id is None and caught.value.exit_code == 1 and runs(session) == ["run-1"]


def test_what_was_warned_of_beforehand_is_told_in_the_run(session: Session, tmp_path: Path) -> None:
    made = desk(session, tmp_path)
    desk_now = rows(22)
    desk_now["label"][0] = "fee" if desk_now["label"][0] != "fee" else "card"
    write(tmp_path / "desk.csv", desk_now)
    child = load(made.model_dump(mode="json") | {"champion": {"model": "m@1"}})
    with pytest.raises(TunesmithError) as caught:  # it begins, and the fake champion has no weights
        start_run(session, child)
    run = caught.value.run_id
    assert run is not None and run in runs(session)
    lines = (session.workspace.run_folder(run) / "events.jsonl").read_text().splitlines()
    warned = [one for one in map(json.loads, lines) if one["event"] == "warning"]
    assert [one["message"].startswith("1 rows have another label now") for one in warned] == [True]
    assert warned[0]["run"] == run
    steps = {one.name: one.status for one in session.ledger.run_steps(run)}
    assert steps["extend"] == "cached"  # read and joined once


def test_who_needs_no_news_is_read_by_the_run_alone(session: Session, tmp_path: Path) -> None:
    made = desk(session, tmp_path)
    assert news.ask(session, made) == []
    for champion in ({"needs_new": False}, {"from_weights": False}):
        assert news.ask(session, load(made.model_dump(mode="json") | {"champion": {"model": "m@1", **champion}})) == []
    child = load(made.model_dump(mode="json") | {"champion": {"model": "m@1"}})
    session.cancel.set()
    with pytest.raises(Interrupted) as caught:
        news.ask(session, child)
    assert "same command" in str(caught.value.next)
