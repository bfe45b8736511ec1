"""``users``, ``audit``, ``approve`` and ``rollback``: wrong calls, exit codes, and what a key may do."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tunesmith.cli.main import main
from tunesmith.cli.users import lifetime
from tunesmith.core.errors import RecipeError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNESMITH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TUNESMITH_KEY", raising=False)
    return tmp_path / "home"


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert main([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_users_from_the_first_to_the_last(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["users"]) == 0
    assert "no users yet" in capsys.readouterr().out
    assert told(capsys, "users", "add", "ana", "--role", "engineer")["role"] == "engineer"
    told(capsys, "users", "add", "bo", "--role", "approver")
    made = told(capsys, "users", "key", "ana", "--expires", "30d")
    assert made["key"].startswith(f"tsk_{made['id']}_") and made["expires"] is not None
    assert main(["users", "key", "bo"]) == 0
    key = next(word for word in capsys.readouterr().out.split() if word.startswith("tsk_"))
    assert main(["users"]) == 0
    shown = capsys.readouterr().out
    assert made["id"] in shown and made["key"] not in shown

    monkeypatch.setenv("TUNESMITH_KEY", key)
    denied = told(capsys, "users", code=3)
    assert denied["error"] == "Denied" and "needs the right `keys`" in denied["what"]
    assert told(capsys, "models") == []
    assert told(capsys, "audit")[-1]["action"] == "key.make"
    monkeypatch.setenv("TUNESMITH_KEY", made["key"])
    assert told(capsys, "audit", code=3)["seen"] == "role engineer"
    monkeypatch.setenv("TUNESMITH_KEY", made["key"] + "x")
    assert told(capsys, "models", code=3)["error"] == "Unauthenticated"
    monkeypatch.delenv("TUNESMITH_KEY")

    assert told(capsys, "users", "revoke", made["id"])["revoked"] is not None
    assert told(capsys, "users", "disable", "bo")["disabled"] is not None
    whole = told(capsys, "audit", "verify")
    assert (whole["is_whole"], whole["num_entries"]) == (True, 6)
    last = told(capsys, "audit", "list", "--rows", "2")
    assert [(one["action"], one["target"]) for one in last] == [("key.revoke", "ana"), ("user.disable", "bo")]
    assert [one["action"] for one in told(capsys, "audit", "--target", "bo")] == [
        "user.add",
        "key.make",
        "user.disable",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ("users", "list", "ana"),
        ("users", "add"),
        ("users", "add", "ana"),
        ("users", "add", "ana", "--role", "owner"),
        ("users", "key"),
        ("users", "key", "ana", "--expires", "soon"),
        ("users", "list", "--role", "admin"),
        ("users", "add", "ana", "--role", "admin", "--expires", "1d"),
        ("users", "revoke"),
        ("audit", "anchor"),
        ("approve", "run-1"),
        ("rollback", "desk@production"),
        ("rollback", "desk", "--reason", "x"),
    ],
)
def test_wrong_calls_say_so(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, *arguments, code=2)["error"] == "RecipeError"


def test_what_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "users", "add", "ana", "--role", "viewer")
    assert "did you mean `ana`" in told(capsys, "users", "key", "anna", code=1)["next"]
    assert told(capsys, "approve", "run-1", "--reason", "x", code=1)["error"] == "StoreError"
    assert told(capsys, "rollback", "desk@production", "--reason", "x", code=1)["error"] == "StoreError"


def test_lifetimes() -> None:
    assert [lifetime(one) for one in ("30d", "12h", "45m")] == [
        timedelta(days=30),
        timedelta(hours=12),
        timedelta(minutes=45),
    ]
    for wrong in ("", "0d", "-1d", "30", "1y", "9999d", "1.5d"):
        with pytest.raises(RecipeError):
            lifetime(wrong)


def test_a_chain_that_was_touched_ends_with_its_places(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("ana", "bo", "cem", "dot"):
        told(capsys, "users", "add", name, "--role", "viewer")
    with closing(sqlite3.connect(home / "ledger.db")) as connection:
        connection.execute("update audit set actor = 'eve' where sequence = 2")
        connection.execute("delete from audit where sequence = 4")
        connection.commit()
    found = told(capsys, "audit", "verify", code=1)
    assert [(one["kind"], one["first"]) for one in found["problems"]] == [("changed", 2), ("cut", 4)]
    assert main(["audit", "verify"]) == 1
    shown = capsys.readouterr().out
    assert "changed: entry 2 is not what was written" in shown and "cut: entry 4 is not there" in shown
    assert "tunesmith audit anchor --reason TEXT" in shown

    (home / "projects" / "default" / "audit.anchor").unlink()
    assert [one["kind"] for one in told(capsys, "audit", "verify", code=1)["problems"]] == ["anchor missing", "changed"]
    assert main(["audit", "verify"]) == 1
    assert "behind the anchor" not in capsys.readouterr().out  # no entry will anchor them: there is none to be behind
    entry = told(capsys, "audit", "anchor", "--reason", "backup of Monday")
    assert entry["details"]["problems"] == ["anchor missing", "changed"]
    assert [one["kind"] for one in told(capsys, "audit", "verify", code=1)["problems"]] == ["changed"]
