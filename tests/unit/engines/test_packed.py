"""Without padding, an encoder gives the vectors it gives with it; what is not known to be the same stays padded."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import tiny

from tunesmith.core.engine import Request
from tunesmith.engines import quick
from tunesmith.engines.packed import PackedEncoder, packed
from tunesmith.engines.products import Product
from tunesmith.engines.transformers import TransformersEngine
from tunesmith.models.encoder import load_encoder
from tunesmith.numerics.padding import pad

KINDS: tuple[tiny.Family, ...] = ("bert", "roberta", "distilbert")
ENCODERS: dict[str, Any] = {family: load_encoder(tiny.encoder(family)) for family in KINDS}
BERT = ENCODERS["bert"]
SMALL = {"vocab_size": 30, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


@pytest.mark.parametrize("family", KINDS)
@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=12), seed=st.integers(0, 10_000))
def test_every_token_of_every_batch_has_the_vector_it_has_with_padding(
    family: str, lengths: list[int], seed: int
) -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    # The padding token may stand in a text as well: who writes "<pad>" gets it.
    rows = [torch.randint(0, 20, (length,), generator=generator).tolist() for length in lengths]
    tokens_BT, mask_BT = pad(rows)
    encoder = ENCODERS[family]
    without = packed(encoder)
    assert without is not None
    with torch.inference_mode():
        expected = encoder(input_ids=tokens_BT, attention_mask=mask_BT).last_hidden_state * mask_BT[..., None]
        found = without(input_ids=tokens_BT, attention_mask=mask_BT).last_hidden_state
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("factor", [1.0, 3e3, 1e30])
def test_attention_is_softmax_however_large_its_scores_are(factor: float) -> None:
    steep = copy.deepcopy(BERT)
    for layer in steep.encoder.layer:  # type: ignore[union-attr]
        layer.attention.self.query.weight.data *= factor
    without = packed(steep)
    tokens_BT, mask_BT = pad([[1, 5, 3, 2], [1, 7], [1, 9, 4, 8, 8, 2]])
    assert without is not None
    with torch.inference_mode():
        expected = steep(input_ids=tokens_BT, attention_mask=mask_BT).last_hidden_state * mask_BT[..., None]
        found = without(input_ids=tokens_BT, attention_mask=mask_BT).last_hidden_state
    # Far beyond what a model has, rounding decides between scores that all but tie; nothing may leave the numbers.
    torch.testing.assert_close(found, expected, atol=2e-5 if factor < 1e10 else 1.0, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("rows", [1, 7, 700])
def test_a_product_is_that_of_its_linear_layer_and_follows_its_type(dtype: torch.dtype, rows: int) -> None:
    torch.manual_seed(3)
    linear = torch.nn.Linear(48, 80)
    product, given = Product(linear), torch.randn(rows, 48)
    exact = (given.double() @ linear.weight.double().T + linear.bias.double()).detach()
    assert (product(given).double() - exact).abs().max() < 1e-5
    product = copy.deepcopy(product).to(dtype)  # lays the weights out again
    found = product(given.to(dtype)).detach()
    assert found.dtype == dtype
    bound = {torch.float32: 1e-5, torch.bfloat16: 5e-2, torch.float64: 1e-6}[dtype]
    assert (found.double() - exact).abs().max() < bound


@pytest.mark.parametrize("kind", ["XLMRoberta", "Camembert"])
def test_other_names_of_the_same_encoder_are_known(kind: str) -> None:
    torch.manual_seed(5)
    encoder = getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**SMALL)).eval()
    without = packed(encoder)
    tokens_BT, mask_BT = pad([[4, 5, 1, 2], [4, 7], [4, 9, 4, 8, 8, 2]])
    assert without is not None
    with torch.inference_mode():
        expected = encoder(input_ids=tokens_BT, attention_mask=mask_BT).last_hidden_state * mask_BT[..., None]
        found = without(input_ids=tokens_BT, attention_mask=mask_BT).last_hidden_state
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


def test_what_is_not_known_to_be_the_same_is_left_as_it_is() -> None:
    assert packed(transformers.MPNetModel(transformers.MPNetConfig(**SMALL))) is None
    assert packed(transformers.BertModel(transformers.BertConfig(**SMALL, is_decoder=True))) is None

    class BertModel(transformers.BertModel):
        """Somebody's own, of the same name."""

    assert packed(BertModel(transformers.BertConfig(**SMALL))) is None
    adapted = load_encoder(tiny.encoder("bert"))
    own = adapted.encoder.layer[0].attention.self  # type: ignore[union-attr]

    class Adapted(torch.nn.Linear):
        pass

    own.query = Adapted(own.query.in_features, own.query.out_features)  # type: ignore[union-attr]
    assert packed(adapted) is None


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("quick")
    context = tiny.FakeContext(place / "model")
    tiny.train(tiny.train_config(epochs=2), {"base": tiny.base(), "splits": tiny.labelled(place / "splits")}, context)
    return TransformersEngine.open(context.out / "model", None)


def answers(one: TransformersEngine | quick.QuickEngine, texts: list[str]) -> list[tuple[float, ...]]:
    return [each.values for each in sorted(one.submit(Request("predict", texts)), key=lambda each: each.index)]


def test_a_quick_engine_answers_the_same_and_the_trained_one_is_untouched(engine: TransformersEngine) -> None:
    texts = [*tiny.sentences(40)[0], "", "the " * 200]
    before, encoder = answers(engine, texts), engine.network.encoder
    made, tried = quick.quicken(engine, None)
    assert tried is None and made.engine is engine and engine.network.encoder is encoder
    assert isinstance(made._quick.network.encoder, PackedEncoder)
    for old, new in zip(before, answers(made, texts), strict=True):
        assert new == pytest.approx(old, abs=1e-6)
    half, tried = quick.quicken(engine, tiny.sentences(80)[0])
    assert tried is not None and tried.is_used
    assert {one.dtype for one in half._quick.network.encoder.parameters()} == {torch.bfloat16}
    assert {one.dtype for one in engine.network.parameters()} == {torch.float32}, "explanations stay in float32"
    assert answers(engine, texts) == before


def test_packing_that_changes_answers_is_not_used(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick, "MAX_CHANGE", -1.0)
    made, _ = quick.quicken(engine, None)
    assert made._quick.network.encoder is engine.network.encoder
    assert made._quick.budget_tokens == quick.PADDED_TOKENS


def test_a_processor_without_the_kernels_answers_as_before(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(self: Product, input_ND: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("could not create a primitive")

    monkeypatch.setattr(Product, "forward", lacking)
    made, _ = quick.quicken(engine, None)
    assert made._quick.network.encoder is engine.network.encoder
    assert answers(made, ["the cat"]) == answers(engine, ["the cat"])
    monkeypatch.undo()
    monkeypatch.setattr("tunesmith.engines.products._is_known", lambda dtype: False)
    made, _ = quick.quicken(engine, None)
    assert isinstance(made._quick.network.encoder, PackedEncoder), "plain products, without padding all the same"
    for old, new in zip(answers(engine, ["the cat"]), answers(made, ["the cat"]), strict=True):
        assert new == pytest.approx(old, abs=1e-6)
