"""Heads on decoders: the last token's vector is the text's, they learn, and padding changes no answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests import tiny

from tunesmith.core.artifact import Artifact
from tunesmith.core.engine import Request
from tunesmith.engines.transformers import TransformersEngine
from tunesmith.training.features import Features


def given(folder: Path, family: tiny.Decoder) -> dict[str, Artifact]:
    return {"base": tiny.base("bert", tiny.decoder(family)), "splits": tiny.labelled(folder / "splits", 48, 9, 6)}


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("trainable", ["full", "head", "lora"])
def test_it_learns_and_answers_alike_in_any_batch(family: Any, trainable: str, tmp_path: Path) -> None:
    config, reads = tiny.train_config(trainable=trainable, epochs=6), given(tmp_path, family)
    assert reads["base"].facts["pooling"] == "last"
    if trainable == "head":
        context = tiny.FakeContext(tmp_path / "features")
        facts = Features(config.features()).run(reads, context)["activations"]
        reads["activations"] = tiny.artifact("activations", "activations", context.out / "activations", facts)
    trained = tiny.train(config, reads, tiny.FakeContext(tmp_path / "train"))
    assert trained.facts["network"]["pooling"] == "last"
    assert sum(trained.losses[-6:]) < 0.85 * sum(trained.losses[:6])
    engine = TransformersEngine.open(trained.path, reads["base"].path)
    texts, _ = tiny.sentences(7, seed=5)
    together = {one.index: one.values for one in engine.submit(Request("predict", texts))}
    for place, text in enumerate(texts):
        [alone] = engine.submit(Request("predict", [text]))
        assert alone.values == pytest.approx(together[place], abs=1e-5)
