"""Supervised fine-tuning: the next token of what is trained, given all tokens before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tunesmith.core.method import Columns, Forward, Loss, Objective, Row
from tunesmith.numerics.losses import token_cross_entropy
from tunesmith.training.methods.language_config import SftConfig


class Sft:
    """Cross-entropy of the counted tokens, divided by the weight of the whole optimizer step."""

    def __init__(self, config: SftConfig, about: int | None = None) -> None:
        """``about``: for an encoder-decoder the token that every answer starts from."""
        self.config, self.start = config, about

    def rows(self, example: Mapping[str, Any], render: Callable[[str], Row]) -> Row:
        """Tokens without the last one, and at each place the token that follows with its weight."""
        return next_token(example) if self.start is None else source_and_answer(example, self.start)

    def objectives(self) -> Sequence[Objective]:
        """Cross-entropy on the model."""
        return (Objective("cross_entropy", token_loss),)


def next_token(example: Mapping[str, Any]) -> Row:
    """Columns that ask at every token for the one after it; the first token is only ever seen."""
    tokens, weights = example["tokens"], example["weights"]
    return {"tokens": tokens[:-1], "target": tokens[1:], "weights": weights[1:]}


def source_and_answer(example: Mapping[str, Any], start: int) -> Row:
    """Columns of an encoder-decoder: what is read ends where the first counted token is; the rest is written."""
    tokens, weights = example["tokens"], example["weights"]
    first = next((place for place, weight in enumerate(weights) if weight > 0), len(tokens) - 1)
    written = tokens[first:]
    return {"source": tokens[:first], "tokens": [start, *written[:-1]], "target": written, "weights": weights[first:]}


def token_loss(forward: Forward, batch: Columns) -> Loss:
    """The weighted cross-entropy of ``target`` under the model's logits."""
    total, weight = token_cross_entropy(forward("model", batch), batch["target"], batch["weights"])
    return Loss(total, weight)
