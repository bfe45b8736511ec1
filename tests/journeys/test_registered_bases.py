"""Models that go on from models of their workspace, through the whole product: run by ``make journeys``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests import tiny

import tunesmith
from tunesmith.lifecycle.session import open_session
from tunesmith.store.artifacts import ArtifactStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def told(name: str, task: str, model: str, rows: Path, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "task": task,
        "model": model,
        "data": {"sources": [{"kind": "csv", "path": str(rows)}], "clean": {"near_duplicates": None}},
        "train": {"trainable": "lora", "epochs": 1, "batch": 16, "precision": "float32"},
        "gate": {},
        **more,
    }


def test_the_untrained_base_is_the_parent_as_it_was_measured(tmp_path: Path) -> None:
    """One alias, moved between two runs; what the second one calls its untrained base is the first one's model."""
    texts, labels = tiny.sentences(60)
    texts = [f"{text} {number}" for number, text in enumerate(texts)]
    pl.DataFrame({"prompt": texts, "completion": labels}).write_csv(tmp_path / "pairs.csv")
    pl.DataFrame({"text": texts, "label": labels}).write_csv(tmp_path / "rows.csv")
    tiny.write_decoder(tmp_path / "llama", "llama")
    home, pairs = tmp_path / "home", tmp_path / "pairs.csv"
    quick: dict[str, Any] = {"evaluate": {"bootstrap_samples": 200}}

    first = tunesmith.run(told("talk", "generate", str(tmp_path / "llama"), pairs, **quick), home=home)
    second = tunesmith.run(told("talk", "generate", "talk@production", pairs, **quick), home=home)
    for metric in ("bits_per_byte", "perplexity"):
        before = first.metrics["test"][metric]["value"]
        assert second.baselines["base"][metric]["value"] == before
        assert second.metrics["test"][metric]["value"] < before, "and it went on learning"

    # A head on what has learned to write; the alias has moved to the second model meanwhile.
    measured = {"evaluate": {"bootstrap_samples": 200, "baselines": ["majority", "base_centroid"]}}
    head = tunesmith.run(told("desk", "classify", "talk@production", tmp_path / "rows.csv", **measured), home=home)
    with open_session(home) as session:
        store = ArtifactStore(session.workspace, session.ledger)
        versions = {one.version: one.digest for one in session.ledger.models() if one.name == "talk"}
        [desk] = [one for one in session.ledger.models() if one.name == "desk"]
        model = store.load(desk.digest)
        base = store.load(model.facts["base"]["digest"])
        assert base.facts["parent"]["model"] == "talk@2" and base.facts["parent"]["digest"] == versions[2]
        assert (base.facts["network"], model.facts["network"]["pooling"]) == ("decoder", "last")
        ancestors = session.ledger.ancestors(desk.digest)
        assert {versions[1], versions[2]} <= set(ancestors), "erasing a row can find every model it went into"
        recorded = (session.workspace.run_folder(head.run) / "recipe.yaml").read_text()
        assert "talk@2" in recorded and "talk@production" not in recorded
