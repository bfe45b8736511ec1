"""A person erased, then the champion trained again: what is released in its place never saw them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests import planted, tiny

from tunesmith import api
from tunesmith.cli.main import main
from tunesmith.lifecycle.registry import find_artifact
from tunesmith.lifecycle.reports import learned_texts, released, same_text, splits_of
from tunesmith.lifecycle.session import Session, open_session
from tunesmith.store import audit, erasures, retrainings
from tunesmith.store.artifacts import ArtifactStore

pytestmark = pytest.mark.slow

PEOPLE = 30


def recipe(folder: Path, **changes: Any) -> dict[str, Any]:
    columns = {"text": "text", "label": "label", "subject": "who"}
    sources = [
        {"kind": "csv", "name": "tickets", "path": str(folder / "tickets.csv"), "columns": columns},
        {"kind": "jsonl", "name": "mails", "path": str(folder / "mails.jsonl"), "columns": columns},
    ]
    return {
        "name": "desk",
        "task": "classify",
        "data": {"sources": sources, "clean": {"near_duplicates": None}},
        "model": str(tiny.encoder("bert")),
        "train": {"trainable": "head", "epochs": 2},
        "evaluate": {"baselines": ["majority"]},
        "gate": {},
    } | changes


def used(session: Session, run: str) -> tuple[set[str], set[str]]:
    """Everything that a run's steps made and were given, however far back, and of it what its model was made of."""
    ledger = session.ledger
    model = str(ledger.run(run).model_digest)
    steps = [ledger.find_step(str(step.step_key)) or {} for step in ledger.run_steps(run)]
    made = {one.digest for outputs in steps for one in outputs.values()}
    return made.union(*map(ledger.ancestors, made)), set(ledger.ancestors(model))


def base_of(session: Session, reference: str) -> str:
    return str(find_artifact(ArtifactStore(session.workspace, session.ledger), reference).facts["base"]["digest"])


def test_the_model_after_an_erasure_never_saw_the_person(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home, everybody = tmp_path / "home", planted.people(PEOPLE)
    planted.write_sources(everybody, tmp_path)
    api.run(recipe(tmp_path), home=home)
    # The person learned from: at least one of their rows is in train or validation.
    gone = next(one for one in everybody if learned(home, one.texts))
    erased = api.erase(gone.id, "request 12", home=home)
    assert erased.is_clean and [one["names"] for one in erased.models] == [["desk@1"]]

    # The tiny encoder learns next to nothing: what is asked here is who saw whom.
    forgets = ["--set", "gate.forgetting.at_most=1.0"]
    assert main(["retrain", "desk", *forgets, "--home", str(home), "-q", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["champion"] == "desk@1" and told["cause"] == "erasure" and told["run"]["status"] == "done"
    assert told["why"] == (
        "it learned from rows of 1 person erased since: "
        f"trained anew from `{tiny.encoder('bert')}`, not from its weights"
    )
    run = told["run"]["run"]
    with open_session(home) as session:
        listed = {f"{one.name}@{one.version}": one.stale for one in released(session)}
        assert [bool(stale) for _, stale in sorted(listed.items())] == [True, False]
        assert session.ledger.resolve("desk", "production").version == 2
        # It stands on the recipe's base as it came, and nothing that made it was made of the champion.
        everything, makers = used(session, run)
        assert base_of(session, "desk@2") == base_of(session, "desk@1")
        champion = session.ledger.resolve("desk", "1").digest
        assert champion not in makers and champion in everything  # it was measured against it
        blobs = session.workspace.blobs
        # Of the champion's own only numbers in the order of rows are gone, for they are computed again on need.
        assert all(map(blobs.has, makers)) and len(makers) > 5
        for digest in everything - {champion}:
            assert planted.hits(blobs.path(digest), list(gone.traces)) == {}, digest
        one = retrainings.find(session.ledger.engine, session.ledger.project, run)
        assert one is not None and (one.cause, one.from_version) == ("erasure", 1)
        entries = audit.entries(session.ledger.engine, session.ledger.project)
        assert [json.loads(one.details)["cause"] for one in entries if one.action == "retrain"] == ["erasure"]
        # The verdict is measured as ever, on the champion's test rows that are left.
        report = session.ledger.artifact(next(d for d in everything if session.ledger.artifact(d).kind == "report"))
    assert [one["against"] for one in told["run"]["comparisons"]] == ["majority", "champion"]
    assert report.facts["retained"]["old"]["num_rows"] > 1
    page = (home / "runs" / run / "report.html").read_text("utf-8")
    assert "trained anew from the base" in page and "is to take the place of desk@1" in page
    # It is not stale, so the next one goes on from its weights, and needs a row that is new.
    assert main(["retrain", "desk", "--home", str(home), "-q", "--json"]) == 0
    nothing = json.loads(capsys.readouterr().out)
    assert nothing["run"] is None and nothing["nothing_new"]["known"] > 0
    # What goes on from the stale one's weights, as one may ask for, has seen them too.
    asked = ["champion.from_weights=true", "champion.needs_new=false"]
    same = api.retrain("desk@1", asked, until="evaluate", home=home)
    assert same.result is not None and "so the new model is stale too" in same.why
    with open_session(home) as session:
        made = session.ledger.run(same.result.run).model_digest
        assert made in erasures.stale(session.ledger.engine, session.ledger.project)


def test_the_rows_in_the_workspace_are_enough_where_the_source_files_are_gone(tmp_path: Path) -> None:
    """Whose file is deleted, for the person's sake or for another, has not withdrawn what it permitted."""
    home, everybody = tmp_path / "home", planted.people(PEOPLE)
    planted.write_sources(everybody, tmp_path)
    api.run(recipe(tmp_path), home=home)
    gone = next(one for one in everybody if learned(home, one.texts))
    with open_session(home) as session:
        before = rows_of(session, "desk@1")
    assert api.erase(gone.id, "request 13", home=home).is_clean
    with open_session(home) as session:
        left = rows_of(session, "desk@1")
    assert left.height < before.height
    files = {name: tmp_path / name for name in ("tickets.csv", "mails.jsonl")}
    for file in files.values():
        file.unlink()

    done = api.retrain("desk", ["gate.forgetting.at_most=1.0"], home=home)
    assert (done.cause, done.without) == ("erasure", ())
    assert done.gone == {"tickets": str(files["tickets.csv"]), "mails": str(files["mails.jsonl"])}
    assert done.result is not None and done.result.status == "done"
    with open_session(home) as session:
        listed = {f"{one.name}@{one.version}": bool(one.stale) for one in released(session)}
        assert listed == {"desk@1": True, "desk@2": False}
        # Every row that was left, in the split it had, and no other.
        key = ["row_id", "split", "text", "label"]
        assert rows_of(session, "desk@2").select(key).sort(key).equals(left.select(key).sort(key))
        everything, _ = used(session, done.result.run)
        champion = session.ledger.resolve("desk", "1").digest
        for digest in everything - {champion}:
            assert planted.hits(session.workspace.blobs.path(digest), list(gone.traces)) == {}, digest
    page = (home / "runs" / done.result.run / "report.html").read_text("utf-8")
    assert "not read this time, as the champion has them" in page

    # It is not stale, and has nothing to learn: said, and no run begun. A file of new rows makes it go, in the columns
    # that the sources had; what they permitted is known to the recipe as before.
    nothing = api.retrain("desk", home=home)
    assert nothing.result is None and nothing.nothing_new is not None and nothing.nothing_new["read"] == 0
    later = tmp_path / "later"
    later.mkdir()
    planted.write_sources(planted.people(PEOPLE + 6)[-6:], later)
    again = api.retrain(
        "desk", ["gate.forgetting.at_most=1.0"], add=[later / "tickets.csv"], until="evaluate", home=home
    )
    assert again.result is not None and set(again.gone) == {"tickets", "mails"}
    api.withdraw("mails", home=home)
    refused = api.retrain("desk", ["gate.forgetting.at_most=1.0"], until="evaluate", home=home)
    assert refused.without == ("mails",) and set(refused.gone) == {"tickets"} and refused.result is not None


def rows_of(session: Session, reference: str) -> pl.DataFrame:
    """The rows that a model was made with, with their split."""
    splits = splits_of(session, reference).path
    parts = [pl.read_parquet(splits / f"{name}.parquet") for name in ("train", "validation", "test")]
    names = ("train", "validation", "test")
    return pl.concat([part.with_columns(split=pl.lit(name)) for name, part in zip(names, parts, strict=True)])


def learned(home: Path, texts: tuple[str, ...]) -> bool:
    with open_session(home) as session:
        known = learned_texts(session, "desk@production")
    return any(same_text(one) in known for one in texts)
