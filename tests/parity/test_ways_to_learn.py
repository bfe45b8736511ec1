"""Top layers over cached states equal the same layers trained in the whole network; adapters equal what they merge to.

Tolerances, all in float32: losses and weights after eight steps of AdamW at 1e-3 agree to 1e-5 (rows are padded to
other widths when states are cached, so sums round differently); merged and unmerged answers to 1e-5.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests import tiny

from tunesmith.core.engine import Request
from tunesmith.core.errors import ModelError, StepError
from tunesmith.core.stage import Given
from tunesmith.engines.transformers import TransformersEngine
from tunesmith.models.encoder import TextNetwork, load_encoder
from tunesmith.models.folder import new_head, open_model
from tunesmith.models.layers import TopNetwork, lower_part
from tunesmith.models.manifest import BaseReference, LengthPolicy, ModelManifest, NetworkShape
from tunesmith.models.tokenizer import Tokenizer
from tunesmith.numerics.padding import pad
from tunesmith.training.batch import collate
from tunesmith.training.trainables.full import Full

torch.set_num_threads(1)
TEXTS = ["card", "my pin is blocked again please help", "why is the money not back now now now", "transfer to iban"]
TOP = {"kind": "top_layers", "layers": 1}


def small(kind: str, folder: Path) -> Path:
    """A tiny encoder of an architecture, its tokenizer beside it."""
    import transformers

    if kind in tiny.FAMILIES:
        tiny.write_encoder(kind, folder)  # type: ignore[arg-type]
        return folder
    tiny.write_encoder("bert", folder)
    size: dict[str, Any] = {
        "vocab_size": json.loads((folder / "config.json").read_text())["vocab_size"],
        "hidden_size": tiny.HIDDEN,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": tiny.MAX_TOKENS + 2,
    }
    torch.manual_seed(0)
    if kind == "electra":
        transformers.ElectraModel(transformers.ElectraConfig(**size, embedding_size=16)).save_pretrained(folder)
    else:
        transformers.MPNetModel(transformers.MPNetConfig(**size)).save_pretrained(folder)
    return folder


def manifest() -> ModelManifest:
    return ModelManifest(
        task="classify",
        labels=tiny.LABELS,
        base=BaseReference(name="tiny", digest="0"),
        trainable="top_layers",
        network=NetworkShape(pooling="mean", hidden=tiny.HIDDEN, dropout=0.0),
        length=LengthPolicy(max_tokens=tiny.MAX_TOKENS),
    )


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "electra", "mpnet"])
def test_an_encoder_cut_in_two_gives_the_same_answers_and_gradients(kind: str, tmp_path: Path) -> None:
    folder = small(kind, tmp_path / kind)
    head = new_head(manifest())
    whole = TextNetwork(load_encoder(folder), head, "mean").eval()
    depth = int(whole.encoder.config.num_hidden_layers)  # type: ignore[union-attr, arg-type]
    for cut in range(depth):
        lower, top = lower_part(folder, cut), TopNetwork(load_encoder(folder), cut, head, "mean").eval()
        tokens_BT, mask_BT = pad([one.ids for one in Tokenizer(folder, tiny.MAX_TOKENS).encode(TEXTS)])
        with torch.no_grad():
            states_BTH = lower(input_ids=tokens_BT, attention_mask=mask_BT).last_hidden_state
        expected, found = whole(tokens_BT, mask_BT), top(states_BTH, mask_BT)
        assert torch.allclose(expected, found, atol=1e-6), cut
        whole.zero_grad()
        expected.square().sum().backward()
        by_name = {name: one.grad.clone() for name, one in whole.encoder.named_parameters() if one.grad is not None}
        top.zero_grad()
        found.square().sum().backward()
        trained = [(name, one) for name, one in top.upper.named_parameters() if one.requires_grad]
        assert len(trained) == len([name for name in by_name if ".layer." in name]) * (depth - cut) // depth
        for name, one in trained:
            place = int(name.split(".layer.")[1].split(".")[0])
            original = name.replace(f".layer.{place}.", f".layer.{place + cut}.", 1)
            assert one.grad is not None
            # 1e-5: gradients near 1, summed over rows in the same order
            assert torch.allclose(one.grad, by_name[original], atol=1e-5), name


@pytest.fixture
def given(tmp_path: Path) -> Given:
    return {"base": tiny.base(), "splits": tiny.labelled(tmp_path / "splits", num_train=28)}


def settings(**changes: Any) -> Any:
    return tiny.train_config(**({"max_steps": 8, "epochs": 4, "bucketing": False} | changes))


def test_training_over_the_cache_is_training_the_top_layers(
    given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the whole network with its lower layers frozen and without dropout; dropout above the cut is drawn."""
    config = settings(trainable=TOP, dropout=0.2)
    cached = tiny.train(
        config, {**given, "layers": tiny.layers(config, given, tmp_path / "layers")}, tiny.FakeContext(tmp_path / "a")
    )

    class FrozenBelow(torch.nn.Module):
        """The whole network, its embeddings and first layer frozen and always evaluating."""

        def __init__(self, network: Any) -> None:
            super().__init__()
            self.encoder, self.head, self.pooling = network.encoder, network.head, network.pooling
            self.encoder.requires_grad_(False)
            self.encoder.encoder.layer[1].requires_grad_(True)
            self.whole = [network]

        def train(self, mode: bool = True) -> Any:
            super().train(mode)
            self.encoder.embeddings.train(False)
            self.encoder.encoder.layer[0].train(False)
            return self

        def forward(self, tokens_BT: Any, mask_BT: Any) -> Any:
            return self.whole[0](tokens_BT, mask_BT)

    real, real_save = Full.network, Full.save

    def frozen(self: Full, manifest: ModelManifest, base: Any) -> Any:
        network = real(self, manifest, base)
        return type(network)(FrozenBelow(network.module), reads=network.reads)

    def save(self: Full, manifest: ModelManifest, network: Any, base: Any, folder: Path) -> ModelManifest:
        return real_save(self, manifest, type(network)(network.module.whole[0]), base, folder)

    monkeypatch.setattr(Full, "network", frozen)
    monkeypatch.setattr(Full, "save", save)
    uncached = tiny.train(settings(dropout=0.2), given, tiny.FakeContext(tmp_path / "b"))
    assert cached.losses == pytest.approx(uncached.losses, abs=1e-5)
    assert cached.facts["num_trained_parameters"] == uncached.facts["num_trained_parameters"]
    mine, theirs = (load_file(one.path / "encoder" / "model.safetensors") for one in (cached, uncached))
    assert mine.keys() == theirs.keys()
    assert all(float((mine[name] - theirs[name]).abs().max()) < 1e-5 for name in mine)
    start = load_file(given["base"].path / "files" / "model.safetensors")
    moved = {name for name in mine if not torch.equal(mine[name], start[name])}
    assert moved and all("layer.1." in name for name in moved), "only the top layer moves"


def test_states_are_a_plain_file_of_every_token(given: Given, tmp_path: Path) -> None:
    config = settings(trainable=TOP)
    made = tiny.layers(config, given, tmp_path / "layers")
    tensors = load_file(made.path / "states.safetensors")
    from tunesmith.training import states
    from tunesmith.training.rows import read_split

    rows = states.read(made.path / "states.safetensors", ["train", "validation"])
    lower = lower_part(given["base"].path / "files", 1)
    texts = read_split(given["splits"], "train").texts
    for row, one in enumerate(Tokenizer(given["base"].path / "files", tiny.MAX_TOKENS).encode(texts)):
        tokens_BT, mask_BT = pad([one.ids])
        with torch.no_grad():
            alone_TH = lower(input_ids=tokens_BT, attention_mask=mask_BT).last_hidden_state[0]
        assert torch.allclose(rows["train"].rows[row], alone_TH, atol=1e-6), "padding changes nothing"
    assert len(tensors["train"]) == made.facts["num_tokens"] - len(tensors["validation"])
    batch = collate([{"states": one} for one in rows["train"].rows[:3]])
    assert batch["states_mask"].sum().item() == sum(len(one) for one in rows["train"].rows[:3])
    half = settings(trainable=TOP, precision="bfloat16")
    rounded = states.read(tiny.layers(half, given, tmp_path / "half").path / "states.safetensors", ["train"])["train"]
    assert rounded.rows[0].dtype == torch.bfloat16
    assert torch.allclose(rounded.rows[0].float(), rows["train"].rows[0], atol=0.05)


def test_more_layers_than_there_are_is_refused(given: Given, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="more than the model has"):
        tiny.layers(settings(trainable={**TOP, "layers": 3}), given, tmp_path)


def test_states_of_another_cut_are_refused(given: Given, tmp_path: Path) -> None:
    one = tiny.layers(settings(trainable=TOP), given, tmp_path / "layers")
    with pytest.raises(StepError, match="another layer"):
        two = settings(trainable={**TOP, "layers": 2})
        tiny.train(two, {**given, "layers": one}, tiny.FakeContext(tmp_path / "run"))


def test_an_unknown_architecture_is_refused(given: Given, tmp_path: Path) -> None:
    strange = tiny.artifact("base", "base", given["base"].path, {**given["base"].facts, "model_type": "deberta-v2"})
    with pytest.raises(ModelError, match="does not know where this architecture keeps its layers"):
        tiny.layers(settings(trainable=TOP), {**given, "base": strange}, tmp_path)


def answers(model: Path, base: Path | None) -> np.ndarray[Any, Any]:
    engine = TransformersEngine.open(model, base)
    return np.array([one.values for one in sorted(engine.submit(Request("predict", TEXTS)), key=lambda a: a.index)])


LORA = {"kind": "lora", "rank": 4, "alpha": 8.0, "dropout": 0.0}


@pytest.mark.parametrize("more", [{}, {"rslora": True}, {"targets": ["query", "value"]}])
def test_merged_is_adapter_and_peft_reads_the_folder_without_us(
    more: dict[str, Any], given: Given, tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft")
    adapter = tiny.train(settings(trainable=LORA | more), given, tiny.FakeContext(tmp_path / "a"))
    whole = tiny.train(settings(trainable=LORA | more | {"merge": True}), given, tiny.FakeContext(tmp_path / "b"))
    assert adapter.losses == whole.losses
    base = given["base"].path
    assert np.allclose(answers(adapter.path, base), answers(whole.path, None), atol=1e-5)
    assert adapter.facts["num_trained_parameters"] == whole.facts["num_trained_parameters"]

    from transformers import AutoModel

    theirs = peft.PeftModel.from_pretrained(AutoModel.from_pretrained(base / "files"), adapter.path / "adapter").eval()
    tokens_BT, mask_BT = pad([one.ids for one in Tokenizer(base / "files", tiny.MAX_TOKENS).encode(TEXTS)])
    _, ours, _ = open_model(adapter.path, base)
    with torch.no_grad():
        expected = theirs(input_ids=tokens_BT, attention_mask=mask_BT).last_hidden_state[mask_BT == 1]
        found = ours.encoder(input_ids=tokens_BT, attention_mask=mask_BT).last_hidden_state[mask_BT == 1]
        untouched = load_encoder(base / "files")(input_ids=tokens_BT, attention_mask=mask_BT).last_hidden_state
    assert torch.allclose(expected, found, atol=1e-5)
    assert not torch.allclose(untouched[mask_BT == 1], found, atol=1e-3), "the adapter does something"
    settings_file = json.loads((adapter.path / "adapter" / "adapter_config.json").read_text())
    assert settings_file["base_model_name_or_path"] == given["base"].facts["name"], "no path of this machine"
    assert settings_file["use_rslora"] is bool(more.get("rslora"))


def test_fresh_adapters_change_nothing(given: Given) -> None:
    from tunesmith.models.adapters import add_lora

    plain = load_encoder(given["base"].path / "files")
    adapted = add_lora(
        load_encoder(given["base"].path / "files"), rank=2, alpha=2.0, dropout=0.0, rslora=False, targets=None
    )
    tokens = {"input_ids": torch.tensor([[2, 9, 3]]), "attention_mask": torch.ones(1, 3, dtype=torch.long)}
    with torch.no_grad():
        assert torch.equal(adapted(**tokens).last_hidden_state, plain(**tokens).last_hidden_state)


def test_an_adapter_for_another_base_is_refused(given: Given, tmp_path: Path) -> None:
    trained = tiny.train(settings(trainable=LORA), given, tiny.FakeContext(tmp_path / "a"))
    tiny.write_encoder("bert", tmp_path / "other", seed=1)
    with pytest.raises(ModelError, match="another base model"):
        open_model(trained.path, tiny.base(folder=tmp_path / "other").path)
    with pytest.raises(ModelError, match="needs its base model"):
        open_model(trained.path, None)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_damaged_adapter_is_named(name: str, given: Given, tmp_path: Path) -> None:
    trained = tiny.train(settings(trainable=LORA), given, tiny.FakeContext(tmp_path / "a"))
    for number, damage in enumerate((lambda data: data[: len(data) // 2], None)):
        folder = tmp_path / str(number)
        shutil.copytree(trained.path, folder)
        file = folder / "adapter" / name
        if damage is None:
            file.unlink()
        else:
            file.write_bytes(damage(file.read_bytes()))
        with pytest.raises(ModelError, match="adapter"):
            open_model(folder, given["base"].path)


def test_targets_that_are_not_there_are_refused(given: Given, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="names layers that the model does not have") as caught:
        tiny.train(settings(trainable=LORA | {"targets": ["q_proj"]}), given, tiny.FakeContext(tmp_path))
    assert "query" in str(caught.value)
