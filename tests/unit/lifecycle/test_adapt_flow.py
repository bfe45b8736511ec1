"""Phases before the head's: which steps read the base as it came, which the one that read on, and a run through all."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from tests import tiny

import tunesmith
from tunesmith.core import wiring
from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import Interrupted
from tunesmith.lifecycle.flows import flow_of
from tunesmith.lifecycle.model_card import model_card
from tunesmith.lifecycle.session import open_session
from tunesmith.lifecycle.steps import StepSpec
from tunesmith.recipe.load import load
from tunesmith.store.artifacts import ArtifactStore


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder with a mask token, labelled rows, and texts of which some are test rows of theirs."""
    here = tmp_path_factory.mktemp("adapt")
    tiny.write_masked_encoder("bert", here / "bert")
    texts, labels = tiny.sentences(90, 0)
    pl.DataFrame({"text": texts, "label": labels}).write_csv(here / "rows.csv")
    pl.DataFrame({"body": [*tiny.sentences(40, 5)[0], *texts]}).write_csv(here / "log.csv")
    return here


def recipe(folder: Path, *earlier: dict[str, Any], head: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    phases = [{"method": "continued_pretraining", "epochs": 2, "optimizer": {"lr": 1e-2}} | one for one in earlier]
    return {
        "name": "desk",
        "task": "classify",
        "model": str(folder / "bert"),
        "data": {
            "sources": [
                {"kind": "csv", "name": "rows", "path": str(folder / "rows.csv")},
                {"kind": "csv", "name": "log", "path": str(folder / "log.csv"), "columns": {"text": "body"}},
            ],
            "clean": {"near_duplicates": None},
        },
        "train": [*phases, {"trainable": "head", "epochs": 2} if head is None else head],
        "evaluate": {"bootstrap_samples": 200},
        "gate": {},
        **more,
    }


def specs(given: Mapping[str, Any]) -> dict[str, StepSpec]:
    return {spec.name: spec for spec in flow_of(load(given)).specs}


def reads(spec: StepSpec, name: str) -> str:
    return spec.given[name].step


def test_baselines_stand_on_the_base_as_it_came_and_the_model_on_the_one_that_read_on(folder: Path) -> None:
    found = specs(recipe(folder, {"sources": ["log"]}, {}))
    assert reads(found["baselines"], "activations") == "features"
    assert reads(found["features"], "base") == "base"
    assert [reads(found[f"adapt:{n}"], "base") for n in (1, 2)] == ["base", "adapt:1"]
    # The tokenizer stays, so a plan knows the tokens of every phase.
    assert {reads(found[f"tokens:{n}"], "base") for n in (1, 2)} == {"base"}
    assert {reads(found[f"tokens:{n}"], "splits") for n in (1, 2)} == {"prepare:texts"}
    assert reads(found["features:adapted"], "base") == "adapt:2"
    assert (reads(found["train"], "base"), reads(found["train"], "activations")) == ("adapt:2", "features:adapted")
    assert reads(found["evaluate"], "base") == "adapt:2"


def test_texts_without_labels_are_prepared_apart_from_rows(folder: Path) -> None:
    found = specs(recipe(folder, {"sources": ["log"]}))
    assert set(found["prepare"].given) == {"rows"}
    texts = found["prepare:texts"]
    assert (reads(texts, "rows"), reads(texts, "log")) == ("texts:rows", "ingest:log")
    redacted = recipe(folder, {"sources": ["log"]})
    redacted["data"]["privacy"] = "redact"
    assert reads(specs(redacted)["prepare:texts"], "log") == "privacy:log"


def test_a_whole_network_needs_no_features_of_the_adapted_base(folder: Path) -> None:
    found = specs(recipe(folder, {"sources": ["log"]}, head={"trainable": "full"}))
    assert "features:adapted" not in found and reads(found["train"], "base") == "adapt:1"
    layers = specs(recipe(folder, {"sources": ["log"]}, head={"trainable": {"kind": "top_layers", "layers": 1}}))
    assert reads(layers["layers"], "base") == "adapt:1"


def test_tuning_and_chosen_models_go_with_phases(folder: Path) -> None:
    """The search is of the head's settings, on the base that read on; models are ranked as they came."""
    tuned = specs(recipe(folder, {"sources": ["log"]}, tune={"trials": 2}))
    assert (reads(tuned["tune"], "base"), reads(tuned["tune"], "activations")) == ("adapt:1", "features:adapted")
    both = [str(folder / "bert"), str(tiny.encoder("roberta"))]
    chosen = specs(recipe(folder, {"sources": ["log"]}, model=both))
    assert (reads(chosen["tokens:1"], "base"), reads(chosen["adapt:1"], "base")) == ("select", "select")
    assert reads(chosen["train"], "base") == "adapt:1"
    assert reads(chosen["baselines"], "activations") == "select"


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every step runs here: children that load torch would take most of the test's time."""
    monkeypatch.setattr(wiring, "_ROWS", [replace(one, is_heavy=False) for one in wiring._ROWS])
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def steps_of(home: Path, run: str) -> dict[str, Mapping[str, Artifact]]:
    with open_session(home) as session:
        store = ArtifactStore(session.workspace, session.ledger)
        made = {one.name: store.find(one.step_key) for one in session.ledger.run_steps(run) if one.step_key}
    return {name: one for name, one in made.items() if one is not None}


@pytest.mark.usefixtures("in_process")
def test_an_encoder_reads_on_and_its_head_stands_on_it(folder: Path, tmp_path: Path) -> None:
    given = recipe(folder, {"sources": ["log"]}, {"trainable": "lora"})
    plan = tunesmith.plan(given, home=tmp_path)
    forecast = {step.name: step.forecast for step in plan.steps}
    assert forecast["adapt:1"] is not None and forecast["adapt:1"]["seconds"] > 0
    assert [one["by_source"]["log"]["rows"] for one in plan.tokens] == [40, 40]
    result = tunesmith.run(given, home=tmp_path)

    made = steps_of(tmp_path, result.run)
    assert made["train"]["model"].facts["base"]["digest"] == made["adapt:2"]["base"].digest
    proving = set(pl.read_parquet(made["prepare"]["splits"].path / "test.parquet")["text"])
    read = pl.read_parquet(made["prepare:texts"]["splits"].path / "train.parquet")
    assert len(proving) == 18 and not proving & set(read["text"])
    for number in (1, 2):
        tokens = made[f"tokens:{number}"]["tokens"]
        rows = pl.read_parquet(tokens.path / "train.rows.parquet")
        assert set(rows["source_id"]) == ({"log"} if number == 1 else {"log", "rows"})
        assert set(rows["row_id"]) <= set(read["row_id"])
        assert tokens.facts["by_split"]["test"]["rows"] == 0
    first, second = made["adapt:2"]["base"].facts["adapted"]
    assert first["starts_new"] and not second["starts_new"], "the layer that guesses goes from phase to phase"
    assert first["best"] < first["before"] and second["before"] == pytest.approx(first["best"], abs=1e-4)
    with open_session(tmp_path) as session:
        assert [one["rows"] for one in model_card(session, f"run:{result.run}").base["adapted"]] == [40, 103]
    page = Path(result.report).read_text()
    assert "Pre-training on your texts" in page and "pre-trained on with 40 and 103 rows of text" in page

    model = tunesmith.load(f"run:{result.run}", home=tmp_path)
    answers = model.predict(["my card is blocked", "refund my money"])
    model.close()
    assert all(one.label in tiny.LABELS for one in answers)
    pl.DataFrame({"text": ["my card is blocked"]}).write_csv(tmp_path / "new.csv")
    done = tunesmith.predict_file(f"run:{result.run}", tmp_path / "new.csv", tmp_path / "out.csv", home=tmp_path)
    assert done.rows["predicted"] == 1
    assert tunesmith.run(given, home=tmp_path).metrics == result.metrics


@pytest.mark.usefixtures("in_process")
def test_a_run_that_was_stopped_while_it_read_ends_as_an_unbroken_one(folder: Path, tmp_path: Path) -> None:
    given = recipe(folder, {"sources": ["log"], "checkpoint_every_s": 0.0, "epochs": 12})
    cancel = threading.Event()

    def listen(event: Mapping[str, Any]) -> None:
        # At the first word of it: on a quiet machine so small a phase has few more to say.
        if event.get("step") == "adapt:1" and event.get("event") == "progress":
            cancel.set()

    with pytest.raises(Interrupted) as caught:
        tunesmith.run(given, home=tmp_path / "broken", listener=listen, cancel=cancel)
    run = caught.value.run_id
    assert run is not None
    resumed = tunesmith.resume(run, home=tmp_path / "broken")
    whole = tunesmith.run(given, home=tmp_path / "whole")
    one, other = (
        steps_of(home, result.run) for home, result in ((tmp_path / "broken", resumed), (tmp_path / "whole", whole))
    )
    assert one["adapt:1"]["base"].digest == other["adapt:1"]["base"].digest
    assert one["adapt:1"]["history"].digest == other["adapt:1"]["history"].digest
    assert one["train"]["model"].digest == other["train"]["model"].digest
