"""Decisions about releases: by gate and by name, all of it or nothing, and never by whoever ran it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, select

from tunesmith.core.actor import Actor
from tunesmith.core.artifact import Artifact, MadeBy
from tunesmith.core.errors import Denied, RecipeError, StoreError
from tunesmith.lifecycle import approve as decisions
from tunesmith.lifecycle.recorded import digest_of, record
from tunesmith.lifecycle.release import Release, release
from tunesmith.lifecycle.reports import released
from tunesmith.lifecycle.session import Session, open_session
from tunesmith.recipe.load import load
from tunesmith.store import access, audit, erasures, retrainings
from tunesmith.store.artifacts import ArtifactStore
from tunesmith.store.database import reading
from tunesmith.store.retrainings import Retraining
from tunesmith.store.tables import ALIAS_HISTORY, ALIASES, APPROVALS, AUDIT, MODEL_VERSIONS
from tunesmith.store.verify_audit import verify

RECIPE = {"name": "desk", "task": "classify", "data": {"sources": [{"kind": "csv", "path": "rows.csv"}]}}
ANA, BO, EVE = Actor("ana", "engineer"), Actor("bo", "approver"), Actor("eve", "admin")


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with open_session(tmp_path / "home") as opened:
        yield opened


def as_actor(session: Session, actor: Actor) -> Session:
    return Session(session.workspace, session.ledger, actor=actor)


def model(session: Session, text: str) -> Artifact:
    """An artifact of kind model, without a model."""
    out = session.workspace.step_folder(f"key-{text}") / "out"
    (out / "model").mkdir(exist_ok=True)
    (out / "model" / "model.json").write_text(text)
    store, made_by = ArtifactStore(session.workspace, session.ledger), MadeBy(f"key-{text}", "train", 0)
    outputs: dict[str, Any] = {"model": ("model", {"text": text})}
    return store.save_step(f"key-{text}", f"content-{text}", "train", out, outputs, made_by, ())["model"]


def report(passed: bool) -> Artifact:
    gate = {"passed": passed, "verdict": "better" if passed else "not shown"}
    return Artifact("report", "d" * 64, Path(), {"gate": gate}, MadeBy("k", "evaluate", 0))


def ran(session: Session, run_id: str, text: str, *, passed: bool, needed: Any = "none") -> Release:
    """A run of somebody, to its release decision."""
    recipe = load(RECIPE)
    record(recipe, session.workspace.run_folder(run_id))
    session.ledger.start_run(run_id, "desk", "classify", digest_of(recipe), by=session.actor)
    made = model(session, text)
    out = release(session, "desk", "production", run_id, made, report(passed), needed)
    session.ledger.end_run(run_id, out.status, verdict=out.verdict, model_digest=made.digest, by=session.actor)
    return out


def log(session: Session) -> list[tuple[str, str, str]]:
    return [(one.actor, one.action, one.target) for one in audit.entries(session.ledger.engine, "default")]


def test_a_gate_that_said_no_is_overruled_by_name_alone(session: Session) -> None:
    engine = session.ledger.engine
    for user in (ANA, BO, EVE):
        access.add_user(engine, "default", session.actor, user.name, user.role)
    out = ran(as_actor(session, ANA), "r1", "one", passed=False)
    assert (out.is_released, out.status, out.reference) == (False, "denied", None)
    assert session.ledger.models() == []

    with pytest.raises(Denied, match="who ran it may not approve it") as caught:
        decisions.approve(as_actor(session, ANA), "r1", "I like it")
    assert caught.value.allowed == "another approver: bo, eve"
    for reason in ("", " \n", "x" * 1001, "a\x00b", "a\udc80b"):
        with pytest.raises(RecipeError, match="needs its reason"):
            decisions.approve(as_actor(session, BO), "r1", reason)
    assert session.ledger.run("r1").status == "denied"

    made = decisions.approve(as_actor(session, BO), "run:r1", " asked for,\nticket 4711 ")
    assert (made.status, made.kind, made.decision, made.model, made.version) == (
        "done", "exception", "approved", "desk@production", 1,
    )  # fmt: skip
    assert (made.by, made.reason, made.is_alone) == ("bo", "asked for, ticket 4711", False)
    assert session.ledger.run("r1").status == "done"
    (version,) = released(session)
    assert version.approval is not None
    assert version.approval["words"] == "released by exception: bo, asked for, ticket 4711"
    first, last = log(session)[3:5], log(session)[5:]
    assert first == [("ana", "run.start", "r1"), ("ana", "run.end", "r1")]
    assert last == [("bo", "approve", "r1"), ("bo", "release", "desk@production")]
    assert verify(engine, "default").is_whole
    with pytest.raises(RecipeError, match="waits for nobody"):
        decisions.approve(as_actor(session, BO), "r1", "again")
    # Going on with the run finds the word that was spoken.
    again = ran(as_actor(session, ANA), "r1", "one", passed=False)
    assert (again.reference, again.status, again.version) == ("desk@production", "done", 1)
    # Of another model of the same run it says nothing.
    assert ran(as_actor(session, ANA), "r1", "other", passed=False).status == "denied"


def test_a_recipe_that_asks_for_a_person_waits_for_one(session: Session) -> None:
    access.add_user(session.ledger.engine, "default", session.actor, "bo", "approver")
    out = ran(as_actor(session, ANA), "r1", "one", passed=True, needed="required")
    assert (out.is_released, out.is_waiting, out.status) == (False, True, "waiting")
    assert session.ledger.models() == []
    refused = decisions.approve(as_actor(session, BO), "r1", "too many complaints", is_refused=True)
    assert (refused.status, refused.kind, refused.model, refused.version) == ("denied", "release", None, None)
    again = ran(as_actor(session, ANA), "r1", "one", passed=True, needed="required")
    assert again.status == "denied" and again.approval is not None
    assert again.approval.words == "refused: bo, too many complaints"
    made = decisions.approve(as_actor(session, BO), "r1", "the complaints were spam")
    assert (made.status, made.kind, made.model) == ("done", "release", "desk@production")
    assert [what for _, what, _ in log(session)][-5:] == ["refuse", "run.resume", "run.end", "approve", "release"]
    # A gate that says no denies all the same.
    assert ran(as_actor(session, ANA), "r2", "two", passed=False, needed="required").status == "denied"


def test_a_challenger_never_replaces_another_model_than_it_was_measured_against(session: Session) -> None:
    def challenger(run_id: str, text: str, **more: Any) -> Release:
        session.ledger.start_run(run_id, "desk", "classify", digest_of(load(RECIPE)), by=session.actor)
        one = Retraining(run_id, "r1", "desk", 1, "by hand", datetime.now(UTC))
        retrainings.record(session.ledger.engine, "default", one, session.actor)
        return ran(session, run_id, text, **more)

    assert ran(session, "r1", "one", passed=True).version == 1
    assert challenger("r2", "two", passed=True).reference == "desk@production"
    # A second one that began with version 1 as well, and ends with other bytes.
    late = challenger("r3", "three", passed=True)
    assert (late.status, late.version) == ("waiting", None)
    assert late.why == "measured against desk@1, and desk@production is version 2 now"
    assert session.ledger.resolve("desk", "production").version == 2 and len(session.ledger.models()) == 2
    # One that ends with the same bytes, or is run again, is what is in production already.
    assert challenger("r4", "two", passed=True).reference == "desk@production"
    assert challenger("r2", "two", passed=True).reference == "desk@production"
    # The gate's no comes first, and a person's word settles it.
    assert challenger("r5", "four", passed=False).status == "denied"
    assert decisions.approve(session, "r3", "seen both").model == "desk@production"
    assert session.ledger.resolve("desk", "production").version == 3


def test_who_is_alone_may_approve_and_the_audit_says_so(session: Session) -> None:
    ran(session, "r1", "one", passed=False)
    made = decisions.approve(session, "r1", "nobody else is here")
    assert made.is_alone
    (entry,) = audit.entries(session.ledger.engine, "default", action="approve")
    assert entry.to_dict()["details"]["alone"] is True
    # Once there is another who may, they must.
    access.add_user(session.ledger.engine, "default", session.actor, "bo", "approver")
    ran(session, "r2", "two", passed=False)
    with pytest.raises(Denied, match="who ran it"):
        decisions.approve(session, "r2", "I like it")
    assert not decisions.approve(as_actor(session, BO), "r2", "fine").is_alone
    # Whoever went on with it has run it too.
    ran(as_actor(session, ANA), "r3", "three", passed=False)
    ran(as_actor(session, EVE), "r3", "three", passed=False)
    with pytest.raises(Denied, match="who ran it"):
        decisions.approve(as_actor(session, EVE), "r3", "I like it")


def test_a_run_of_nobody_known_and_runs_that_are_not_there_yet(session: Session) -> None:
    recipe = load(RECIPE)
    record(recipe, session.workspace.run_folder("old"))
    session.ledger.start_run("old", "desk", "classify", digest_of(recipe))
    with pytest.raises(RecipeError, match="has not come to its release decision"):
        decisions.approve(session, "old", "fine")
    session.ledger.end_run("old", "denied", model_digest=model(session, "old").digest)
    with pytest.raises(Denied, match="not on record who ran"):
        decisions.approve(as_actor(session, BO), "old", "fine")
    with pytest.raises(StoreError, match="no run"):
        decisions.approve(session, "nothing", "fine")
    with (
        session.workspace.lock(session.workspace.run_folder("old") / "lock"),
        pytest.raises(StoreError, match="locked"),
    ):
        decisions.approve(session, "old", "fine")


def test_rolling_back_goes_back_one_by_one(session: Session) -> None:
    for number, text in enumerate(("one", "two", "three"), 1):
        assert ran(session, f"r{number}", text, passed=True).version == number
    with pytest.raises(RecipeError, match="an alias"):
        decisions.rollback(session, "desk@2", "x")
    with pytest.raises(RecipeError, match="is an alias") as bare:
        decisions.rollback(session, "desk", "x")
    assert bare.value.next == "tunesmith rollback desk@production --reason TEXT"
    with pytest.raises(RecipeError, match="needs its reason"):
        decisions.rollback(session, "desk@production", "")
    made = decisions.rollback(session, "desk@production", "complaints")
    assert (made.version, made.was) == (2, 3)
    assert decisions.rollback(session, "desk@production", "more").version == 1
    with pytest.raises(RecipeError, match="no version before") as last:
        decisions.rollback(session, "desk@production", "even more")
    assert last.value.allowed == "--to 2 or 3"
    assert session.ledger.resolve("desk", "production").version == 1
    # A run of the same model does not undo what somebody decided, be it resumed or new; only they do.
    again = ran(session, "r3", "three", passed=True)
    assert (again.reference, again.version) == ("desk@3", 3)
    assert session.ledger.resolve("desk", "production").version == 1
    assert ran(session, "r4", "three", passed=True).reference == "desk@3"
    assert session.ledger.resolve("desk", "production").version == 1
    for wrong in (1, 4):
        with pytest.raises(RecipeError, match=r"never stood|already"):
            decisions.rollback(session, "desk@production", "back", to=wrong)
    assert decisions.rollback(session, "desk@production", "mended", to=3).version == 3
    assert decisions.rollback(session, "desk@production", "again").version == 1
    moves = [(one.version, one.previous) for one in session.ledger.alias_history("desk")]
    assert moves == [(1, None), (2, 1), (3, 2), (2, 3), (1, 2), (3, 1), (1, 3)]
    assert [one.version for one in session.ledger.models()] == [1, 2, 3]
    with pytest.raises(StoreError, match="did you mean"):
        decisions.rollback(session, "desk@productoin", "x")


def test_what_was_rolled_back_stays_back_and_says_so(session: Session) -> None:
    for run, text in (("r1", "one"), ("r2", "two")):
        assert ran(session, run, text, passed=True).why is None
    decisions.rollback(session, "desk@production", "complaints")
    again = ran(session, "r3", "two", passed=True)
    assert (again.reference, again.status) == ("desk@2", "done")
    why = (
        "desk@production stays on version 1, for it was moved on from version 2; "
        "`tunesmith rollback desk@production --to 2 --reason TEXT` brings that back"
    )
    assert again.why == why
    ran(session, "r4", "two", passed=False)
    made = decisions.approve(session, "r4", "the same once more")
    assert (made.model, made.version, made.why) == ("desk@2", 2, why)
    assert session.ledger.resolve("desk", "production").version == 1


def test_rolling_back_to_a_stale_version_says_so(session: Session) -> None:
    for run, text in (("r1", "one"), ("r2", "two")):
        ran(session, run, text, passed=True)
    engine, project = session.ledger.engine, session.ledger.project
    erased = erasures.begin(engine, project, "e-1", "ab" * 16, "request", session.actor)
    erasures.mark_stale(engine, project, erased.id, [session.ledger.resolve("desk", "1").digest])
    erasures.finish(engine, project, erased.id, erased.subject, lambda sequence: {}, session.actor)
    made = decisions.rollback(session, "desk@production", "complaints")
    assert (made.version, made.stale) == (1, ("e-1",))  # what people complain of goes at once; what it saw is said
    assert decisions.rollback(session, "desk@production", "worse", to=2).stale == ()


def state(session: Session, run_id: str) -> tuple[Any, ...]:
    """All that a release changes."""
    with reading(session.ledger.engine) as connection:
        tables = (APPROVALS, MODEL_VERSIONS, ALIASES, ALIAS_HISTORY, AUDIT)
        counts = [connection.execute(select(func.count()).select_from(table)).scalar() for table in tables]
    return (*counts, session.ledger.run(run_id).status)


def killed_at(home: Path, number: int, work: Callable[[Session], object]) -> bool:
    """Whether the work, in a process of its own, was killed at its n-th statement to the ledger."""
    child = os.fork()
    if not child:
        with open_session(home) as session:
            count = 0

            def kill(*given: Any) -> None:
                nonlocal count
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)

            event.listen(session.ledger.engine, "before_cursor_execute", kill)
            event.listen(session.ledger.engine, "commit", kill)
            work(session)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


def test_a_kill_at_any_statement_leaves_nothing_half_released(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with open_session(home) as session:
        ran(session, "r0", "zero", passed=True)
        ran(session, "r1", "one", passed=False)
        ran(session, "r2", "two", passed=True, needed="required")
        before = state(session, "r1")
        two = session.ledger.run("r2").model_digest
    works: list[tuple[Callable[[Session], object], tuple[int, ...], str]] = [
        (lambda session: decisions.approve(session, "r1", "fine"), (1, 1, 0, 1, 2), "done"),
        (lambda session: decisions.rollback(session, "desk@production", "no"), (0, 0, 0, 1, 1), "done"),
        (lambda session: release(session, "desk", "production", "r2", _loaded(session, two), report(True)),
         (0, 1, 0, 1, 1), "done"),
    ]  # fmt: skip
    for work, more, status in works:
        after = (*(one + added for one, added in zip(before[:-1], more, strict=True)), status)
        number, num_kills = 0, 0
        while True:
            number += 1
            assert number < 200
            is_killed = killed_at(home, number, work)
            with open_session(home) as session:
                seen = state(session, "r1")
                assert verify(session.ledger.engine, "default").is_whole
            assert seen in (before, after), number
            num_kills += is_killed
            if seen == after:
                break
        assert num_kills >= 8
        before = after


def _loaded(session: Session, digest: str | None) -> Artifact:
    return ArtifactStore(session.workspace, session.ledger).load(str(digest))


def test_nothing_in_the_product_changes_a_version() -> None:
    source = Path(decisions.__file__).parents[1]
    for path in source.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for table in ("MODEL_VERSIONS", "ALIAS_HISTORY", "AUDIT", "APPROVALS"):
            assert f"update({table}" not in text and f"delete({table}" not in text, f"{path.name} changes {table}"
