"""What cannot be said together about a phase of training. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from tunesmith.core.errors import RecipeError

if TYPE_CHECKING:
    from tunesmith.training.config import TrainConfig


def check(train: TrainConfig, task: str) -> None:
    """Raise the first conflict of a phase, as a RecipeError."""
    for _, error in found(train, task):
        raise error


def found(train: TrainConfig, task: str) -> Iterator[tuple[str, RecipeError]]:
    """Every conflict of a phase, with the key of `train` that it stands at."""
    for key, find in _CHECKS.items():
        if (error := find(train, task)) is not None:
            yield key, error


def _mixup(train: TrainConfig, task: str) -> RecipeError | None:
    if train.mixup is None:
        return None
    if task != "classify":
        return _not_for("mixup", "mixes classes", task)
    if train.rdrop is not None:
        return RecipeError(
            "R-Drop and mixup both change what a row's target is compared with, and are not done together",
            seen="train.rdrop and train.mixup",
            next="keep one of them",
        )
    return None


def _rdrop(train: TrainConfig, task: str) -> RecipeError | None:
    if train.rdrop is None:
        return None
    if task != "classify":
        return _not_for("rdrop", "compares the probabilities of classes", task)
    if train.dropout == 0 and train.trainable.kind == "head" and not (train.head.layers and train.head.dropout):
        return RecipeError(
            "R-Drop compares what dropout makes of a row, and nothing is dropped",
            seen="train.dropout: 0, with `trainable: head`",
            next="write `train: {dropout: 0.1}`, or leave `train.rdrop` out",
        )
    return None


def _penalty(train: TrainConfig, task: str) -> RecipeError | None:
    penalty, kind = train.penalty, train.trainable.kind
    if penalty is None or penalty.towards != "base" or kind not in ("head", "lora"):
        return None
    return RecipeError(
        f"with `trainable: {kind}` no pre-trained weight moves, so none can be drawn back to the base",
        seen="train.penalty.towards: base",
        allowed="zero",
        next="write `towards: zero`, or `trainable: full`",
    )


def _head_lr(train: TrainConfig, task: str) -> RecipeError | None:
    if train.optimizer.lr != "auto" or train.head_lr is None:
        return None
    return RecipeError(
        "`lr: auto` finds the head's rate together with the other one",
        seen=f"train.head_lr: {train.head_lr:g}",
        next="leave `train.head_lr` out, or write a number for `train.optimizer.lr`",
    )


def _not_for(key: str, why: str, task: str) -> RecipeError:
    return RecipeError(
        f"`train.{key}` {why}, and the task `{task}` has other targets",
        seen=f"task: {task}",
        allowed="task: classify",
        next=f"leave `train.{key}` out",
    )


_CHECKS: Mapping[str, Callable[[TrainConfig, str], RecipeError | None]] = {
    "mixup": _mixup,
    "rdrop": _rdrop,
    "penalty": _penalty,
    "head_lr": _head_lr,
}
