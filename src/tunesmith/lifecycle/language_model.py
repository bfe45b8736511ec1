"""A trained language model by its reference, ready to answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol

import polars as pl

from tunesmith.core.conversation import ROLES, Conversation, Turn
from tunesmith.core.engine import Answer, Engine, GenerationOptions, Request, Stream
from tunesmith.core.errors import DataError, RecipeError
from tunesmith.data.formats.asking import conversation_asked
from tunesmith.governance.privacy.treat import treatment_of
from tunesmith.models.language_manifest import LanguageManifest
from tunesmith.texts.contents import repair_contents

Asked = str | Sequence[Mapping[str, Any]] | Mapping[str, Any] | Conversation
"""A prompt, a list of messages as OpenAI writes them, the same with ``tools``, or a conversation."""


@dataclass(frozen=True)
class Generation:
    """What a language model wrote to one prompt."""

    text: str
    finish: Literal["stop", "length"]
    """It ended by itself or at a stop text, or at the most tokens it may have."""
    num_tokens: int
    """Tokens that were written."""
    num_truncated_tokens: int = 0
    """Tokens at the start of the prompt that the model's context could not hold."""

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON values."""
        return asdict(self)


class Pieces(Protocol):
    """An answer in pieces, as it is written."""

    def __iter__(self) -> Iterator[str]: ...

    @property
    def num_truncated_tokens(self) -> int:
        """Tokens at the start of the prompt that the model's context could not hold; known from the beginning."""

    @property
    def num_tokens(self) -> int:
        """Tokens that are written so far."""

    @property
    def finish(self) -> Literal["stop", "length", ""]:
        """How the answer ended; empty while it goes on."""


class WritingEngine(Engine, Protocol):
    """An engine that also answers in pieces."""

    @property
    def notes(self) -> Sequence[str]:
        """What to know of the answers."""

    def stream(self, conversation: Conversation, options: GenerationOptions | None = None) -> Pieces:
        """The answer to one conversation in pieces."""

    def refusals(self, conversations: Sequence[Conversation]) -> list[str | None]:
        """For each conversation why it cannot be read; None where it can."""


class LanguageModel:
    """An opened language model; ``generate`` answers prompts in their order."""

    labels: tuple[str, ...] = ()
    """None: its answers are free."""

    def __init__(
        self, reference: str, manifest: LanguageManifest, engine: WritingEngine, key: bytes | None = None
    ) -> None:
        self.reference, self.task, self.max_tokens = reference, manifest.task, manifest.length.max_tokens
        self._repair, self._engine = manifest.repair, engine
        self.notes: Sequence[str] = engine.notes
        """What to know of the answers, as settings beside the weights that are not followed."""
        self._treatment = treatment_of(manifest.privacy, key)

    def generate(
        self,
        asked: Sequence[Asked],
        *,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        stop: Sequence[str] = (),
    ) -> list[Generation]:
        """An answer to each prompt, list of messages or conversation, in their order.

        Each draws from a stream of its own, known by ``seed`` and its place: what is asked together changes nothing.
        Raises: DataError for what is no conversation, or one that the model's template refuses.
        """
        if isinstance(asked, str):
            raise RecipeError("`generate` takes a list of prompts", seen="one text", next=f"generate([{asked[:20]!r}])")
        options = GenerationOptions(max_new_tokens, temperature, top_p, seed, tuple(stop))
        return self.answers([conversation_of(one) for one in asked], options)

    def answers(self, conversations: Sequence[Conversation], options: GenerationOptions) -> list[Generation]:
        """An answer to each conversation, in their order."""
        found: dict[int, Answer] = {}
        asked = self.as_learned(conversations)
        for answer in self._engine.submit(Request("generate", conversations=asked, options=options)):
            found[answer.index] = answer
        return [_generation(found[place]) for place in range(len(conversations))]

    def submit(self, request: Request) -> Stream:
        """The answers to a request whose conversations are as the model learned them (``as_learned``)."""
        return self._engine.submit(request)

    def stream(self, asked: Asked, options: GenerationOptions | None = None) -> Pieces:
        """The answer to one prompt, list of messages or conversation, in pieces as they are written.

        Raises: DataError for what is no conversation, or one that the model's template refuses.
        """
        [conversation] = self.as_learned([conversation_of(asked)])
        return self._engine.stream(conversation, options)

    def refusals(self, conversations: Sequence[Conversation]) -> list[str | None]:
        """For each conversation why the model cannot read it; None where it can."""
        return self._engine.refusals(self.as_learned(conversations))

    def as_learned(self, conversations: Sequence[Conversation]) -> list[Conversation]:
        """The conversations as the model reads them: without personal data where it was trained without, then
        repaired."""
        contents = [turn.content for one in conversations for turn in one.turns]
        if self._treatment is not None:
            contents = self._treatment.texts(contents)
        repaired = repair_contents(
            pl.Series("text", contents, dtype=pl.String),
            unicode=self._repair.unicode,
            whitespace=self._repair.whitespace,
        )
        texts = iter(repaired.to_list())
        return [
            replace(one, turns=tuple(replace(turn, content=next(texts)) for turn in one.turns)) for one in conversations
        ]

    def close(self) -> None:
        """Free the model's memory."""
        self._engine.close()


def conversation_of(asked: Asked) -> Conversation:
    """What is asked as a conversation: a text is a user's turn.

    Raises: DataError naming what is no turn.
    """
    if isinstance(asked, Conversation):
        return asked
    if isinstance(asked, str):
        return Conversation((Turn("user", asked),))
    tools: Any = ()
    messages: Any = asked
    if isinstance(asked, Mapping):
        messages, tools = asked.get("messages"), asked.get("tools") or ()
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        raise DataError("this is no list of messages", seen=repr(messages)[:80], allowed=_MESSAGE)
    for number, message in enumerate(messages, 1):
        if not isinstance(message, Mapping):
            raise DataError(f"message {number} is no object", seen=repr(message)[:80], allowed=_MESSAGE)
        if message.get("role") not in ROLES:
            raise DataError(
                f"message {number} has no role that is known", seen=repr(message.get("role")), allowed=", ".join(ROLES)
            )
        if not isinstance(message.get("content", ""), str | None):
            raise DataError(f"the content of message {number} is no text", seen=repr(message["content"])[:80])
    return conversation_asked(list(messages), list(tools) if isinstance(tools, Sequence) else tools)


def _generation(answer: Answer) -> Generation:
    finish: Literal["stop", "length"] = "stop" if answer.finish == "stop" else "length"
    return Generation(answer.text, finish, answer.num_tokens, answer.num_truncated_tokens)


_MESSAGE = 'a list of {"role": "user", "content": "…"}'
