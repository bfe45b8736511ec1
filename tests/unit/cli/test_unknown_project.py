"""``--project`` with a name that no project has: refused with the nearest one, and nothing is begun for the slip."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import select

from tunesmith import api
from tunesmith.cli.main import main
from tunesmith.core.errors import StoreError
from tunesmith.governance.access import VERBS
from tunesmith.lifecycle.session import open_session
from tunesmith.server.run import serve
from tunesmith.store.tables import PROJECTS
from tunesmith.verbs.opening import BEGINS, acting

ASKED = (
    ["users"],
    ["users", "key", "ana"],
    ["audit"],
    ["audit", "verify"],
    ["audit", "anchor", "--reason", "backup"],
    ["models"],
    ["monitor", "desk@production"],
    ["erase", "--subject", "CUST-1", "--reason", "asked", "--dry-run"],
    ["data", "withdraw", "letters"],
    ["approve", "desk-1122-0101-ab12", "--reason", "good"],
    ["rollback", "desk@production", "--reason", "bad"],
    ["resume", "desk-1122-0101-ab12"],
    ["retrain", "desk"],
    ["predict", "desk@production", "in.csv", "--out", "out.csv"],
    ["export", "desk@production", "folder"],
    ["compare", "desk@1", "desk@2"],
    ["evaluate", "desk@1", "in.csv"],
    ["explain", "desk@production", "--text", "words"],
    ["serve", "desk@production"],
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace of two projects."""
    monkeypatch.setenv("TUNESMITH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TUNESMITH_KEY", raising=False)
    for name in ("support", "letters"):
        api.add_user("ana", "engineer", project=name)
    return tmp_path / "home"


def projects(home: Path) -> tuple[set[str], set[str]]:
    """Those of the ledger, and the folders there are."""
    with open_session(home) as session, session.ledger.engine.begin() as connection:
        known = set(connection.execute(select(PROJECTS.c.id)).scalars())
    return known, {one.name for one in (home / "projects").iterdir()}


@pytest.mark.parametrize("words", ASKED, ids=lambda words: " ".join(words[:2]))
def test_a_project_that_there_is_not_is_told_with_the_nearest(
    words: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--project", "suport", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["what"] == "there is no project `suport`" and told["next"] == "did you mean `support`?"
    assert {"letters", "support"} <= set(told["allowed"].split(", "))
    assert projects(home) == ({"default", "support", "letters"}, {"default", "support", "letters"})


def test_every_verb_but_those_that_begin_one_asks_for_a_project_that_there_is(home: Path) -> None:
    assert set(VERBS) > BEGINS
    for verb in set(VERBS) - BEGINS - {"train", "serve"}:
        with pytest.raises(StoreError, match="there is no project `nosuch`") as caught, acting(verb, None, "nosuch"):
            raise AssertionError(verb)
        assert "tunesmith run" in str(caught.value.next)  # no name is near: how one is begun
    with pytest.raises(StoreError, match="there is no project `nosuch`"):
        serve(["nosuch/desk@production"], home=home)
    assert "nosuch" not in set.union(*projects(home))
    for verb in BEGINS:
        with acting(verb, None, f"new-{verb.replace('_', '-')}"):
            pass
    with acting("users", None, "new-run") as session:
        assert session.ledger.project == "new-run"


def test_the_default_project_is_there_from_the_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--home", str(tmp_path / "new"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    # In a workspace of its own nothing is known but that one.
    assert main(["models", "--home", str(tmp_path / "other"), "--project", "east", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["allowed"] == "default"
    assert not (tmp_path / "other" / "projects" / "east").exists()
