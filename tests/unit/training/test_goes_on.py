"""Through the real stages: before its first step a challenger answers every old label as its champion does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import tiny

from tunesmith.core.artifact import Artifact
from tunesmith.core.engine import Request
from tunesmith.core.stage import Given
from tunesmith.engines.transformers import TransformersEngine
from tunesmith.selection.config import RegisteredConfig
from tunesmith.selection.registered import Registered
from tunesmith.training.features import Features
from tunesmith.training.stage import Train, assemble

NEEDS: dict[str, tuple[str, ...]] = {"head": ("activations",), "top_layers": ("layers",)}


def reads(config: Any, given: dict[str, Artifact], folder: Path) -> Given:
    """What training reads besides base and splits."""
    for name in NEEDS.get(config.trainable.kind, ()):
        if name == "layers":
            given["layers"] = tiny.layers(config, given, folder / "layers")
            continue
        context = tiny.FakeContext(folder / name)
        facts = Features(config.features()).run(given, context)["activations"]
        given[name] = tiny.artifact(name, "activations", context.out / "activations", facts)
    return given


def logits(model: Path, base: Path, texts: list[str]) -> np.ndarray[Any, Any]:
    engine = TransformersEngine.open(model, base)
    answers = sorted(engine.submit(Request("logits", texts)), key=lambda one: one.index)
    engine.close()
    return np.array([one.values for one in answers], float)


@pytest.mark.parametrize("trainable", ["head", "full", "lora", "top_layers"])
@pytest.mark.parametrize("task", ["classify", "regress"])
def test_at_the_start_old_rows_are_answered_as_before(trainable: str, task: Any, tmp_path: Path) -> None:
    base, config = tiny.base(), tiny.train_config(task, trainable=trainable)
    texts, labels = tiny.sentences(60)
    values: list[Any] = labels if task == "classify" else [float(at % 7) for at in range(60)]
    first = tiny.splits(
        tmp_path / "s1", {"train": (texts[:40], values[:40]), "validation": (texts[40:], values[40:])}, task
    )
    context = tiny.FakeContext(tmp_path / "champion")
    made = tiny.train(config, reads(config, {"base": base, "splits": first}, tmp_path / "c"), context)
    champion = tiny.artifact("model", "model", made.path, made.facts)

    below = {} if trainable in ("full", "top_layers") else {"base": base}
    context = tiny.FakeContext(tmp_path / "registered")
    registered = Registered(RegisteredConfig(model="desk@1", task=task))
    facts = registered.run({"parent": champion, **below}, context)["base"]
    whole = tiny.artifact("whole", "base", context.out / "base", facts)

    new: list[Any] = ["aaa", "zzz"] if task == "classify" else [90.0, 80.0]
    rows = ([*texts[:40], "first new", "second new"], [*values[:40], *new])
    second = tiny.splits(tmp_path / "s2", {"train": rows, "validation": (texts[40:], values[40:])}, task)
    given = {**reads(config, {"base": whole, "splits": second}, tmp_path / "n"), "parent": champion}
    start = assemble(config, given, tiny.FakeContext(tmp_path / "challenger"))
    out = tmp_path / "start"
    manifest = start.trainable.save(start.manifest, start.model, whole, out)
    manifest.write(out)

    before, after = logits(made.path, base.path, texts), logits(out, whole.path, texts)
    if task == "regress":
        assert champion.facts["target"] != manifest.model_dump()["target"]
        old, now = champion.facts["target"], manifest.target
        assert now is not None
        before, after = before * old["std"] + old["mean"], after * now.std + now.mean
    else:
        places = [manifest.labels.index(name) for name in champion.facts["labels"]]
        assert manifest.labels[0] == "aaa" and manifest.labels[-1] == "zzz" and places[0] == 1
        after = after[:, places]
        assert np.array_equal(before.argmax(1), after.argmax(1))
    # An adapter's product is added into the weights once, in float32: that alone may round.
    np.testing.assert_allclose(after, before, rtol=0, atol=2e-5 if trainable == "lora" or task == "regress" else 1e-6)


def test_a_challenger_with_nothing_to_learn_from_stays_near_and_one_trained_moves(tmp_path: Path) -> None:
    """The stage itself: at a rate of almost nothing the saved challenger is the champion, at a real one it is not."""
    base, config = tiny.base(), tiny.train_config(trainable="full")
    splits = tiny.labelled(tmp_path / "s")
    made = tiny.train(config, {"base": base, "splits": splits}, tiny.FakeContext(tmp_path / "champion"))
    champion = tiny.artifact("model", "model", made.path, made.facts)
    context = tiny.FakeContext(tmp_path / "registered")
    facts = Registered(RegisteredConfig(model="desk@1", task="classify")).run({"parent": champion}, context)["base"]
    whole = tiny.artifact("whole", "base", context.out / "base", facts)
    texts, _ = tiny.sentences(30, seed=9)
    before = logits(made.path, base.path, texts)
    moved = []
    for rate in (1e-9, 3e-3):
        slow = tiny.train_config(trainable="full", optimizer={"kind": "adamw", "lr": rate}, head_lr=rate)
        context = tiny.FakeContext(tmp_path / str(rate))
        Train(slow).run({"base": whole, "splits": splits, "parent": champion}, context)
        moved.append(np.abs(logits(context.out / "model", whole.path, texts) - before).max())
    assert moved[0] < 1e-4 < 0.05 < moved[1]
