"""Phases of an encoder: what learns where its layer that guesses is new, and what the next phase goes on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests import tiny, token_rows

from tunesmith.core.artifact import Artifact
from tunesmith.models.masked import LAYER, has_layer, layer_of, load_masked, save_layer
from tunesmith.models.templates.vocabulary import Vocabulary
from tunesmith.training.language.adapt import Adapt
from tunesmith.training.language.phase_config import LanguagePhaseConfig


def tokens(base: Artifact, folder: Path) -> Artifact:
    vocabulary = Vocabulary.open(base.path / "files")
    rows = {
        name: [
            ([*vocabulary.before, *one.ids, *vocabulary.after][:30], [1.0] * min(30, len(one.ids) + 2))
            for one in vocabulary.encode(tiny.sentences(number, seed)[0])
        ]
        for name, number, seed in (("train", 32, 0), ("validation", 8, 1))
    }
    return token_rows.artifact(folder, rows)


def adapted(base: Artifact, folder: Path, **settings: Any) -> tuple[Artifact, dict[str, Any]]:
    """The base that read on, and what is said of its phase."""
    config = LanguagePhaseConfig.model_validate(
        {"method": "continued_pretraining", "precision": "float32", "epochs": 1, **settings}
    ).for_task("classify")
    context = tiny.FakeContext(folder)
    facts = Adapt(config).run({"base": base, "tokens": tokens(base, folder / "tokens")}, context)["base"]
    return tiny.artifact("base", "base", context.out / "base", facts), facts["adapted"][-1]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_layer_that_guesses_is_kept_to_the_bit(family: tiny.Family, tmp_path: Path) -> None:
    folder = tiny.write_masked_encoder(family, tmp_path / "encoder")
    told: list[str] = []
    torch.manual_seed(0)
    first = load_masked(folder, told.append)
    assert not has_layer(folder) and len(told) == 1
    layer = layer_of(first)
    assert layer and all("embeddings" not in name for name in layer)
    save_layer(first, tmp_path / LAYER)
    torch.manual_seed(1)
    second = load_masked(folder, told.append, tmp_path / LAYER)
    assert len(told) == 1
    assert all(torch.equal(one, second.state_dict()[name]) for name, one in first.state_dict().items())


def test_a_new_layer_learns_beside_adapters_and_a_known_one_rests(tmp_path: Path) -> None:
    base = tiny.base("bert", tiny.write_masked_encoder("bert", tmp_path / "encoder"))
    lora = {"trainable": {"kind": "lora", "rank": 2}, "optimizer": {"lr": 1e-2}}
    torch.manual_seed(0)
    before = {name: one.detach().clone() for name, one in layer_of(load_masked(base.path / "files", print)).items()}
    once, first = adapted(base, tmp_path / "once", **lora)
    learned = {
        name: one.detach().clone()
        for name, one in layer_of(load_masked(once.path / "files", print, once.path / LAYER)).items()
    }
    assert first["starts_new"] and before.keys() == learned.keys()
    assert all(not torch.equal(one, learned[name]) for name, one in before.items())
    twice, second = adapted(once, tmp_path / "twice", **lora)
    rested = layer_of(load_masked(twice.path / "files", print, twice.path / LAYER))
    assert not second["starts_new"] and all(torch.equal(one, rested[name]) for name, one in learned.items())
    assert [len(one.facts["adapted"]) for one in (once, twice)] == [1, 2]
    assert second["before"] == pytest.approx(first["best"], rel=1e-4)


def test_without_validation_rows_nothing_is_said_of_the_loss(tmp_path: Path) -> None:
    base = tiny.base("bert", tiny.write_masked_encoder("bert", tmp_path / "encoder"))
    rows = token_rows.artifact(tmp_path / "more", {"train": [([2, 5, 6, 7, 3], [1.0] * 5)] * 4, "validation": []})
    config = LanguagePhaseConfig.model_validate(
        {"method": "continued_pretraining", "epochs": 1, "trainable": "full", "precision": "float32"}
    ).for_task("classify")
    facts = Adapt(config).run({"base": base, "tokens": rows}, tiny.FakeContext(tmp_path / "run"))
    assert (facts["base"]["adapted"][0]["before"], facts["base"]["adapted"][0]["best"]) == (None, None)
