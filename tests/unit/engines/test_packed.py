"""Without padding, a BERT encoder gives the vectors it gives with it; what is not known to be the same stays padded."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import tiny

from tunesmith.core.engine import Request
from tunesmith.engines import quick
from tunesmith.engines.packed import PackedBert, packed
from tunesmith.engines.products import Product
from tunesmith.engines.transformers import TransformersEngine
from tunesmith.models.encoder import load_encoder
from tunesmith.numerics.padding import pad

BERT = load_encoder(tiny.encoder("bert"))
FAMILIES: tuple[tiny.Family, ...] = ("roberta", "distilbert")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(0, 10_000))
def test_every_token_of_every_batch_has_the_vector_it_has_with_padding(lengths: list[int], seed: int) -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randint(1, 20, (length,), generator=generator).tolist() for length in lengths]
    tokens_BT, mask_BT = pad(rows)
    without = packed(BERT)
    assert without is not None
    with torch.inference_mode():
        expected = BERT(input_ids=tokens_BT, attention_mask=mask_BT).last_hidden_state * mask_BT[..., None]
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


def test_what_is_no_plain_bert_is_left_as_it_is() -> None:
    for family in FAMILIES:
        assert packed(load_encoder(tiny.encoder(family))) is None, family
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
    assert isinstance(made._quick.network.encoder, PackedBert)
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
    assert isinstance(made._quick.network.encoder, PackedBert), "plain products, without padding all the same"
    for old, new in zip(answers(engine, ["the cat"]), answers(made, ["the cat"]), strict=True):
        assert new == pytest.approx(old, abs=1e-6)
