"""Engines answer: one protocol for evaluation, serving, roll-outs and monitoring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from tunesmith.core.conversation import Conversation

Capability = Literal["predict", "embed", "logits", "generate", "score"]


@dataclass(frozen=True)
class GenerationOptions:
    """How a language model answers."""

    max_new_tokens: int = 256
    """Tokens of an answer at most; one that is cut there has ``finish`` "length"."""
    temperature: float = 0.0
    """Logits are divided by it before a token is drawn; 0: always the likeliest token (greedy)."""
    top_p: float = 1.0
    """Drawn from the likeliest tokens that together have this probability (Holtzman et al. 2020); 1: from all."""
    seed: int = 0
    """Of the draws: each request's conversation draws from its own stream, known by seed and place."""
    stop: tuple[str, ...] = ()
    """Texts that end an answer, beside the template's end of turn; they are not part of it."""


@dataclass(frozen=True)
class Request:
    """Texts, or conversations, to answer in one go."""

    capability: Capability
    texts: Sequence[str] = ()
    conversations: Sequence[Conversation] = ()
    """generate: what each answer goes on from; score: what is read, its assistant's turns being scored."""
    options: GenerationOptions | None = None
    """generate: how; null: the defaults."""


@dataclass(frozen=True)
class Answer:
    """The answer to one text of a request; ``index`` is its place there (answers may come in any order)."""

    index: int
    values: tuple[float, ...]
    """predict: probabilities by label, or the predicted values; embed: the vector; logits: the network's outputs;
    score: the sum of weighted log-probabilities, the sum of weights, and the bytes of the scored text."""
    num_tokens: int = 0
    """Tokens that were read; generate: that were written."""
    num_truncated_tokens: int = 0
    """Tokens of the text that the model's context could not hold."""
    score: float | None = None
    """predict, of a model that rejects: how surely the text is one the model knows (``manifest.decision.reject``)."""
    text: str = ""
    """generate: the answer."""
    finish: Literal["stop", "length", ""] = ""
    """generate: it ended by itself or at a stop text, or at the most tokens it may have."""


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
