"""The train_language stage: what learns, what it leaves, what it refuses; encoder-decoders and encoders too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from tests import tiny, token_rows

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import ModelError, RecipeError
from tunesmith.models.encoder import load_encoder
from tunesmith.models.language_folder import open_language
from tunesmith.training.language.adapt import Adapt
from tunesmith.training.language.assemble import assemble
from tunesmith.training.language.phase_config import LanguagePhaseConfig
from tunesmith.training.language.rows import TokenRows
from tunesmith.training.validation import summed_loss


def run(given: Any, folder: Path, **changes: Any) -> tiny.Trained:
    return token_rows.train(token_rows.config(**changes), given, tiny.FakeContext(folder))


def test_it_learns_the_answers_of_its_rows(tmp_path: Path) -> None:
    """And writes them at every look, with the loss of each source."""
    splits = {"train": token_rows.rows(96, longest=12), "validation": token_rows.rows(12, seed=1, longest=12)}
    base = token_rows.base(token_rows.decoder())
    given = {"base": base, "tokens": token_rows.artifact(tmp_path / "tokens", splits, sources=2)}
    trained = run(given, tmp_path / "run", epochs=25, optimizer={"kind": "adamw", "lr": 1e-2}, samples={"rows": 2})
    looks = [line for line in trained.history if "validation" in line]
    assert len(looks) == 25
    assert trained.facts["best"] < np.log(token_rows.NUM_WORDS) - 0.3, "better than knowing the words alone"
    assert set(looks[-1]["by_source"]) == {"s0", "s1"}
    sizes = [sum(sum(weights[1:]) for _, weights in splits["validation"][place::2]) for place in (0, 1)]
    mean = np.average([looks[-1]["by_source"][source] for source in ("s0", "s1")], weights=sizes)
    assert looks[-1]["validation"]["loss"] == pytest.approx(float(mean))
    assert [one["row_id"] for one in looks[-1]["samples"]] == ["validation-0", "validation-1"]
    assert any(looks[-1]["samples"][0]["generated"] != look["samples"][0]["generated"] for look in looks)


def test_the_facts_tell_what_was_done(tmp_path: Path) -> None:
    trained = run(token_rows.given(tmp_path), tmp_path / "run")
    weights = load_file(trained.path / "weights" / "model.safetensors")
    assert trained.facts["num_trained_parameters"] == sum(one.numel() for one in weights.values())
    known = {name: trained.facts[name] for name in ("task", "network", "trainable", "steps", "rows", "watched")}
    assert known == {
        "task": "generate",
        "network": "decoder",
        "trainable": "full",
        "steps": 6,
        "rows": 24,
        "watched": "loss",
    }
    assert "skipped_steps" not in trained.facts and "microbatch_tokens" not in trained.facts
    assert json.loads(trained.files["model/model.json"])["task"] == "generate"


CHANGES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "top_layers": ({"kind": "top_layers", "layers": 1}, ("layers.1.", "model.norm.", "lm_head.")),
    "head": ("head", ("lm_head.",)),
    "full": ("full", ("",)),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_only_what_is_asked_for_moves(kind: str, tmp_path: Path) -> None:
    trainable, moving = CHANGES[kind]
    given = token_rows.given(tmp_path)
    trained = run(given, tmp_path / "run", trainable=trainable)
    before = load_file(given["base"].path / "files" / "model.safetensors")
    after = load_file(trained.path / "weights" / "model.safetensors")
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name].float(), after[name].float())}
    assert moved == {name for name in before if any(part in name for part in moving)}


def test_the_output_layer_alone_needs_to_be_its_own(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="tied weights"):
        run(token_rows.given(tmp_path, "qwen2"), tmp_path / "run", trainable="head")


def test_an_adapter_is_kept_apart_and_opened_over_its_base(tmp_path: Path) -> None:
    import peft
    from transformers import AutoModelForCausalLM

    given = token_rows.given(tmp_path, "gpt2")
    lora = {"kind": "lora", "rank": 4, "alpha": 8.0, "rslora": True, "ranks": {"attn.c_attn": 2}}
    trained = run(given, tmp_path / "run", trainable=lora)
    settings = json.loads(trained.files["model/adapter/adapter_config.json"])
    assert (settings["r"], settings["use_rslora"], settings["rank_pattern"]) == (4, True, {"attn.c_attn": 2})
    assert settings["task_type"] == "CAUSAL_LM" and settings["fan_in_fan_out"] is True
    tensors = load_file(trained.path / "adapter" / "adapter_model.safetensors")
    ranks = {name.split(".h.0.")[1]: len(one) for name, one in tensors.items() if ".h.0." in name and "lora_A" in name}
    assert ranks == {
        "attn.c_attn.lora_A.weight": 2,
        "attn.c_proj.lora_A.weight": 4,
        "mlp.c_fc.lora_A.weight": 4,
        "mlp.c_proj.lora_A.weight": 4,
    }
    _, ours, _ = open_language(trained.path, given["base"].path)
    files = given["base"].path / "files"
    theirs = peft.PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(files, dtype=torch.float32), trained.path / "adapter"
    ).eval()
    tokens = torch.arange(10, 30)[None]
    with torch.no_grad():
        assert torch.allclose(ours(tokens).logits, theirs(tokens).logits, atol=1e-5)


def test_the_saved_model_is_the_one_that_was_measured(tmp_path: Path) -> None:
    """Opened again, its validation loss is the best of the history."""
    given = token_rows.given(tmp_path)
    trained = run(given, tmp_path / "run", trainable={"kind": "lora", "rank": 4, "dora": True}, epochs=3)
    _, module, _ = open_language(trained.path, given["base"].path)
    made = assemble(token_rows.config(), given, tiny.FakeContext(tmp_path / "again"))
    made.model.module.model = module
    total, weight = summed_loss(made.loop.method, made.loop.networks, made.loop.validation_rows, 4096)
    assert total / weight == pytest.approx(trained.facts["best"], rel=1e-5)


def test_a_second_phase_starts_from_the_first(tmp_path: Path) -> None:
    """Its adapter is merged, as it would stand beside no base; its first look goes on from the first phase's best."""
    given = token_rows.given(tmp_path)
    first = run(given, tmp_path / "first", trainable={"kind": "lora", "rank": 4}, epochs=6)
    parent = tiny.artifact("model", "model", first.path, first.facts)
    still = {"optimizer": {"kind": "adamw", "lr": 1e-9, "weight_decay": 0.0}, "epochs": 1}
    second = run({**given, "parent": parent}, tmp_path / "second", trainable={"kind": "lora", "rank": 4}, **still)
    assert second.facts["best"] == pytest.approx(first.facts["best"], rel=1e-5)
    assert "model/weights/model.safetensors" in second.files and second.facts["adapter"] is None


def test_noise_on_embeddings_is_of_the_asked_size_and_only_in_training() -> None:
    from tunesmith.training.language.network import LanguageNetwork

    class Echo(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(4, 64)
            torch.nn.init.zeros_(self.table.weight)

        def get_input_embeddings(self) -> torch.nn.Module:
            return self.table

        def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
            return type("Output", (), {"logits": self.table(input_ids)})()

    network = LanguageNetwork(Echo(), neftune_alpha=5.0)
    mask = torch.tensor([[1] * 9, [1] * 4 + [0] * 5])
    places = torch.tensor([[*range(9), *range(4)]])
    padded = network(torch.zeros(2, 9, dtype=torch.long), mask)
    packed = network(torch.zeros(1, 13, dtype=torch.long), positions=places)
    for length, noise in ((9, padded[0]), (4, padded[1, :4]), (9, packed[0, :9]), (4, packed[0, 9:])):
        most = 5.0 / np.sqrt(length * 64)
        assert 0.95 * most < noise.abs().max().item() <= most, "uniform up to alpha / sqrt(length x hidden)"
        assert abs(noise.mean().item()) < 0.2 * most
    assert not network.eval()(torch.zeros(2, 9, dtype=torch.long), mask).any()


@pytest.fixture
def seq2seq(tmp_path: Path) -> dict[str, Artifact]:
    folder = tmp_path / "t5"
    tiny.write_seq2seq(folder)
    splits = {"train": token_rows.rows(24), "validation": token_rows.rows(6, seed=1)}
    return {"base": token_rows.base(folder), "tokens": token_rows.artifact(tmp_path / "tokens", splits)}


@pytest.mark.parametrize("trainable", ["full", {"kind": "lora", "rank": 4}, {"kind": "top_layers", "layers": 1}])
def test_an_encoder_decoder_learns_answers(trainable: Any, seq2seq: Any, tmp_path: Path) -> None:
    """Its loss is that of transformers on the same labels."""
    from transformers import AutoModelForSeq2SeqLM

    changes: dict[str, Any] = {"trainable": trainable, "epochs": 6, "optimizer": {"kind": "adamw", "lr": 1e-2}}
    trained = run(seq2seq, tmp_path / "run", samples={"rows": 1}, **changes)
    assert trained.facts["network"] == "encoder_decoder"
    assert trained.losses[-1] < trained.losses[0]
    made = assemble(token_rows.config(), seq2seq, tiny.FakeContext(tmp_path / "again"))
    loss, weight = summed_loss(made.loop.method, made.loop.networks, made.loop.validation_rows, 64, made.loop.batching)
    model = AutoModelForSeq2SeqLM.from_pretrained(seq2seq["base"].path / "files", dtype=torch.float32).eval()
    total = 0.0
    for row in TokenRows(seq2seq["tokens"].path, "validation"):
        first = row["weights"].index(1.0)
        source, labels = torch.tensor([row["tokens"][:first]]), torch.tensor([row["tokens"][first:]])
        with torch.no_grad():
            total += float(model(input_ids=source, labels=labels).loss) * labels.shape[1]
    assert loss == pytest.approx(total, rel=1e-5)
    assert weight == sum(sum(row["weights"]) for row in TokenRows(seq2seq["tokens"].path, "validation"))


def test_what_does_not_go_with_an_encoder_decoder_is_refused(seq2seq: Any, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="does not train an encoder-decoder"):
        run(seq2seq, tmp_path / "a", method="continued_pretraining")
    with pytest.raises(RecipeError, match="packed for decoders only"):
        run(seq2seq, tmp_path / "b", packing=True)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_an_encoder_reads_on(family: tiny.Family, tmp_path: Path) -> None:
    """It becomes a base of the same kind, and guesses better what is hidden from it."""
    from tunesmith.models.templates.vocabulary import Vocabulary

    base = tiny.base(family, tiny.write_masked_encoder(family, tmp_path / "encoder"))
    vocabulary = Vocabulary.open(base.path / "files")
    rows = {
        name: [
            ([*vocabulary.before, *one.ids, *vocabulary.after][:30], [1.0] * min(30, len(one.ids) + 2))
            for one in vocabulary.encode(tiny.sentences(number, seed)[0])
        ]
        for name, number, seed in (("train", 60, 0), ("validation", 12, 1))
    }
    given = {"base": base, "tokens": token_rows.artifact(tmp_path / "tokens", rows)}
    settings = {"method": {"kind": "continued_pretraining", "mask": 0.3}, "trainable": "full", "epochs": 4}
    config = LanguagePhaseConfig.model_validate(
        {**settings, "precision": "float32", "optimizer": {"lr": 1e-2}, "validate_every": 1.0}
    ).for_task("classify")
    context = tiny.FakeContext(tmp_path / "run")
    facts = Adapt(config).run(given, context)
    history = [json.loads(line) for line in (context.out / "history" / "history.jsonl").read_text().splitlines()]
    losses = [line["validation"]["loss"] for line in history if "validation" in line]
    assert min(losses) < losses[0] - 0.2
    assert "starts new" in context.warnings[0]
    new = facts["base"]
    same = ("name", "hidden", "num_layers", "vocabulary", "max_tokens", "pooling")
    assert {name: new[name] for name in same} == {name: base.facts[name] for name in same}
    before, after = load_encoder(base.path / "files"), load_encoder(context.out / "base" / "files")
    assert before.state_dict().keys() == after.state_dict().keys()
    assert any(not torch.equal(one, after.state_dict()[name]) for name, one in before.state_dict().items())
    again = tiny.FakeContext(tmp_path / "again")
    assert Adapt(config).run(given, again) == facts, "the same places are masked in the same steps"


def test_an_encoder_that_cannot_guess_says_so(tmp_path: Path) -> None:
    given = {"base": tiny.base("bert"), "tokens": token_rows.artifact(tmp_path / "t", {"train": token_rows.rows(8)})}
    with pytest.raises(RecipeError, match="does not train an encoder") as caught:
        run(given, tmp_path / "run")
    assert caught.value.allowed == "continued_pretraining"


def test_settings_that_stay_open_are_filled_or_refused() -> None:
    open_rate = LanguagePhaseConfig().for_task("chat")
    assert open_rate.optimizer.lr is None
    assert [open_rate.lr_at(hidden) for hidden in (32, 64, 4096)] == pytest.approx([1e-2, 1e-2, 1.5625e-4])
    told = LanguagePhaseConfig.model_validate({"optimizer": {"lr": 1e-4}}).for_task("chat")
    assert told.lr_at(4096) == 1e-4
    with pytest.raises(RecipeError, match="range test"):
        LanguagePhaseConfig.model_validate({"optimizer": {"lr": "auto"}}).for_task("chat")
    with pytest.raises(ValidationError, match="there is no language method of kind `classify`"):
        LanguagePhaseConfig.model_validate({"method": "classify"})
    with pytest.raises(RecipeError, match="watches the loss"):
        LanguagePhaseConfig.model_validate({"early_stopping": {"metric": "chrf"}}).for_task("chat")
    phase = LanguagePhaseConfig.model_validate({"batch": 10, "trainable": "full"}).for_task("chat")
    assert phase.num_epochs(10) == 20 and phase.num_epochs(100_000) == 3
