"""What a reference stands for, and what the gate's answer does to the registry."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import tiny

from tunesmith.core.artifact import Artifact, MadeBy
from tunesmith.core.errors import RecipeError, StoreError
from tunesmith.lifecycle.model import find_model, open_model
from tunesmith.lifecycle.release import release
from tunesmith.lifecycle.session import Session, open_session
from tunesmith.store.artifacts import ArtifactStore


def trained(session: Session, folder: Path, key: str, **changes: object) -> Artifact:
    """A tiny trained model as an artifact of the session's store."""
    given = {"base": tiny.base(), "splits": tiny.labelled(folder / "splits")}
    context = tiny.FakeContext(folder / key)
    made = tiny.train(tiny.train_config(epochs=1, **changes), given, context)
    outputs = {"model": ("model", dict(made.facts)), "history": ("history", {})}
    store = ArtifactStore(session.workspace, session.ledger)
    return store.save_step(key, f"content-{key}", "train", context.out, outputs, MadeBy(key, "train", 0), ())["model"]


def verdict(passed: bool) -> Artifact:
    gate = {"passed": passed, "verdict": "better" if passed else "not shown"}
    return Artifact("report", "d" * 64, Path(), {"gate": gate}, MadeBy("k", "evaluate", 0))


def test_only_what_passed_the_gate_is_released_and_never_twice(tmp_path: Path) -> None:
    with open_session(tmp_path / "home") as session:
        session.ledger.start_run("r1", "desk", "classify", "ab" * 32)
        first, second = trained(session, tmp_path, "one"), trained(session, tmp_path, "two", batch=12)
        denied = release(session, "desk", "production", "r1", first, verdict(False))
        assert (denied.is_released, denied.reference, denied.verdict) == (False, None, "not shown")
        assert session.ledger.models() == []

        out = release(session, "desk", "production", "r1", first, verdict(True))
        assert (out.reference, out.version) == ("desk@production", 1)
        assert release(session, "desk", "production", "r1", first, verdict(True)).version == 1
        assert find_model(session, "desk@production").digest == first.digest
        assert release(session, "desk", "production", "r1", second, verdict(True)).version == 2
        assert find_model(session, "desk@production").digest == second.digest
        assert find_model(session, "desk@1").digest == first.digest
        assert find_model(session, "desk").digest == second.digest, "a bare name is the newest version"
        release(session, "desk", "production", "r1", second, verdict(False))
        assert find_model(session, "desk@production").digest == second.digest

        session.ledger.end_run("r1", "done", verdict="better", model_digest=first.digest)
        assert find_model(session, "run:r1").digest == first.digest
        session.ledger.start_run("r2", "desk", "classify", "ab" * 32)
        with pytest.raises(StoreError, match="has no model") as caught:
            find_model(session, "run:r2")
        assert caught.value.next == "wait until it ends; if it was killed, tunesmith resume r2"
        session.ledger.end_run("r2", "failed")
        with pytest.raises(StoreError, match="it is failed") as caught:
            find_model(session, "run:r2")
        assert caught.value.next == "tunesmith resume r2"
        with pytest.raises(StoreError):
            find_model(session, "dsk@production")


def test_an_opened_model_answers_in_order(tmp_path: Path) -> None:
    with open_session(tmp_path / "home") as session:
        session.ledger.start_run("r1", "desk", "classify", "ab" * 32)
        release(session, "desk", "production", "r1", trained(session, tmp_path, "one"), verdict(True))
        model = open_model(session, "desk@production")
        texts, _ = tiny.sentences(9)
        together = model.predict(texts)
        alone = [model.predict([text])[0] for text in texts]
        for one, other in zip(together, alone, strict=True):
            assert one.label == other.label and one.probability == pytest.approx(other.probability, abs=1e-6)
            assert one.label == max(one.probabilities, key=one.probabilities.__getitem__)
            assert sum(one.probabilities.values()) == pytest.approx(1.0)
        assert model.predict([]) == []
        assert model.predict(["the " * 50])[0].num_truncated_tokens == 52 - tiny.MAX_TOKENS
        with pytest.raises(RecipeError, match="list of texts"):
            model.predict("one text")
        model.close()
