"""What must not change what a language model learns: packing, microbatches, checkpointing, tokens that do not count."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import tiny, token_rows
from torch import Tensor

from tunesmith.core.errors import DataError, ModelError, RecipeError, StepError
from tunesmith.numerics.packing import by_tokens
from tunesmith.training.language.assemble import assemble
from tunesmith.training.language.batches import PackedTokens, PaddedTokens
from tunesmith.training.language.network import LanguageNetwork, check_apart
from tunesmith.training.methods.sft import next_token, token_loss

CLOSE = 2e-6
"""Of gradients whose largest is near 1: some tens of roundings of float32."""
torch.set_num_threads(1)


def loaded(family: tiny.Decoder, attention: str) -> LanguageNetwork:
    from transformers import AutoModelForCausalLM

    folder = token_rows.decoder(family)
    return LanguageNetwork(
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention).eval()
    )


def gradients(
    network: LanguageNetwork, batching: Any, parts: Sequence[Sequence[Any]]
) -> tuple[float, dict[str, Tensor]]:
    """The loss of all parts over their weight, and its gradient."""
    network.zero_grad()
    total = weight = 0.0
    for rows in parts:
        loss = token_loss(
            lambda role, batch: network(batch["tokens"], batch.get("mask"), batch.get("positions")),
            batching.collate(rows),
        )
        loss.total.backward()
        total, weight = total + float(loss.total.detach()), weight + float(loss.weight)
    found = {name: one.grad / weight for name, one in network.named_parameters() if one.grad is not None}
    return total / weight, found


def rows(number: int = 8) -> list[Any]:
    return [next_token({"tokens": tokens, "weights": weights}) for tokens, weights in token_rows.rows(number)]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "gpt2", "mistral", "gemma", "phi"])
def test_packed_is_padded_is_alone(family: tiny.Decoder, attention: str) -> None:
    network, members = loaded(family, attention), rows()
    loss, expected = gradients(network, PaddedTokens(), [[row] for row in members])
    for batching in (PaddedTokens(), PackedTokens()):
        other, found = gradients(network, batching, [members])
        assert other == pytest.approx(loss, abs=CLOSE)
        assert max(float((found[name] - one).abs().max()) for name, one in expected.items()) < CLOSE * 10


def test_a_sliding_window_ends_within_its_row() -> None:
    from transformers import AutoModelForCausalLM

    folder = token_rows.decoder("mistral", sliding_window=4)
    network = LanguageNetwork(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval())
    alone, _ = gradients(network, PaddedTokens(), [[row] for row in rows()])
    packed, _ = gradients(network, PackedTokens(), [rows()])
    whole = LanguageNetwork(AutoModelForCausalLM.from_pretrained(token_rows.decoder("mistral")).float().eval())
    assert packed == pytest.approx(alone, abs=CLOSE)
    assert abs(gradients(whole, PackedTokens(), [rows()])[0] - alone) > 1e-5, "the window is shorter than the rows"


def test_an_architecture_that_leaks_is_refused() -> None:
    class Leaks(torch.nn.Module):
        """Adds up all tokens before, whatever positions say."""

        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(50, 50)

        def forward(self, input_ids: Tensor, **_: Any) -> Any:
            return type("Output", (), {"logits": self.table(input_ids).cumsum(1)})()

    with pytest.raises(ModelError, match="see each other"):
        check_apart(Leaks(), 50)
    check_apart(loaded("llama", "sdpa").model, 50)


@pytest.mark.parametrize("packing", [False, True])
def test_eight_of_one_is_one_of_eight(packing: bool, tmp_path: Path) -> None:
    given = token_rows.given(tmp_path)
    runs = [
        token_rows.train(token_rows.config(microbatch_tokens=budget, packing=packing), given, context(tmp_path, budget))
        for budget in (16, 64, 4096)
    ]
    for one, other in itertools.pairwise(runs):
        assert one.losses == pytest.approx(other.losses, rel=1e-5)
        assert one.facts["best"] == pytest.approx(other.facts["best"], rel=1e-5)


def test_packed_training_is_padded_training(tmp_path: Path) -> None:
    given = token_rows.given(tmp_path)
    padded, packed = (
        token_rows.train(token_rows.config(packing=packing), given, context(tmp_path, packing))
        for packing in (False, True)
    )
    assert packed.losses == pytest.approx(padded.losses, rel=1e-5)


def test_recomputed_activations_are_the_same(tmp_path: Path) -> None:
    given = token_rows.given(tmp_path)
    for trainable in ("full", {"kind": "lora", "rank": 4, "dropout": 0.1}):
        kept, again = (
            token_rows.train(
                token_rows.config(gradient_checkpointing=is_on, trainable=trainable), given, context(tmp_path, is_on)
            )
            for is_on in (False, True)
        )
        assert again.losses == pytest.approx(kept.losses, rel=1e-6)
        (tmp_path / "True").rename(tmp_path / f"done-{len(str(trainable))}")
        (tmp_path / "False").rename(tmp_path / f"done-too-{len(str(trainable))}")


def test_tokens_that_do_not_count_change_nothing(tmp_path: Path) -> None:
    """Behind the last counted token: another token there changes neither loss nor weights, whatever it is."""
    members = [([*tokens, 5, 6, 7], weights + [0.0] * 3) for tokens, weights in token_rows.rows(16)]
    others = [([*tokens[:-3], 40, 299, 0], weights) for tokens, weights in members]
    base = token_rows.base(token_rows.decoder())
    runs = []
    for name, train in (("one", members), ("other", others)):
        given = {"base": base, "tokens": token_rows.artifact(tmp_path / f"{name}-tokens", {"train": train})}
        runs.append(token_rows.train(token_rows.config(), given, context(tmp_path, name)))
    assert runs[0].losses == runs[1].losses
    assert runs[0].files["model/weights/model.safetensors"] == runs[1].files["model/weights/model.safetensors"]


def test_a_weight_of_two_is_the_row_twice() -> None:
    network, members = loaded("llama", "sdpa"), rows(4)
    doubled = [{**members[0], "weights": [2 * one for one in members[0]["weights"]]}, *members[1:]]
    loss, expected = gradients(network, PaddedTokens(), [[members[0], *members]])
    other, found = gradients(network, PaddedTokens(), [doubled])
    assert other == pytest.approx(loss, abs=CLOSE)
    assert max(float((found[name] - one).abs().max()) for name, one in expected.items()) < CLOSE * 10


def test_parts_hold_every_row_once_and_no_more_than_their_budget() -> None:
    lengths = [5, 30, 7, 12, 3, 20, 1, 9]
    parts = by_tokens(lengths, 20)
    assert sorted(itertools.chain(*parts)) == list(range(8))
    assert all(sum(lengths[row] for row in part) <= 20 for part in parts if part != [1])
    assert [1] in parts, "a row longer than the budget goes alone"
    assert len(parts) == 4


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    given = token_rows.given(tmp_path, "gpt2")  # with dropout
    config = token_rows.config(trainable={"kind": "lora", "rank": 4}, neftune_alpha=5.0, optimizer="muon")
    first, again, other = (
        token_rows.train(config, given, tiny.FakeContext(tmp_path / name, seed=seed))
        for name, seed in (("first", 0), ("again", 0), ("other", 1))
    )
    assert first.files == again.files and first.facts == again.facts
    assert token_rows.digest(first.files) != token_rows.digest(other.files)


def test_rows_that_teach_nothing_are_refused(tmp_path: Path) -> None:
    base = token_rows.base(token_rows.decoder())
    members = [(tokens, [0.0] * len(tokens)) for tokens, _ in token_rows.rows(8)]
    given = {"base": base, "tokens": token_rows.artifact(tmp_path / "tokens", {"train": members})}
    with pytest.raises(DataError, match="no training row has a token to learn from"):
        assemble(token_rows.config(), given, context(tmp_path, "run"))


def test_tokens_of_another_tokenizer_or_beyond_the_vocabulary_are_refused(tmp_path: Path) -> None:
    base, members = token_rows.base(token_rows.decoder()), token_rows.rows(8)
    strange = {"base": base, "tokens": token_rows.artifact(tmp_path / "a", {"train": members}, tokenizer="0" * 64)}
    with pytest.raises(DataError, match="another tokenizer"):
        assemble(token_rows.config(), strange, context(tmp_path, "run"))
    beyond = [([*members[0][0], 5000], [*members[0][1], 0.0]), *members[1:]]
    given = {"base": base, "tokens": token_rows.artifact(tmp_path / "b", {"train": beyond})}
    with pytest.raises(DataError, match="no embedding") as caught:
        assemble(token_rows.config(), given, context(tmp_path, "run"))
    assert caught.value.seen == "id 5000"


def test_8_bit_moments_need_a_gpu(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(RecipeError, match="needs a GPU"):
        assemble(token_rows.config(optimizer="adamw_8bit"), token_rows.given(tmp_path), context(tmp_path, "run"))


def test_nothing_goes_on_without_an_end(tmp_path: Path) -> None:
    """A rate at which weights explode ends in an error that names rows and a layer, not in a broken model."""
    config = token_rows.config(optimizer={"kind": "sgd", "lr": 10.0}, clip=None, epochs=20, on_nan="skip")
    with pytest.raises(StepError, match="not a finite number") as caught:
        token_rows.train(config, token_rows.given(tmp_path), context(tmp_path, "run"))
    assert "rows train-" in str(caught.value.seen) or "weights" in caught.value.what


def context(folder: Path, name: object) -> tiny.FakeContext:
    return tiny.FakeContext(folder / str(name))
