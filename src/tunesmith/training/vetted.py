"""The vetted settings: every default that depends on what is trained stands here, and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Vetted:
    """Settings that work without tuning, for one kind of trainable."""

    lr: Mapping[str, float]
    """Peak learning rate of the pre-trained weights by optimizer kind."""
    head_lr: Mapping[str, float]
    """Peak learning rate of the new head by optimizer kind."""
    epochs: int
    """Passes over the training rows, of a data set that gives enough steps."""
    enough_steps: int
    """Optimizer steps that smaller data sets are given by more passes."""


VETTED: Mapping[str, Vetted] = {
    "full": Vetted(
        lr={"adamw": 2e-4, "adam": 2e-4, "sgd": 1e-2, "rmsprop": 1e-4, "adafactor": 2e-3, "lion": 3e-5},
        head_lr={"adamw": 2e-3, "adam": 2e-3, "sgd": 1e-1, "rmsprop": 1e-3, "adafactor": 2e-2, "lion": 3e-4},
        epochs=5,
        enough_steps=300,
    ),
    # Nothing pre-trained moves, so both rates are the head's; an epoch over cached features takes milliseconds.
    "head": Vetted(
        lr={"adamw": 1e-3, "adam": 1e-3, "sgd": 1e-1, "rmsprop": 1e-3, "adafactor": 5e-2, "lion": 3e-4},
        head_lr={"adamw": 1e-3, "adam": 1e-3, "sgd": 1e-1, "rmsprop": 1e-3, "adafactor": 5e-2, "lion": 3e-4},
        epochs=30,
        enough_steps=1500,
    ),
    "top_layers": Vetted(
        lr={"adamw": 2e-4, "adam": 2e-4, "sgd": 1e-2, "rmsprop": 1e-4, "adafactor": 2e-3, "lion": 3e-5},
        head_lr={"adamw": 2e-3, "adam": 2e-3, "sgd": 1e-1, "rmsprop": 1e-3, "adafactor": 2e-2, "lion": 3e-4},
        epochs=5,
        enough_steps=300,
    ),
    "lora": Vetted(
        lr={"adamw": 1e-3, "adam": 1e-3, "sgd": 1e-1, "rmsprop": 5e-4, "adafactor": 2e-2, "lion": 1e-4},
        head_lr={"adamw": 2e-3, "adam": 2e-3, "sgd": 1e-1, "rmsprop": 1e-3, "adafactor": 2e-2, "lion": 3e-4},
        epochs=5,
        enough_steps=300,
    ),
}

MOST_EPOCHS = {"full": 20, "head": 200, "top_layers": 20, "lora": 20}
"""Passes after which small data sets gain nothing more. Source for ``full``: Mosbach et al. 2021, section 6, who advise
20 epochs on small data sets and show that what is taken for instability is too few steps."""

STEPS_OF_TASK = {"tag": 5}
"""How many times ``enough_steps`` a task needs: most labels of `tag` stand on few rows, and each learns from those
alone (docs/log.md)."""

RANGE_TEST_STEPS = 100
"""Optimizer steps of a learning-rate range test."""

LANGUAGE: Mapping[str, Vetted] = {
    "full": Vetted(
        lr={"adamw": 3e-3, "adam": 3e-3, "sgd": 1e-1, "rmsprop": 1e-3, "adafactor": 1e-2, "lion": 3e-4, "muon": 3e-3},
        head_lr={},
        epochs=3,
        enough_steps=300,
    ),
    "lora": Vetted(
        lr={"adamw": 1e-2, "adam": 1e-2, "sgd": 1.0, "rmsprop": 3e-3, "adafactor": 3e-2, "lion": 1e-3, "muon": 1e-2},
        head_lr={},
        epochs=3,
        enough_steps=300,
    ),
}
"""The vetted settings of language models, the rates for a hidden size of ``WIDTH``; what is not in it starts from those
of ``full``. AdamW's rates were measured (docs/log.md), the others are AdamW's by the ratios of the table above."""

WIDTH = 64
"""The hidden size that the rates of language models were measured at."""

MOST_LANGUAGE_EPOCHS = 20

METHODS: Mapping[str, tuple[str, ...]] = {"classify": ("classify",), "tag": ("tag",), "regress": ("regress",)}
"""The methods of each task, its default first."""


def of(trainable: str) -> Vetted:
    """The vetted settings of a kind of trainable; one that was added later starts from those of ``full``."""
    return VETTED.get(trainable, VETTED["full"])


def epochs(trainable: str, task: str, num_rows: int, batch: int) -> int:
    """The vetted passes over so many training rows: more of them where there are few rows."""
    good = of(trainable)
    steps = good.enough_steps * STEPS_OF_TASK.get(task, 1)
    steps_per_epoch = max(1, math.ceil(num_rows / batch))
    return max(good.epochs, min(MOST_EPOCHS.get(trainable, 20), math.ceil(steps / steps_per_epoch)))


def rate(rates: Mapping[str, float], optimizer: str) -> float:
    """The learning rate for an optimizer; one that was added later starts from AdamW's."""
    return rates.get(optimizer, rates["adamw"])


def of_language(trainable: str) -> Vetted:
    """The vetted settings of a kind of trainable of a language model."""
    return LANGUAGE.get(trainable, LANGUAGE["full"])


def language_epochs(trainable: str, num_rows: int, batch: int) -> int:
    """The vetted passes of a language model over so many training rows: more of them where there are few rows."""
    good = of_language(trainable)
    steps_per_epoch = max(1, math.ceil(num_rows / batch))
    return max(good.epochs, min(MOST_LANGUAGE_EPOCHS, math.ceil(good.enough_steps / steps_per_epoch)))


def language_rate(trainable: str, optimizer: str) -> float:
    """The vetted learning rate of a language model ``WIDTH`` wide."""
    return rate(of_language(trainable).lr, optimizer)


def at_width(rate: float, hidden: int) -> float:
    """A rate measured at ``WIDTH`` for a model of another hidden size: wider ones take less, in proportion.

    Source: Yang et al. 2022, table 8: Adam's rate of hidden matrices goes with 1 / width. It gives 2.1e-4 for full
    training at 896 and 1.6e-4 for adapters at 4,096, where practice has settled.
    """
    return rate * min(1.0, WIDTH / hidden)
