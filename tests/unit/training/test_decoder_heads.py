"""Heads on decoders: the last token's vector is the text's, they learn, and padding changes no answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import transformers
from tests import tiny
from torch import Tensor

from tunesmith.core.artifact import Artifact
from tunesmith.core.engine import Request
from tunesmith.core.errors import ModelError
from tunesmith.engines.transformers import TransformersEngine
from tunesmith.models.adapters import add_lora
from tunesmith.models.architectures import cut_of
from tunesmith.models.encoder import TextNetwork, load_encoder
from tunesmith.models.heads import Head
from tunesmith.models.tokenizer import Tokenizer
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
    [empty] = engine.submit(Request("predict", [""]))
    assert sum(empty.values) == pytest.approx(1.0), "a text without a token is one token, not none"


def both(family: tiny.Decoder) -> tuple[TextNetwork, Any]:
    """Ours and transformers' own classifier, with the same weights; its head has no bias, and ours starts at 0."""
    torch.manual_seed(0)
    folder = tiny.decoder(family)
    load = transformers.AutoModelForSequenceClassification.from_pretrained
    theirs = load(folder, num_labels=3, dtype=torch.float32).eval()
    torch.nn.init.normal_(theirs.score.weight, std=1.0)
    theirs.config.pad_token_id = 0
    head = Head(tiny.HIDDEN, 3, 0.0, False)
    head.linear.weight.data.copy_(theirs.score.weight.data)
    return TextNetwork(load_encoder(folder), head, "last").eval(), theirs


def padded(rows: list[list[int]], side: str) -> tuple[Tensor, Tensor]:
    longest = max(map(len, rows))
    tokens_BT, mask_BT = torch.zeros(2, len(rows), longest, dtype=torch.long)
    for row, ids in enumerate(rows):
        place = slice(0, len(ids)) if side == "right" else slice(longest - len(ids), longest)
        tokens_BT[row, place], mask_BT[row, place] = torch.tensor(ids), 1
    return tokens_BT, mask_BT


@pytest.mark.parametrize("family", get_args(tiny.Decoder))
def test_logits_loss_and_gradients_are_those_of_transformers(family: tiny.Decoder) -> None:
    ours, theirs = both(family)
    rows = [one.ids for one in Tokenizer(tiny.decoder(family), tiny.CONTEXT).encode(tiny.sentences(5)[0])]
    tokens_BT, mask_BT = padded(rows, "right")
    target_B = torch.tensor([0, 1, 2, 1, 0])
    logits_BC = ours(tokens_BT, mask_BT)
    told = theirs(input_ids=tokens_BT, attention_mask=mask_BT, labels=target_B)
    assert torch.equal(logits_BC, told.logits)
    loss = torch.nn.functional.cross_entropy(logits_BC, target_B)
    assert loss.item() == pytest.approx(told.loss.item(), rel=1e-6)
    loss.backward()  # type: ignore[no-untyped-call]
    told.loss.backward()
    expected = dict(theirs.base_model.named_parameters())
    for name, weight in ours.encoder.named_parameters():
        assert torch.allclose(weight.grad, expected[name].grad, atol=1e-6), name  # type: ignore[arg-type]
    assert torch.allclose(ours.head.linear.weight.grad, theirs.score.weight.grad, atol=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize("is_adapted", [False, True])
@pytest.mark.parametrize("family", get_args(tiny.Decoder))
def test_padding_on_either_side_changes_no_answer(family: tiny.Decoder, is_adapted: bool) -> None:
    ours, _ = both(family)
    if is_adapted:
        more: Any = {"dropout": 0.0, "rslora": False, "targets": None}
        ours.encoder = add_lora(ours.encoder, rank=2, alpha=4.0, **more).eval()
    rows = [one.ids for one in Tokenizer(tiny.decoder(family), tiny.CONTEXT).encode(["card", "why is my pin blocked"])]
    with torch.no_grad():
        right, left = (ours(*padded(rows, side)) for side in ("right", "left"))
        alone = torch.cat([ours(*padded([one], "right")) for one in rows])
    assert torch.allclose(right, alone, atol=1e-5)
    assert torch.allclose(left, alone, atol=1e-5)


def test_the_top_layers_of_a_decoder_are_refused_with_a_way_out() -> None:
    with pytest.raises(ModelError, match="where this architecture keeps its layers") as caught:
        cut_of(tiny.base("bert", tiny.decoder("gpt2")).facts, 1)
    assert "gpt2" in str(caught.value.seen) and "lora" in str(caught.value.next)


def test_a_tokenizer_without_a_pad_and_a_context_of_its_own(tmp_path: Path) -> None:
    tiny.write_decoder(tmp_path / "gpt2", "gpt2", pad_token_id=None, bos_token_id=2)
    (tmp_path / "gpt2" / "tokenizer_config.json").write_text('{"eos_token": "</s>", "model_max_length": 24}')
    reads = {"base": tiny.base("bert", tmp_path / "gpt2"), "splits": tiny.labelled(tmp_path / "splits")}
    trained = tiny.train(tiny.train_config(epochs=1), reads, tiny.FakeContext(tmp_path / "train"))
    assert trained.facts["length"]["max_tokens"] == 24
    assert trained.facts["truncated_rows"] > 0, "and what does not fit is counted"
    engine = TransformersEngine.open(trained.path, None)
    [one] = engine.submit(Request("predict", ["my card " * 40]))
    assert one.num_tokens == 24 and one.num_truncated_tokens > 0 and sum(one.values) == pytest.approx(1.0)
