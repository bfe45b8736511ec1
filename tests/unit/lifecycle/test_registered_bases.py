"""A recipe that starts from a model of its workspace: known by digest, never by alias; its lineage is on record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests import tiny

from tunesmith.core.artifact import Artifact, MadeBy
from tunesmith.core.errors import RecipeError, StoreError
from tunesmith.lifecycle.base_step import find_parent, held_fast
from tunesmith.lifecycle.flows import flow_of
from tunesmith.lifecycle.planned import known_when_planning
from tunesmith.lifecycle.run import start_run
from tunesmith.lifecycle.runner import Runner
from tunesmith.lifecycle.session import Session, open_session
from tunesmith.recipe.load import load
from tunesmith.store.artifacts import ArtifactStore


def store_of(session: Session) -> ArtifactStore:
    return ArtifactStore(session.workspace, session.ledger)


def pinned(session: Session) -> Artifact:
    """The BASE of a tiny encoder in the session's store."""
    base = tiny.base()
    out = session.workspace.root / "made"
    (out / "base" / "files").mkdir(parents=True)
    for file in (base.path / "files").iterdir():
        (out / "base" / "files" / file.name).write_bytes(file.read_bytes())
    outputs = {"base": ("base", dict(base.facts))}
    return store_of(session).save_step("base", "c-base", "base", out, outputs, MadeBy("base", "base", 0), ())["base"]


def trained(session: Session, base: Artifact, folder: Path, key: str, **changes: Any) -> Artifact:
    """A trained adapter over it, in the session's store."""
    context = tiny.FakeContext(folder / key)
    given = {"base": base, "splits": tiny.labelled(folder / "splits")}
    made = tiny.train(tiny.train_config(epochs=1, trainable="lora", **changes), given, context)
    outputs = {"model": ("model", dict(made.facts)), "history": ("history", {})}
    by = MadeBy(key, "train", 0)
    return store_of(session).save_step(key, f"c-{key}", "train", context.out, outputs, by, (base.digest,))["model"]


def recipe(folder: Path, model: Any, task: str = "classify") -> Any:
    texts, labels = tiny.sentences(40)
    pl.DataFrame({"text": texts, "label": labels, "prompt": texts}).write_csv(folder / "rows.csv")
    told: dict[str, Any] = {"name": "next", "task": task, "model": model, "train": {"trainable": "lora"}}
    return load({**told, "data": {"sources": [{"kind": "csv", "path": str(folder / "rows.csv")}]}})


def runner_of(session: Session) -> Runner:
    return Runner(session.workspace, session.ledger, seed=0, listener=session.listener)


def base_key(session: Session, told: Any) -> str:
    """The key of the step that pins the base."""
    runner = runner_of(session)
    return runner.keys_of(flow_of(told, runner.store).specs)["base"]


def test_it_is_known_by_its_bytes_and_by_no_alias(tmp_path: Path) -> None:
    with open_session(tmp_path / "home") as session:
        base = pinned(session)
        first, second = (trained(session, base, tmp_path, name, batch=size) for name, size in (("one", 8), ("two", 12)))
        ledger = session.ledger
        for model in (first, second):
            ledger.register_version("desk", model.digest, None, "better")
        ledger.set_alias("desk", "production", 1)

        by_alias = base_key(session, recipe(tmp_path, "desk@production"))
        assert base_key(session, recipe(tmp_path, "desk@1")) == by_alias
        ledger.start_run("r1", "desk", "classify", "ab" * 32)
        ledger.end_run("r1", "done", verdict="better", model_digest=first.digest)
        assert base_key(session, recipe(tmp_path, "run:r1")) == by_alias
        ledger.set_alias("desk", "production", 2)
        moved = base_key(session, recipe(tmp_path, "desk@production"))
        assert moved != by_alias and moved == base_key(session, recipe(tmp_path, "desk@2"))


def test_a_run_is_recorded_with_the_version_that_an_alias_meant(tmp_path: Path) -> None:
    with open_session(tmp_path / "home") as session:
        model, ledger = trained(session, pinned(session), tmp_path, "one"), session.ledger
        ledger.register_version("desk", model.digest, None, "better")
        ledger.set_alias("desk", "production", 1)
        assert held_fast(recipe(tmp_path, "desk@production"), ledger) == recipe(tmp_path, "desk@1")
        several = held_fast(recipe(tmp_path, ["embedded", "desk@production"]), ledger)
        assert several == recipe(tmp_path, ["embedded", "desk@1"])
        plain = recipe(tmp_path, "embedded")
        assert held_fast(plain, ledger) is plain
        with pytest.raises(StoreError, match="no model"):
            start_run(session, recipe(tmp_path, "dsk@production"))
        assert ledger.runs() == [], "and no run was begun"


@pytest.mark.slow  # a child process that loads torch and adds the adapter in
def test_its_lineage_is_on_record(tmp_path: Path) -> None:
    with open_session(tmp_path / "home") as session:
        base, ledger = pinned(session), session.ledger
        first = trained(session, base, tmp_path, "one")
        ledger.register_version("desk", first.digest, None, "better")
        runner = runner_of(session)
        specs = flow_of(recipe(tmp_path, "desk@1"), runner.store).specs
        assert [spec.name for spec in known_when_planning(specs) if spec.kind == "registered"] == ["base"]
        [step] = [spec for spec in specs if spec.name == "base"]
        made = runner.run([step])["base"]["base"]
        assert made.facts["parent"]["digest"] == first.digest and made.facts["name"] == "desk@1"
        assert set(made.parents) == {first.digest, base.digest}
        assert made.digest in ledger.descendants(first.digest)
        assert runner_of(session).run([step])["base"]["base"].digest == made.digest


def test_candidates_may_be_registered_too(tmp_path: Path) -> None:
    with open_session(tmp_path / "home") as session:
        model = trained(session, pinned(session), tmp_path, "one")
        session.ledger.register_version("desk", model.digest, None, "better")
        told = recipe(tmp_path, ["desk@1", str(tiny.encoder("bert"))])
        specs = {spec.name: spec for spec in flow_of(told, store_of(session)).specs}
        assert (specs["base:1"].kind, specs["base:2"].kind) == ("registered", "base")
        assert specs["base:1"].held["parent"] == model.digest


def test_an_unknown_reference_and_one_of_another_kind(tmp_path: Path) -> None:
    with open_session(tmp_path / "home") as session:
        model, store = trained(session, pinned(session), tmp_path, "one"), store_of(session)
        session.ledger.register_version("desk", model.digest, None, "better")
        session.ledger.set_alias("desk", "production", 1)
        for reference, near in (("dsk@production", "desk"), ("desk@prodction", "production"), ("run:none", None)):
            with pytest.raises(StoreError) as caught:
                flow_of(recipe(tmp_path, reference), store)
            assert near is None or f"`{near}`" in str(caught.value.next)
        session.ledger.start_run("r2", "desk", "classify", "ab" * 32)
        with pytest.raises(StoreError, match="has no model"):
            flow_of(recipe(tmp_path, "run:r2"), store)
        with pytest.raises(RecipeError, match="no output layer") as refused:
            flow_of(recipe(tmp_path, "desk@production", "generate"), store)
        assert refused.value.next is not None
        with pytest.raises(RecipeError, match="inside of a workspace"):
            find_parent(None, "desk@1", "classify")
