"""Language models through the whole product on real rows and really trained small models: run by ``make journeys``.

The models have 260 thousand parameters: these runs prove mechanics and that something is learned, and say nothing about
the quality of larger ones.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.journeys.test_encoders import report

import tunesmith
from tunesmith.api import RunResult
from tunesmith.lifecycle.session import open_session
from tunesmith.store.artifacts import ArtifactStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(autouse=True)
def every_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real models are worth every core; the other tests make do with one."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.fixture
def stories(shared_data: Path) -> Path:
    """The trained model of 260 thousand parameters."""
    folder = shared_data.parent / "models" / "stories260k"
    if not folder.is_dir():
        pytest.skip("the small trained models are absent")
    return folder


def shown(name: str, result: RunResult, facts: dict[str, Any]) -> None:
    """Print a run's figures for the record."""
    told = result.to_dict()
    test = {metric: round(one["value"], 4) for metric, one in told["metrics"]["test"].items()}
    print(f"\n{name}: {told['verdict']}, {told['seconds']} s, test {test}")
    for baseline, metrics in told["baselines"].items():
        print(f"  {baseline}: { {metric: round(one['value'], 4) for metric, one in metrics.items()} }")
    print(f"  not measured: {facts['not_measured']}")


def test_restaurants_are_described(shared_data: Path, stories: Path, tmp_path: Path) -> None:
    folder, columns = shared_data / "e2e_nlg", {"prompt": "mr", "completion": "ref"}
    sources = [
        {"kind": "csv", "name": "dev", "path": str(folder / "devset.csv"), "columns": columns},
        {
            "kind": "csv",
            "name": "test",
            "path": str(folder / "testset_w_refs.csv"),
            "columns": columns,
            "split": "test",
        },
    ]
    recipe = {
        "name": "e2e",
        "task": "generate",
        "data": {"sources": sources},
        "model": str(stories),
        "train": {"trainable": "full", "epochs": 20},
        "gate": {},
    }
    result = tunesmith.run(recipe, home=tmp_path / "home")
    facts = dict(report(result.run, tmp_path).facts)
    shown("e2e_nlg", result, facts)
    history = validation_losses(result, tmp_path)
    print(f"  validation loss {history[0]:.3f} → {min(history):.3f}")
    assert min(history) < 0.80
    splits = {name: set(frame["prompt"]) for name, frame in split_frames(result, tmp_path).items()}
    assert not splits["train"] & splits["test"] and not splits["validation"] & splits["test"]
    assert Path(result.report).stat().st_size > 10_000


def test_minutes_are_learned_and_what_is_forgotten_is_said(shared_data: Path, stories: Path, tmp_path: Path) -> None:
    source = {"kind": "text", "name": "fomc", "path": str(shared_data / "fomc_minutes" / "*.txt"), "unit": "paragraph"}
    general = {"kind": "text", "path": str(shared_data / "tinystories_sample" / "*.txt"), "unit": "paragraph"}
    recipe = {
        "name": "fomc",
        "task": "generate",
        "data": {"sources": [source]},
        "model": str(stories),
        "train": {"method": "continued_pretraining", "trainable": "full", "epochs": 3},
        "evaluate": {"forgetting": {"source": general}},
        "gate": {},
    }
    result = tunesmith.run(recipe, home=tmp_path / "home")
    facts = dict(report(result.run, tmp_path).facts)
    shown("fomc_minutes", result, facts)
    print(f"  forgetting {facts['forgetting']}")
    told = result.to_dict()
    before = told["baselines"]["base"]["bits_per_byte"]["value"]
    assert told["metrics"]["test"]["bits_per_byte"]["value"] < 0.8 * before


def validation_losses(result: RunResult, home: Path) -> list[float]:
    """The validation loss at each look, in order."""
    lines = (made(result, home, "history") / "history.jsonl").read_text().splitlines()
    return [one["validation"]["loss"] for one in map(json.loads, lines) if "validation" in one]


def split_frames(result: RunResult, home: Path) -> dict[str, pl.DataFrame]:
    """The rows of each split."""
    folder = made(result, home, "splits")
    return {name: pl.read_parquet(folder / f"{name}.parquet") for name in ("train", "validation", "test")}


def made(result: RunResult, home: Path, output: str) -> Path:
    """The folder of what a run made."""
    with open_session(home / "home") as session:
        store = ArtifactStore(session.workspace, session.ledger)
        for step in session.ledger.run_steps(result.run):
            saved = store.find(step.step_key) if step.step_key else None
            if saved and output in saved:
                return saved[output].path
    raise AssertionError(f"the run made no {output}")
