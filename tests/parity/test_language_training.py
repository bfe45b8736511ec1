"""Our loop on token rows against TRL's SFTTrainer on the same batches, and masked-LM loss against transformers'.

The same start, the same rows in the same order, float32, no dropout. Our loss is a sum divided by the weight of the
step, TRL's the mean of the model's own loss: only the order of roundings differs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import tiny, token_rows

from tunesmith.models.adapters import add_lora
from tunesmith.numerics.batching import epoch_order
from tunesmith.training.language.assemble import assemble

NUM_ROWS, BATCH, NUM_STEPS, LR, DECAY = 48, 8, 10, 3e-3, 0.05
FIRST_LOSS, LOSS, GRADIENT = 1e-5, 1e-4, 1e-4
torch.set_num_threads(1)

NO_DROPOUT: dict[str, dict[str, float]] = {"gpt2": {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}}


class Seen:
    """Losses, and gradient norms by tensor, of each step."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.norms: list[dict[str, float]] = []

    def note(self, model: torch.nn.Module) -> None:
        self.norms.append({name: float(p.grad.norm()) for name, p in model.named_parameters() if p.grad is not None})


def ours(family: tiny.Decoder, folder: Path, **changes: Any) -> tuple[Seen, Path]:
    decoder = token_rows.decoder(family, **NO_DROPOUT.get(family, {}))
    given = {
        "base": token_rows.base(decoder),
        "tokens": token_rows.artifact(folder / "tokens", {"train": token_rows.rows(NUM_ROWS)}),
    }
    config = token_rows.config(
        optimizer={"kind": "adamw", "lr": LR, "weight_decay": DECAY},
        schedule={"kind": "linear", "warmup": 0},
        max_steps=NUM_STEPS,
        batch=BATCH,
        clip=None,
        bucketing=False,
        **changes,
    )
    made = assemble(config, given, tiny.FakeContext(folder / "run"))
    seen = Seen()
    model = made.model.module.model
    made.loop.optimizers["model"].register_step_pre_hook(lambda *_: seen.note(model))
    seen.losses = [line["loss"] for line in made.loop.fit().history if "loss" in line]
    return seen, decoder


def batches() -> list[list[dict[str, list[int]]]]:
    """The rows of each step in our loop's order, as TRL reads tokenised rows."""
    rows = token_rows.rows(NUM_ROWS)
    steps = [
        step
        for epoch in range(2)
        for step in epoch_order([len(t) for t, _ in rows], BATCH, seed=0, epoch=epoch, is_bucketed=False)
    ]
    return [
        [{"input_ids": rows[row][0], "completion_mask": [int(w) for w in rows[row][1]]} for row in step]
        for step in steps[:NUM_STEPS]
    ]


def theirs(decoder: Path, folder: Path, *, with_adapter: bool = False) -> Seen:
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    import datasets
    import transformers
    import trl

    seen = Seen()

    class Watched(trl.SFTTrainer):
        def training_step(self, *given: Any, **more: Any) -> Any:
            loss = super().training_step(*given, **more)
            seen.losses.append(float(loss))
            return loss

    class Watcher(transformers.TrainerCallback):
        def on_pre_optimizer_step(self, *_: Any, **more: Any) -> None:
            seen.note(more["model"])

    model = transformers.AutoModelForCausalLM.from_pretrained(decoder, dtype=torch.float32)
    if with_adapter:
        torch.manual_seed(0)
        settings = {"rank": 4, "alpha": 8.0, "dropout": 0.0, "rslora": False, "targets": None}
        model = add_lora(model, **settings, task_type="CAUSAL_LM")
    rows = [row for step in batches() for row in step]
    trainer = Watched(
        model=model,
        args=trl.SFTConfig(
            output_dir=str(folder),
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            per_device_train_batch_size=BATCH,
            max_steps=NUM_STEPS,
            learning_rate=LR,
            weight_decay=DECAY,
            lr_scheduler_type="linear",
            warmup_steps=0,
            max_grad_norm=1e9,
            max_length=None,
            completion_only_loss=True,
            train_sampling_strategy="sequential",
            save_strategy="no",
            report_to="none",
            optim="adamw_torch",
            disable_tqdm=True,
        ),
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=transformers.PreTrainedTokenizerFast(
            tokenizer_file=str(decoder / "tokenizer.json"), pad_token="<pad>", eos_token="</s>"
        ),
        callbacks=[Watcher()],
    )
    trainer.train()
    return seen


@pytest.mark.parametrize("family", tiny.DECODERS)
def test_equal_to_trl(family: tiny.Decoder, tmp_path: Path) -> None:
    mine, decoder = ours(family, tmp_path)
    trl = theirs(decoder, tmp_path / "trl")
    assert len(mine.losses) == len(trl.losses) == NUM_STEPS
    assert mine.losses[0] == pytest.approx(trl.losses[0], abs=FIRST_LOSS)
    assert mine.losses == pytest.approx(trl.losses, rel=LOSS)
    assert mine.losses[-1] < mine.losses[0] - 0.2, "the comparison is of a run that learns"
    assert len(mine.norms) == len(trl.norms) == NUM_STEPS
    for own, other in zip(mine.norms, trl.norms, strict=True):
        assert own.keys() == other.keys()
        assert list(own.values()) == pytest.approx([other[name] for name in own], rel=GRADIENT, abs=1e-7)


def test_an_adapter_is_equal_to_trl(tmp_path: Path) -> None:
    """PEFT's layers on both sides, from the same random start."""
    mine, decoder = ours("llama", tmp_path, trainable={"kind": "lora", "rank": 4, "alpha": 8.0, "dropout": 0.0})
    trl = theirs(decoder, tmp_path / "trl", with_adapter=True)
    assert mine.losses[0] == pytest.approx(trl.losses[0], abs=FIRST_LOSS)
    assert mine.losses == pytest.approx(trl.losses, rel=LOSS)
    for own, other in zip(mine.norms, trl.norms, strict=True):
        assert own.keys() == other.keys() and all("lora_" in name for name in own)
        assert list(own.values()) == pytest.approx([other[name] for name in own], rel=GRADIENT, abs=1e-7)


def test_masked_loss_is_that_of_transformers(tmp_path: Path) -> None:
    """On equal masks: transformers' collator hides tokens, both sides say how badly BERT guesses them."""
    import transformers

    from tunesmith.training.language.batches import PaddedTokens
    from tunesmith.training.language.network import LanguageNetwork
    from tunesmith.training.methods.sft import token_loss

    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(tiny.encoder("bert") / "tokenizer.json"),
        pad_token="[PAD]",
        mask_token="[MASK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    model = transformers.BertForMaskedLM(transformers.BertConfig(vocab_size=len(tokenizer), **size)).eval()
    rows = [tokenizer(text)["input_ids"] for text in tiny.sentences(8)[0]]
    batch = transformers.DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.3)(
        [{"input_ids": row} for row in rows]
    )
    expected = model(**batch).loss.item()

    hidden = [
        {"tokens": seen[: len(row)].tolist(), "target": row, "weights": (label[: len(row)] != -100).float().tolist()}
        for row, seen, label in zip(rows, batch["input_ids"], batch["labels"], strict=True)
    ]
    network = LanguageNetwork(model)
    loss = token_loss(lambda role, columns: network(columns["tokens"], columns["mask"]), PaddedTokens().collate(hidden))
    assert float(loss.weight) == int((batch["labels"] != -100).sum()) > 10
    assert (loss.total / loss.weight).item() == pytest.approx(expected, abs=1e-6)
