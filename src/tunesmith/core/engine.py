"""Engines answer: one protocol for evaluation, serving, roll-outs and monitoring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Capability = Literal["predict", "embed", "logits", "generate", "score"]


@dataclass(frozen=True)
class Request:
    """Texts to answer in one go."""

    capability: Capability
    texts: Sequence[str]


@dataclass(frozen=True)
class Answer:
    """The answer to one text of a request; ``index`` is its place there (answers may come in any order)."""

    index: int
    values: tuple[float, ...]
    """predict: probabilities by label, or the predicted values; embed: the vector; logits: the network's outputs."""
    num_tokens: int = 0
    num_truncated_tokens: int = 0
    """Tokens of the text that the model's context could not hold."""
    score: float | None = None
    """predict, of a model that rejects: how surely the text is one the model knows (``manifest.decision.reject``)."""


class Stream(Protocol):
    """Answers as they come; ``cancel`` stops the work that is not done yet."""

    def __iter__(self) -> Iterator[Answer]: ...

    def cancel(self) -> None:
        """Stop; answers already made may still be read."""


class Engine(Protocol):
    """Something that answers requests, in this process or far away."""

    capabilities: frozenset[Capability]

    def submit(self, request: Request) -> Stream:
        """The stream of answers to a request."""

    def close(self) -> None:
        """Free the model's memory and stop its workers."""
