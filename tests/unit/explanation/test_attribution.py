"""Words get what they add: by hand on a linear model, as Captum gives it, and on a model where one word decides."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from tests import tiny
from tests.unit.explanation import linear

from tunesmith.core.engine import Request
from tunesmith.core.errors import RecipeError
from tunesmith.engines.transformers import TransformersEngine
from tunesmith.explanation.config import ExplainConfig, Method
from tunesmith.explanation.curves import row_curves
from tunesmith.explanation.explainer import Explainer
from tunesmith.explanation.gradients import Gradients, sharing_weights
from tunesmith.explanation.words import read_part
from tunesmith.models.encoder import TextNetwork, load_encoder
from tunesmith.models.heads import Head
from tunesmith.models.manifest import BaseReference, LengthPolicy, ModelManifest, NetworkShape
from tunesmith.models.tokenizer import Tokenizer

TEXT = "the film was very good"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def tiny_engine(family: tiny.Family = "bert", scale: float = 1.0) -> TransformersEngine:
    """An encoder with random weights and a random head."""
    folder = tiny.encoder(family)
    torch.manual_seed(0)
    head = Head(tiny.HIDDEN, 3, 0.0, False)
    torch.nn.init.normal_(head.linear.weight, std=scale)
    manifest = ModelManifest(
        task="classify",
        labels=tiny.LABELS,
        base=BaseReference(name="tiny", digest="0"),
        trainable="full",
        network=NetworkShape(pooling="mean", hidden=tiny.HIDDEN),
        length=LengthPolicy(max_tokens=16),
    )
    return TransformersEngine(manifest, TextNetwork(load_encoder(folder), head, "mean").eval(), Tokenizer(folder, 16))


def test_a_linear_model_by_hand(tmp_path: Path) -> None:
    table_VD, weight_CD = linear.table(), linear.weights(3)
    engine = linear.engine(tmp_path, table_VD, weight_CD, torch.tensor([0.1, -0.2, 0.3]))
    [found] = Explainer(engine).attribute([TEXT], "ig", [1])
    # The output of label 1, centred: each of 7 tokens adds w · (v - v[PAD]) / 7, [CLS] and [SEP] stay as they are.
    weight_D = (weight_CD[1] - weight_CD.mean(0)).double()
    for word in found.words:
        added_D = (table_VD[linear.WORDS.index(word.text)] - table_VD[0]).double()
        assert word.value == pytest.approx(float(weight_D @ added_D) / 7, abs=1e-6)
    assert [word.text for word in found.words] == TEXT.split()
    assert sum(word.value for word in found.words) == pytest.approx(found.full - found.baseline, abs=1e-6)
    assert found.error is not None and found.error < 1e-3  # float32, of a small difference
    ids = torch.tensor([2, *(linear.WORDS.index(word) for word in TEXT.split()), 3])
    output_C = weight_CD @ table_VD[ids].mean(0) + torch.tensor([0.1, -0.2, 0.3])
    assert found.full == pytest.approx(float(output_C[1] - output_C.mean()), abs=1e-5)


def test_a_number_is_explained_in_its_own_unit(tmp_path: Path) -> None:
    table_VD, weight_CD = linear.table(), linear.weights(1)
    engine = linear.engine(tmp_path, table_VD, weight_CD, task="regress", scale=(50.0, 20.0))
    explainer = Explainer(engine)
    [found] = explainer.attribute([TEXT], "ig")
    [answer] = engine.submit(Request("predict", [TEXT]))
    assert (found.unit, found.target) == ("value", "")
    assert found.full == pytest.approx(answer.values[0], abs=1e-4)
    good = next(word for word in found.words if word.text == "good")
    by_hand = 20.0 * float(weight_CD[0] @ (table_VD[linear.WORDS.index("good")] - table_VD[0])) / 7
    assert good.value == pytest.approx(by_hand, abs=1e-4)


@pytest.mark.parametrize("method", ["ig", "occlusion"])
@pytest.mark.parametrize("word", ["good", "the"])
def test_the_one_word_that_decides_comes_first(tmp_path: Path, method: Method, word: str) -> None:
    engine = linear.engine(tmp_path, *linear.only(word, 1))
    [found] = Explainer(engine).attribute([TEXT], method)
    assert found.target == "label1"
    ranked = sorted(found.words, key=lambda one: -one.value)
    assert ranked[0].text == word
    assert ranked[0].value > 0.02
    if method == "ig":
        assert all(one.value == 0 for one in ranked[1:])


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_it_is_captums_own(family: tiny.Family) -> None:
    from captum.attr import LayerIntegratedGradients

    engine = tiny_engine(family)
    gradients = Gradients(engine.manifest, engine.network, engine.tokenizer, ExplainConfig(steps=20, most_error=1.0))
    text = "my card is blocked please help"
    [found] = gradients.attribute([text], [2])
    [pieces] = engine.tokenizer.pieces([text])
    tokens_BT = torch.tensor([pieces.ids])
    pad = torch.full_like(tokens_BT, gradients.baseline_id)
    keep = torch.tensor([pieces.is_special])
    direct = LayerIntegratedGradients(
        lambda tokens: (out := engine.network(tokens, torch.ones_like(tokens)).double()) - out.mean(-1, keepdim=True),
        engine.network.encoder.get_input_embeddings(),
    )
    values = direct.attribute(tokens_BT, torch.where(keep, tokens_BT, pad), target=2, n_steps=20)
    assert sum(word.value for word in found.words) == pytest.approx(float(values.sum()), abs=1e-5)
    first = [at for at, (start, end) in enumerate(pieces.spans) if end > start and end <= found.words[0].end]
    assert found.words[0].value == pytest.approx(float(values[0, first].sum()), abs=1e-5)


def test_words_that_do_not_add_up_are_walked_again_with_more_steps(tmp_path: Path) -> None:
    engine = linear.engine(tmp_path, 3 * linear.table(), linear.weights(3), is_bent=True)
    texts = [TEXT, "bad film", "good"]

    def walked(**settings: float) -> list[tuple[int, float]]:
        config = ExplainConfig.model_validate({"steps": 4, "most_error": 1e-4, **settings})
        found = Explainer(engine, config).attribute(texts, "ig", [0, 0, 0])
        return [(one.steps or 0, one.error if one.error is not None else np.inf) for one in found]

    cut = walked(most_steps=4)
    assert [steps for steps, _ in cut] == [4, 4, 4]
    assert max(error for _, error in cut) > 1e-4  # said, not hidden
    refined = walked(most_steps=4096)
    assert all(error <= 1e-4 or steps == 4096 for steps, error in refined)
    assert max(steps for steps, _ in refined) > 4


def test_it_adds_up_on_encoders_whatever_stands_beside_a_text() -> None:
    for family in tiny.FAMILIES:
        engine = tiny_engine(family)
        texts = ["my card", "why is the transfer to my friend abroad still pending today", "", "?"]
        explainer = Explainer(engine)
        together = explainer.attribute(texts, "ig", [0, 1, 2, 0])
        alone = [
            explainer.attribute([text], "ig", [target])[0] for text, target in zip(texts, [0, 1, 2, 0], strict=True)
        ]
        for one, other in zip(together, alone, strict=True):
            assert [word.text for word in one.words] == [word.text for word in other.words]
            np.testing.assert_allclose([w.value for w in one.words], [w.value for w in other.words], atol=1e-5)
            assert sum(word.value for word in one.words) == pytest.approx(one.full - one.baseline, abs=2e-3)
        assert together[2].words == ()


@pytest.mark.parametrize("family", tiny.DECODERS)
def test_heads_on_decoders_are_explained_too(family: tiny.Decoder) -> None:
    folder = tiny.decoder(family)
    torch.manual_seed(0)
    head = Head(tiny.HIDDEN, 2, 0.0, False)
    torch.nn.init.normal_(head.linear.weight, std=0.3)
    manifest = ModelManifest(
        task="tag",
        labels=("a", "b"),
        base=BaseReference(name="tiny", digest="0"),
        trainable="full",
        network=NetworkShape(pooling="last", hidden=tiny.HIDDEN),
        length=LengthPolicy(max_tokens=32),
    )
    network = TextNetwork(load_encoder(folder), head, "last").eval()
    engine = TransformersEngine(manifest, network, Tokenizer(folder, 32))
    explainer = Explainer(engine)
    found = explainer.attribute(["the card is late", "money back"], "ig", [1, 0])
    assert [word.text for word in found[0].words] == ["the", "card", "is", "late"]
    assert explainer.baseline_name == "<pad>"
    for one in found:
        assert sum(word.value for word in one.words) == pytest.approx(one.full - one.baseline, rel=0.05, abs=1e-4)


def test_the_network_is_left_as_it_is_and_may_answer_meanwhile() -> None:
    engine = tiny_engine()
    texts = tiny.sentences(24)[0]
    expected = {one.index: one.values for one in engine.submit(Request("predict", texts))}
    explainer, wrong, stop = Explainer(engine), [], threading.Event()
    explainer.attribute(texts[:1], "ig")

    def answer() -> None:
        while not stop.is_set():
            for one in engine.submit(Request("predict", texts)):
                if one.values != expected[one.index]:
                    wrong.append(one)

    threads = [threading.Thread(target=answer) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        again = [explainer.attribute(texts[:6], "ig") for _ in range(3)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong
    assert again[0] == again[1] == again[2]
    assert all(one.grad is None for one in engine.network.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in engine.network.modules())
    assert all(one.requires_grad for one in engine.network.head.parameters())


def test_the_twin_shares_every_weight() -> None:
    network = tiny_engine().network
    twin = sharing_weights(network)
    pairs = list(zip(network.parameters(), twin.parameters(), strict=True))
    assert all(one.data_ptr() == other.data_ptr() and not other.requires_grad for one, other in pairs)
    assert not {id(module) for module in network.modules()} & {id(module) for module in twin.modules()}


def test_long_texts_cost_a_bounded_number_of_answers(tmp_path: Path) -> None:
    engine = linear.engine(tmp_path, *linear.only("good", 1))
    asked: list[int] = []
    explainer = Explainer(engine, ExplainConfig(most_words=8))
    predict = explainer.predict
    explainer.predict = lambda texts: (asked.append(len(texts)), predict(texts))[1]
    [found] = explainer.attribute(["good " + "the " * 5000], "occlusion")
    assert len(found.words) <= 8
    assert sum(asked) <= 1 + 8 + 2
    assert found.words[0].value > 0


def test_what_was_not_read_is_no_word(tmp_path: Path) -> None:
    engine = linear.engine(tmp_path, linear.table(), linear.weights(2))
    [found] = Explainer(engine).attribute(["very " * 40], "ig")
    assert len(found.words) == 14
    assert found.num_truncated_tokens == 26


@pytest.mark.parametrize("policy", ["truncate_right", "truncate_left"])
def test_what_was_not_read_does_not_move_up_where_words_are_taken_out(tmp_path: Path, policy: str) -> None:
    engine = linear.engine(tmp_path, *linear.only("good", 1))
    engine.tokenizer.side = "left" if policy == "truncate_left" else "right"
    read, rest = "the film was very bad " * 2 + "the film was very", "good " * 20
    text = f"{rest}{read}" if policy == "truncate_left" else f"{read} {rest}"
    explainer = Explainer(engine)
    found = {method: explainer.attribute([text], method, [1])[0] for method in ("ig", "occlusion")}
    for one in found.values():
        assert [word.text for word in one.words] == read.split()
        assert [text[word.start : word.end] for word in one.words] == read.split()
        assert all(word.value == pytest.approx(0, abs=1e-9) for word in one.words)
        assert one.num_truncated_tokens == 20
    [curves] = row_curves(explainer.predict, [found], [1], random_orders=1, seed=0)
    [empty] = explainer.predict([""])
    for curve in (*curves.deletion.values(), *curves.insertion.values()):
        np.testing.assert_allclose(curve, empty[1])  # no word that is read speaks for anything


@pytest.mark.parametrize("policy", ["truncate_right", "truncate_left"])
def test_a_text_of_megabytes_is_explained_by_what_is_read_of_it(tmp_path: Path, policy: str) -> None:
    engine = linear.engine(tmp_path, *linear.only("good", 1))
    engine.tokenizer.side = "left" if policy == "truncate_left" else "right"
    read, rest = "the good film was very bad " * 2 + "the film", "bad " * 100_000
    text = f"{rest}{read}" if policy == "truncate_left" else f"{read} {rest}"
    for method in ("ig", "occlusion"):
        [found] = Explainer(engine).attribute([text], method)
        [short] = Explainer(engine).attribute([read], method)
        assert [(word.text, word.value) for word in found.words] == [(word.text, word.value) for word in short.words]
        assert [found.text[word.start : word.end] for word in found.words] == read.split()
        assert (found.full, found.baseline, found.num_truncated_tokens) == (short.full, short.baseline, 100_000)
        assert len(found.text) < 50_000
        assert found.text in text


def test_the_part_that_is_read_ends_with_whole_words() -> None:
    text = "  Unbelievable, truly so."
    assert text[slice(*read_part(text, [(0, 0), (2, 4)]))] == "Unbelievable"
    assert text[slice(*read_part(text, [(2, 4), (14, 15)]))] == "Unbelievable,"
    assert text[slice(*read_part(text, [(18, 21), (22, 24), (24, 25)]))] == "truly so."
    assert read_part(text, [(0, 0)]) == (0, 0)


def test_a_label_that_is_not_there(tmp_path: Path) -> None:
    explainer = Explainer(linear.engine(tmp_path, linear.table(), linear.weights(2)))
    assert explainer.attribute([TEXT], "occlusion", label="label0")[0].target == "label0"
    with pytest.raises(RecipeError, match="no such label") as told:
        explainer.attribute([TEXT], "occlusion", label="label9")
    assert "label0, label1" in str(told.value)


def test_without_captum_there_is_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    explainer = Explainer(linear.engine(tmp_path, linear.table(), linear.weights(2)))
    find_spec = __import__("importlib.util").util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "captum" else find_spec(name))
    monkeypatch.setitem(sys.modules, "captum", None)
    with pytest.raises(RecipeError) as told:
        explainer.attribute([TEXT], "ig")
    assert 'pip install "tunesmith[explain]"' in str(told.value)
    assert explainer.attribute([TEXT], "occlusion")[0].words
