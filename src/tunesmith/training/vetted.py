"""The vetted settings: every default that depends on what is trained stands here, and nowhere else."""

from __future__ import annotations

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
    """Passes over the training rows."""


VETTED: Mapping[str, Vetted] = {
    "full": Vetted(
        lr={"adamw": 1e-4, "adam": 1e-4, "sgd": 1e-2},
        head_lr={"adamw": 1e-3, "adam": 1e-3, "sgd": 1e-1},
        epochs=4,
    ),
    # Nothing pre-trained moves, so both rates are the head's; an epoch over cached features takes milliseconds.
    "head": Vetted(
        lr={"adamw": 1e-3, "adam": 1e-3, "sgd": 1e-1},
        head_lr={"adamw": 1e-3, "adam": 1e-3, "sgd": 1e-1},
        epochs=60,
    ),
}

METHODS: Mapping[str, tuple[str, ...]] = {"classify": ("classify",), "regress": ("regress",)}
"""The methods of each task, its default first."""


def of(trainable: str) -> Vetted:
    """The vetted settings of a kind of trainable; one that was added later starts from those of ``full``."""
    return VETTED.get(trainable, VETTED["full"])


def rate(rates: Mapping[str, float], optimizer: str) -> float:
    """The learning rate for an optimizer; one that was added later starts from AdamW's."""
    return rates.get(optimizer, rates["adamw"])
