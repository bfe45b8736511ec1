"""Users and keys: a secret is seen once and kept nowhere; a key counts for its user, in its project, until it ends."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from tunesmith.core.actor import Actor, local_owner
from tunesmith.core.errors import Denied, StoreError, Unauthenticated
from tunesmith.store import access, audit
from tunesmith.store.anchors import Custody
from tunesmith.store.ledger import Ledger
from tunesmith.store.verify_audit import verify
from tunesmith.store.workspace import Workspace

BY = Actor("local:root", "admin")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    root = Workspace.open(tmp_path / "home").root
    with Ledger.open(f"sqlite:///{root / 'ledger.db'}", "default", Custody(root)) as opened:
        yield opened


def test_a_key_is_its_user_and_its_secret_is_kept_nowhere(ledger: Ledger, tmp_path: Path) -> None:
    user = access.add_user(ledger.engine, "default", BY, "ana", "engineer")
    assert (user.name, user.role, user.disabled, user.keys) == ("ana", "engineer", None, ())
    made = access.make_key(ledger.engine, "default", BY, "ana")
    prefix, key_id, secret = made.key.split("_", 2)
    assert (prefix, key_id, len(secret)) == ("tsk", made.id, 43)
    actor = access.authenticate(ledger.engine, "default", f" {made.key}\n")
    assert actor == Actor("ana", "engineer", made.id)
    assert not actor.is_local and local_owner().is_local

    with closing(sqlite3.connect(str(ledger.engine.url.database))) as connection:
        kept = "\n".join(connection.iterdump())
    assert secret not in kept
    assert hashlib.sha256(made.key.encode()).hexdigest() in kept
    for path in (tmp_path / "home").rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()
    assert secret not in json.dumps([one.to_dict() for one in access.users(ledger.engine, "default")])


def test_a_key_that_does_not_count_is_refused_in_words_that_tell_nothing(ledger: Ledger) -> None:
    access.add_user(ledger.engine, "default", BY, "ana", "viewer")
    good = access.make_key(ledger.engine, "default", BY, "ana").key
    other = access.make_key(ledger.engine, "default", BY, "ana").key
    mixed = "_".join([*good.split("_", 2)[:2], other.split("_", 2)[2]])
    hostile = [
        "",
        "tsk",
        "tsk__",
        "tsk_a_b",
        f"tsk_{'0' * 12}_nobody",
        f"tsk_{'0' * 11}\0_nobody",
        f"{good}\0",
        good[:-1],
        f"{good}x",
        good.upper(),
        f"x{good}",
        mixed,
        "ä" * 500,
        "\udc80",
    ]
    words = set()
    for key in hostile:
        with pytest.raises(Unauthenticated) as caught:
            access.authenticate(ledger.engine, "default", key)
        words.add(str(caught.value))
    assert len(words) == 1
    assert isinstance(caught.value, Denied) and caught.value.exit_code == 3

    # A wrong secret of an id on record asks the ledger what an unknown id asks it: the time tells nothing.
    asked: list[str] = []
    event.listen(ledger.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    queries = []
    for key in (mixed, f"tsk_{'0' * 12}_{'a' * 43}", "nonsense"):
        asked.clear()
        with pytest.raises(Unauthenticated):
            access.authenticate(ledger.engine, "default", key)
        queries.append(list(asked))
    assert queries[0] == queries[1] == queries[2] and len(queries[0]) == 2, queries

    with Ledger.open(str(ledger.engine.url), "other"), pytest.raises(Unauthenticated) as caught:
        access.authenticate(ledger.engine, "other", good)
    assert {str(caught.value)} == words


def test_keys_end(ledger: Ledger) -> None:
    engine = ledger.engine
    access.add_user(engine, "default", BY, "ana", "viewer")
    ended = access.make_key(engine, "default", BY, "ana", datetime.now(UTC) - timedelta(seconds=1))
    lasting = access.make_key(engine, "default", BY, "ana", datetime.now(UTC) + timedelta(hours=1))
    third = access.make_key(engine, "default", BY, "ana")
    with pytest.raises(Unauthenticated, match="expired"):
        access.authenticate(engine, "default", ended.key)
    assert access.authenticate(engine, "default", lasting.key).name == "ana"
    assert access.revoke_key(engine, "default", BY, lasting.id).revoked is not None
    first = access.revoke_key(engine, "default", BY, lasting.id)
    assert first.revoked == access.revoke_key(engine, "default", BY, lasting.id).revoked, (
        "a second time changes nothing"
    )
    with pytest.raises(Unauthenticated, match="revoked"):
        access.authenticate(engine, "default", lasting.key)
    access.disable_user(engine, "default", BY, "ana")
    with pytest.raises(Unauthenticated, match="revoked"):
        access.authenticate(engine, "default", third.key)
    with pytest.raises(StoreError, match="disabled"):
        access.make_key(engine, "default", BY, "ana")
    back = access.add_user(engine, "default", BY, "ana", "approver")
    assert (back.role, back.disabled) == ("approver", None)
    with pytest.raises(Unauthenticated, match="revoked"):
        access.authenticate(engine, "default", third.key)


def test_every_change_is_audited_with_it_and_refusals_are_clear(ledger: Ledger) -> None:
    engine = ledger.engine
    access.add_user(engine, "default", BY, "ana", "viewer")
    key = access.make_key(engine, "default", BY, "ana")
    access.revoke_key(engine, "default", BY, key.id)
    access.disable_user(engine, "default", BY, "ana")
    access.disable_user(engine, "default", BY, "ana")
    told = [(one.actor, one.action, one.target) for one in audit.entries(engine, "default")]
    assert told == [("local:root", what, "ana") for what in ("user.add", "key.make", "key.revoke", "user.disable")]
    access.add_user(engine, "default", BY, "bo", "admin")
    num = len(audit.entries(engine, "default"))
    with pytest.raises(StoreError, match="already"):
        access.add_user(engine, "default", BY, "bo", "viewer")
    with pytest.raises(StoreError, match="not a valid user name"):
        access.add_user(engine, "default", BY, "local:root", "viewer")
    with pytest.raises(StoreError, match="no such role"):
        access.add_user(engine, "default", BY, "eve", "owner")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="did you mean `ana`"):
        access.disable_user(engine, "default", BY, "anna")
    with pytest.raises(StoreError) as caught:
        access.revoke_key(engine, "default", BY, key.key.replace(key.id, "0" * 12))
    assert key.key.split("_", 2)[2] not in str(caught.value)
    assert len(audit.entries(engine, "default")) == num
    assert verify(engine, "default").is_whole
