"""Models of each family: saved and opened again they answer the same, padding changes nothing, damage is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests import tiny

from tunesmith.core.engine import Request
from tunesmith.core.errors import ModelError, TunesmithError
from tunesmith.engines.transformers import TransformersEngine
from tunesmith.models.encoder import TextNetwork, load_encoder
from tunesmith.models.folder import new_head, open_model, save_model
from tunesmith.models.heads import Head
from tunesmith.models.manifest import BaseReference, LengthPolicy, ModelManifest, NetworkShape, Standardization
from tunesmith.models.tokenizer import Tokenizer
from tunesmith.numerics.padding import pad

TEXTS = ["card", "my pin is blocked again please help", "why is the money not back now now now now", "transfer to iban"]
FAMILIES = pytest.mark.parametrize("family", tiny.FAMILIES)


def manifest(pooling: str = "mean", *, is_normalized: bool = False, task: str = "classify") -> ModelManifest:
    is_classify = task == "classify"
    return ModelManifest.model_validate(
        {
            "task": task,
            "labels": tiny.LABELS if is_classify else (),
            "target": None if is_classify else Standardization(mean=3.0, std=2.0),
            "base": BaseReference(name="tiny", digest="d"),
            "trainable": "full",
            "network": NetworkShape(pooling=pooling, hidden=tiny.HIDDEN, is_normalized=is_normalized),
            "length": LengthPolicy(max_tokens=tiny.MAX_TOKENS),
        }
    )


def network(family: tiny.Family, shape: ModelManifest) -> TextNetwork:
    torch.manual_seed(3)
    head = new_head(shape)
    torch.nn.init.normal_(head.linear.weight, std=1.0)  # answers that differ from text to text
    return TextNetwork(load_encoder(tiny.encoder(family)), head, shape.network.pooling).eval()


def answers(engine: TransformersEngine, texts: list[str], capability: str = "predict") -> list[tuple[float, ...]]:
    found = {one.index: one.values for one in engine.submit(Request(capability, texts))}  # type: ignore[arg-type]
    return [found[place] for place in range(len(texts))]


@FAMILIES
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_saved_and_opened_again_it_answers_the_same(family: tiny.Family, pooling: str, tmp_path: Path) -> None:
    shape = manifest(pooling, is_normalized=pooling == "cls")
    before = network(family, shape)
    save_model(shape, before, tiny.encoder(family), tmp_path)
    found, after, tokenizer = open_model(tmp_path, base=None)
    assert found == shape
    assert (tmp_path / "encoder" / "tokenizer.json").is_file()
    assert not list(tmp_path.rglob("*.bin"))
    tokens_BT, mask_BT = pad([one.ids for one in tokenizer.encode(TEXTS)])
    with torch.inference_mode():
        assert torch.equal(after(tokens_BT, mask_BT), before(tokens_BT, mask_BT))


@FAMILIES
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_padding_changes_nothing(family: tiny.Family, pooling: str) -> None:
    """A batch of mixed lengths answers as its texts one by one; 5e-6: float32 up to 10, another order of sums."""
    shape = manifest(pooling)
    model, tokenizer = network(family, shape), Tokenizer(tiny.encoder(family), tiny.MAX_TOKENS)
    ids = [one.ids for one in tokenizer.encode(TEXTS)]
    assert len({len(one) for one in ids}) == len(TEXTS)
    with torch.inference_mode():
        together_BC = model(*pad(ids))
        alone_BC = torch.cat([model(*pad([one])) for one in ids])
    assert together_BC.numpy() == pytest.approx(alone_BC.numpy(), abs=5e-6)
    assert float((together_BC[0] - together_BC[1]).abs().max()) > 1e-3


@FAMILIES
def test_the_features_are_the_encoders_own(family: tiny.Family) -> None:
    """Against transformers called by hand on one unpadded text."""
    from transformers import AutoModel

    model = network(family, manifest("mean"))
    ids = Tokenizer(tiny.encoder(family), tiny.MAX_TOKENS).encode([TEXTS[1]])[0].ids
    with torch.inference_mode():
        reference = AutoModel.from_pretrained(tiny.encoder(family))(torch.tensor([ids])).last_hidden_state.mean(1)
        assert model.features(*pad([ids])).numpy() == pytest.approx(reference.numpy(), abs=1e-6)


def test_the_engine_answers_in_probabilities_and_units(tmp_path: Path) -> None:
    shape = manifest()
    model = network("bert", shape)
    tokenizer = Tokenizer(tiny.encoder("bert"), tiny.MAX_TOKENS)
    rows = answers(TransformersEngine(shape, model, tokenizer), TEXTS)
    assert [sum(row) for row in rows] == pytest.approx([1.0] * len(TEXTS))
    with torch.inference_mode():
        logits_BC = model(*pad([one.ids for one in tokenizer.encode(TEXTS)])).double()
    assert np.array(rows) == pytest.approx(logits_BC.softmax(-1).numpy(), abs=1e-6)

    regress = manifest(task="regress")
    model = network("bert", regress)
    values = answers(TransformersEngine(regress, model, tokenizer), TEXTS)
    with torch.inference_mode():
        raw_B = model(*pad([one.ids for one in tokenizer.encode(TEXTS)]))[:, 0].tolist()
    assert [one for (one,) in values] == pytest.approx([raw * 2.0 + 3.0 for raw in raw_B], abs=1e-5)


def test_the_engine_embeds_with_length_1_and_refuses_what_it_cannot() -> None:
    shape = manifest()
    engine = TransformersEngine(shape, network("bert", shape), Tokenizer(tiny.encoder("bert"), tiny.MAX_TOKENS))
    vectors = answers(engine, TEXTS, "embed")
    assert [sum(value**2 for value in vector) for vector in vectors] == pytest.approx([1.0] * len(TEXTS))
    with pytest.raises(TunesmithError, match="cannot do that"):
        engine.submit(Request("generate", TEXTS))


def test_the_engine_counts_cut_tokens_and_can_be_cancelled() -> None:
    shape = manifest()
    engine = TransformersEngine(shape, network("bert", shape), Tokenizer(tiny.encoder("bert"), 8))
    found = {one.index: one for one in engine.submit(Request("predict", ["card", "the " * 20]))}
    assert (found[0].num_tokens, found[0].num_truncated_tokens) == (3, 0)
    assert (found[1].num_tokens, found[1].num_truncated_tokens) == (8, 14)
    stream = engine.submit(Request("predict", ["card"] * 50))
    seen = []
    for one in stream:
        seen.append(one)
        stream.cancel()
    assert len(seen) == 1


def test_a_normalised_head_sees_direction_alone() -> None:
    head = Head(8, 3, 0.0, is_normalized=True)
    features_BD = torch.randn(4, 8)
    assert torch.allclose(head(features_BD), head(features_BD * 37.0), atol=1e-5)
    unscaled = Head(8, 3, 0.0, is_normalized=False)
    assert not torch.allclose(unscaled(features_BD), unscaled(features_BD * 37.0), atol=1e-3)


def test_a_head_alone_needs_its_base(tmp_path: Path) -> None:
    shape = manifest()
    save_model(shape, new_head(shape), tiny.encoder("bert"), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["head.safetensors", "model.json"]
    with pytest.raises(ModelError, match="needs its base"):
        open_model(tmp_path, base=None)
    assert open_model(tmp_path, base=tiny.base("bert").path)[0] == shape


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    shape = manifest()
    save_model(shape, network("bert", shape), tiny.encoder("bert"), tmp_path / "model")
    return tmp_path / "model"


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no tunesmith model"):
        open_model(tmp_path, None)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 2}', '{"format": 1, "task": "classify", "more": 1}'])
def test_a_damaged_manifest(text: str, saved: Path) -> None:
    (saved / "model.json").write_text(text)
    with pytest.raises(ModelError, match="damaged or from another version"):
        open_model(saved, None)


@pytest.mark.parametrize("name", ["head.safetensors", "encoder/model.safetensors"])
@pytest.mark.parametrize("damage", ["truncated", "garbage", "gone", "empty"])
def test_damaged_weights(name: str, damage: str, saved: Path) -> None:
    path = saved / name
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"truncated": data[: len(data) // 2], "garbage": b"\x80\x04" * 100, "empty": b""}[damage])
    with pytest.raises(ModelError, match="cannot be loaded"):
        open_model(saved, None)


def test_weights_of_another_shape(saved: Path) -> None:
    save_file({"linear.weight": torch.zeros(2, 5), "linear.bias": torch.zeros(2)}, saved / "head.safetensors")
    with pytest.raises(ModelError, match="head cannot be loaded"):
        open_model(saved, None)


@pytest.mark.parametrize("change", ["missing", "other shape"])
def test_an_encoder_that_lacks_weights_is_refused(change: str, saved: Path) -> None:
    """transformers would fill the gap with random numbers and say nothing that anybody reads."""
    path = saved / "encoder" / "model.safetensors"
    weights = load_file(path)
    name = "encoder.layer.1.attention.self.query.weight"
    if change == "missing":
        del weights[name]
    else:
        weights[name] = torch.zeros(3, 3)
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(ModelError, match="missing or of another shape") as caught:
        open_model(saved, None)
    assert "layer.1" in str(caught.value)


def test_an_encoder_without_a_pooler_is_whole(saved: Path) -> None:
    path = saved / "encoder" / "model.safetensors"
    weights = {name: one for name, one in load_file(path).items() if not name.startswith("pooler.")}
    save_file(weights, path, {"format": "pt"})
    _, network, _ = open_model(saved, None)
    assert not any(name.startswith("encoder.pooler") for name in network.state_dict())


def test_a_broken_config(saved: Path) -> None:
    (saved / "encoder" / "config.json").write_text('{"model_type": "no-such-type"}')
    with pytest.raises(ModelError, match="cannot be loaded"):
        open_model(saved, None)


def test_a_broken_tokenizer(saved: Path) -> None:
    (saved / "encoder" / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="tokenizer"):
        open_model(saved, None)


def test_a_pickle_beside_the_weights_is_never_opened(saved: Path, tmp_path: Path) -> None:
    """Also where the safetensors file is gone: a pickle can run code, so there is no second choice."""
    canary = tmp_path / "canary"
    pickled = b"cposix\nsystem\n(S'touch " + str(canary).encode() + b"'\ntR."
    (saved / "encoder" / "pytorch_model.bin").write_bytes(pickled)
    open_model(saved, None)
    (saved / "encoder" / "model.safetensors").unlink()
    with pytest.raises(ModelError):
        open_model(saved, None)
    assert not canary.exists()


def test_code_beside_the_weights_is_never_run(saved: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    (saved / "encoder" / "modeling_hostile.py").write_text(f"open({str(canary)!r}, 'w')\n")
    path = saved / "encoder" / "config.json"
    config = json.loads(path.read_text())
    hostile = {"AutoConfig": "modeling_hostile.Config", "AutoModel": "modeling_hostile.Model"}
    path.write_text(json.dumps({**config, "auto_map": hostile}))
    open_model(saved, None)  # a known architecture: transformers' own class is taken
    path.write_text(json.dumps({**config, "model_type": "hostile", "auto_map": hostile}))
    with pytest.raises(ModelError):
        open_model(saved, None)
    assert not canary.exists()


def test_a_copy_of_the_folder_is_the_same_model(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved, tmp_path / "copy")
    first, second = (open_model(folder, None)[1].state_dict() for folder in (saved, tmp_path / "copy"))
    assert all(torch.equal(first[name], second[name]) for name in first)
