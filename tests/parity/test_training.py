"""Our loop against a plain hand-written one, and against transformers' Trainer: same start, same rows, same losses.

Tolerance 1e-6 over ten steps in float32: the same operations in the same order, but for the loss (ours is a sum divided
by its weight, theirs a mean), AdamW's fused kernel, and the order of rows in a batch. Losses are near 1, so 1e-6 is
about ten roundings; final weights, moved by 1e-3 a step, are held to 5e-6 (seen: 4e-7).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import tiny

from tunesmith.core.stage import Given
from tunesmith.models.encoder import TextNetwork, load_encoder
from tunesmith.models.folder import open_model
from tunesmith.models.heads import Head
from tunesmith.models.tokenizer import Tokenizer
from tunesmith.numerics.batching import epoch_order
from tunesmith.numerics.padding import pad

NUM_ROWS, BATCH, NUM_STEPS = 48, 8, 10
LR, HEAD_LR, DECAY = 1e-3, 1e-2, 0.05
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT without dropout."""
    folder = tmp_path_factory.mktemp("parity") / "bert"
    tiny.write_encoder("bert", folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    return folder


@pytest.fixture
def given(bert: Path, tmp_path: Path) -> Given:
    return {
        "base": tiny.base(folder=bert),
        "splits": tiny.splits(tmp_path / "splits", {"train": tiny.sentences(NUM_ROWS)}),
    }


def config(**changes: Any) -> Any:
    settings: dict[str, Any] = {
        "optimizer": {"kind": "adamw", "lr": LR, "weight_decay": DECAY},
        "head_lr": HEAD_LR,
        "schedule": {"kind": "linear", "warmup": 0},
        "batch": BATCH,
        "epochs": 2,
        "max_steps": NUM_STEPS,
        "dropout": 0.0,
        "bucketing": False,
    }
    return tiny.train_config(**(settings | changes))


def batches(bert: Path) -> Iterator[dict[str, torch.Tensor]]:
    """The rows of each step in our loop's order, collated by hand."""
    texts, labels = tiny.sentences(NUM_ROWS)
    ids = [one.ids for one in Tokenizer(bert / "", tiny.MAX_TOKENS).encode(texts)]
    target = [sorted(tiny.LABELS).index(label) for label in labels]
    steps = [
        step
        for epoch in range(2)
        for step in epoch_order([len(one) for one in ids], BATCH, seed=0, epoch=epoch, is_bucketed=False)
    ]
    for step in steps[:NUM_STEPS]:
        tokens_BT, mask_BT = pad([ids[row] for row in step])
        yield {
            "input_ids": tokens_BT,
            "attention_mask": mask_BT,
            "labels": torch.tensor([target[row] for row in step]),
        }


def start(bert: Path, seed: int = 0) -> tuple[Any, torch.nn.Linear]:
    """Hugging Face's own BertModel and a linear layer, as our stage begins: the head is the first to draw."""
    from transformers import BertModel

    torch.manual_seed(seed)
    linear = Head(tiny.HIDDEN, len(tiny.LABELS), 0.0, is_normalized=False).linear
    return BertModel.from_pretrained(bert, add_pooling_layer=False), linear


def groups(modules: dict[torch.nn.Module, float]) -> list[dict[str, Any]]:
    return [
        {
            "params": [one for one in module.parameters() if (one.ndim > 1) == is_decayed],
            "lr": lr,
            "weight_decay": decay,
        }
        for module, lr in modules.items()
        for is_decayed, decay in ((True, DECAY), (False, 0.0))
    ]


def difference(ours: Path, encoder: torch.nn.Module, linear: torch.nn.Module) -> float:
    """The largest difference between our saved weights and theirs."""
    _, network, _ = open_model(ours, None)
    assert isinstance(network, TextNetwork)
    theirs = {**{f"encoder.{n}": t for n, t in encoder.state_dict().items()}}
    theirs |= {f"head.linear.{n}": t for n, t in linear.state_dict().items()}
    mine = network.state_dict()
    assert set(mine) == set(theirs)
    return max(float((mine[name] - theirs[name]).abs().max()) for name in mine)


def plain_loop(bert: Path, *, clip: float | None) -> tuple[list[float], list[float], Any, torch.nn.Linear]:
    encoder, linear = start(bert)
    encoder.train()
    optimizer = torch.optim.AdamW(groups({encoder: LR, linear: HEAD_LR}))
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / NUM_STEPS)
    criterion = torch.nn.CrossEntropyLoss()
    losses, norms = [], []
    for batch in batches(bert):
        hidden = encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1)
        loss = criterion(linear((hidden * mask).sum(1) / mask.sum(1)), batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        parameters = [*encoder.parameters(), *linear.parameters()]
        norms.append(float(torch.nn.utils.clip_grad_norm_(parameters, clip or float("inf"))))
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return losses, norms, encoder, linear


@pytest.mark.parametrize("clip", [None, 0.5])
def test_equal_to_a_plain_loop(clip: float | None, bert: Path, given: Given, tmp_path: Path) -> None:
    ours = tiny.train(config(clip=clip), given, tiny.FakeContext(tmp_path / "ours"))
    losses, norms, encoder, linear = plain_loop(bert, clip=clip)
    assert len(ours.losses) == NUM_STEPS
    assert ours.losses == pytest.approx(losses, abs=1e-6)
    assert [line["grad_norm"] for line in ours.history] == pytest.approx(norms, rel=1e-5)
    assert [line["lr"] for line in ours.history] == pytest.approx([LR * (1 - s / NUM_STEPS) for s in range(NUM_STEPS)])
    assert losses[-1] < losses[0] - 0.02, "the comparison is of a run that learns"
    assert difference(ours.path, encoder, linear) < 5e-6


def test_equal_to_the_trainer(bert: Path, given: Given, tmp_path: Path) -> None:
    """transformers' Trainer on the same batches: clipping at 1, linear decay, no decay on biases and norms."""
    import transformers

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.linear = start(bert)

        def forward(self, input_ids: Any, attention_mask: Any, labels: Any) -> dict[str, Any]:
            hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            mask = attention_mask.unsqueeze(-1)
            logits = self.linear((hidden * mask).sum(1) / mask.sum(1))
            return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

    class FixedOrder(transformers.Trainer):
        def get_train_dataloader(self) -> Any:
            return torch.utils.data.DataLoader(list(batches(bert)), batch_size=None)

    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "theirs"),
        per_device_train_batch_size=BATCH,
        max_steps=NUM_STEPS,
        learning_rate=LR,
        weight_decay=DECAY,
        lr_scheduler_type="linear",
        warmup_steps=0,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        max_grad_norm=1.0,
    )
    network = Network()
    trainer = FixedOrder(network, arguments, train_dataset=[{}] * NUM_ROWS)
    trainer.train()
    theirs = [line["loss"] for line in trainer.state.log_history if "loss" in line]

    ours = tiny.train(config(head_lr=LR, clip=1.0), given, tiny.FakeContext(tmp_path / "ours"))
    # The Trainer's log may be rounded to 4 digits, so the trajectory is compared there and the weights exactly.
    assert ours.losses == pytest.approx(theirs, abs=6e-5)
    assert difference(ours.path, network.encoder, network.linear) < 5e-6


def test_the_encoder_starts_as_its_folder_says(bert: Path) -> None:
    reference, _ = start(bert)
    ours = load_encoder(bert).state_dict()
    assert all(torch.equal(ours[name], tensor) for name, tensor in reference.state_dict().items())
