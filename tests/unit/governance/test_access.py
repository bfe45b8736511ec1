"""Who may do what: one table, held cell by cell, and no public verb outside of it."""

from __future__ import annotations

import ast
import inspect
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from tunesmith import api
from tunesmith.core.actor import ROLES, Actor, Role
from tunesmith.core.errors import Denied, Unauthenticated
from tunesmith.governance.access import ALLOWED, FREE, VERBS, Right, may, require
from tunesmith.lifecycle.session import open_session
from tunesmith.store import access

TABLE = {
    #            viewer engineer approver admin
    "read": (1, 1, 1, 1),
    "predict": (1, 1, 1, 1),
    "feedback": (1, 1, 1, 1),
    "run": (0, 1, 0, 1),
    "approve": (0, 0, 1, 1),
    "rollback": (0, 0, 1, 1),
    "audit": (0, 0, 1, 1),
    "keys": (0, 0, 0, 1),
    "erase": (0, 0, 0, 1),
    "reveal": (0, 0, 0, 1),
}
PUBLIC = sorted(name for name in api.__all__ if inspect.isfunction(getattr(api, name)))


def test_every_cell_of_the_table() -> None:
    assert set(TABLE) == set(ALLOWED) == set(get_args(Right))
    for right, row in TABLE.items():
        for role, allowed in zip(ROLES, row, strict=True):
            actor = Actor("ana", role)
            assert may(actor, right) == bool(allowed), (role, right)  # type: ignore[arg-type]
            if allowed:
                require(actor, right)  # type: ignore[arg-type]
            else:
                with pytest.raises(Denied, match=f"needs the right `{right}`"):
                    require(actor, right)  # type: ignore[arg-type]


def test_every_public_verb_asks_for_its_right() -> None:
    assert len(FREE) <= 5
    assert not FREE & set(VERBS)
    for name in PUBLIC:
        assert name in VERBS or name in FREE, f"api.{name} has no right: give it a row in governance.access.VERBS"
    trees = [ast.parse(file.read_text()) for file in (Path(api.__file__).parent / "verbs").glob("*.py")]
    asked: dict[str, list[str]] = {}
    for function in (node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)):
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Name) and call.func.id in ("acting", "open_session"):
                what = call.args[0].value if call.func.id == "acting" else "open_session"  # type: ignore[attr-defined]
                asked.setdefault(function.name, []).append(what)
    # The one place that opens sessions asks the right of the verb; every verb names itself there, none opens its own.
    assert asked.pop("acting") == ["open_session"]
    assert asked == {name: [name] for name in asked}
    assert {name for name in PUBLIC if name in VERBS} - set(asked) <= {"train", "serve"}, (
        "these go through another verb"
    )


def arguments(name: str, home: Path) -> dict[str, Any]:
    """Something for every argument that a verb needs."""
    rows = [f"where is my parcel number {n}?,{'ab'[n % 2]}" for n in range(40)]
    Path("in.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    recipe = {"task": "classify", "data": {"sources": [{"kind": "csv", "path": "in.csv"}]}}
    known: dict[str, Any] = {
        "recipe": recipe, "path": "in.csv", "out": "out.csv", "run_id": "r", "run": "r", "reason": "because",
        "role": "viewer", "texts": ["a"], "expires": datetime.now(UTC), "files": ["in.csv"], "subject": "s",
    }  # fmt: skip
    given = {}
    for parameter in inspect.signature(getattr(api, name)).parameters.values():
        is_needed = parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        if is_needed:
            given[parameter.name] = known.get(parameter.name, "x")
    return given | {"home": home}


@pytest.mark.parametrize("name", [name for name in PUBLIC if name in VERBS])
def test_a_verb_denies_every_role_without_its_right(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    lacking: list[Role] = [role for role in ROLES if role not in ALLOWED[VERBS[name]]]
    with open_session(home) as session:
        keys = {}
        for role in lacking:
            access.add_user(session.ledger.engine, "default", session.actor, role, role)
            keys[role] = access.make_key(session.ledger.engine, "default", session.actor, role).key
    for role in lacking:
        monkeypatch.setenv("TUNESMITH_KEY", keys[role])
        with pytest.raises(Denied, match=f"needs the right `{VERBS[name]}`"):
            getattr(api, name)(**arguments(name, home))
    monkeypatch.setenv("TUNESMITH_KEY", "tsk_000000000000_wrong")
    with pytest.raises(Unauthenticated):
        getattr(api, name)(**arguments(name, home))
