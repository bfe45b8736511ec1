"""What a language model reads: conversations and texts as token ids, within its context.

The template of training renders them, so that a model is asked in the form it has learned. An encoder-decoder has no
use for one: it reads the contents of the turns, a line each, and writes the answer apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from tunesmith.core.conversation import Conversation, Turn
from tunesmith.core.errors import DataError, TunesmithError
from tunesmith.models.templates.render import Marked, Refused, Renderer
from tunesmith.models.templates.template import ChatTemplate
from tunesmith.models.templates.vocabulary import Vocabulary

_Found = TypeVar("_Found", str, Marked)
PROBE = Conversation((Turn("user", "Question"), Turn("assistant", "Answer")))


class Reader:
    """Prompts and rows of one model; ``close`` ends the template's process."""

    def __init__(
        self, template: ChatTemplate, vocabulary: Vocabulary, *, max_positions: int | None, is_encoder_decoder: bool
    ) -> None:
        """``max_positions``: places the model can read; None: there is no last one."""
        self.template, self.vocabulary = template, vocabulary
        self.max_positions, self.is_encoder_decoder = max_positions, is_encoder_decoder
        self._renderer = Renderer(template, vocabulary)

    def close(self) -> None:
        """End the template's process."""
        self._renderer.close()

    def end_of_turn(self) -> str:
        """What the template writes behind an answer; empty where it writes nothing, or shows no such conversation."""
        if self.is_encoder_decoder:
            return ""
        [found] = self._renderer.marked([(PROBE.messages_json(), None)], "assistant")
        if isinstance(found, Refused) or not found.spans:
            return ""
        start, end, _ = found.spans[-1]
        return found.text[start:end].partition(PROBE.answer)[2].strip()

    def refusals(self, conversations: Sequence[Conversation]) -> list[str | None]:
        """For each conversation why it cannot be read; None where it can."""
        return [one.reason if isinstance(one, Refused) else None for one in self.prompts(conversations)]

    def prompts(self, conversations: Sequence[Conversation]) -> list[str | Refused]:
        """The text the model reads of each conversation, the request for an answer behind it; or why it cannot."""
        if self.is_encoder_decoder:
            return [_contents(one) for one in conversations]
        return self._renderer.prompts(conversations)

    def prompt_ids(self, conversations: Sequence[Conversation]) -> list[list[int]]:
        """The tokens the model reads of conversations, whole.

        Raises: DataError for one that the template refuses.
        """
        texts = [_accepted(one, place) for place, one in enumerate(self.prompts(conversations))]
        if self.is_encoder_decoder:
            return [self.text_ids(text) for text in texts]
        return [one.ids or self._empty() for one in self.vocabulary.encode(texts)]

    def room(self, prompt: list[int], max_new_tokens: int) -> tuple[list[int], int]:
        """The part of a prompt that is read, and how many tokens its answer may have.

        An answer is left a quarter of the context at most before the prompt loses its start (but not its first token,
        which many models need).
        """
        limit = self.max_positions
        if limit is None:
            return prompt, max_new_tokens
        if self.is_encoder_decoder:  # prompt and answer have places of their own
            return _without_start(prompt, limit), min(max_new_tokens, limit)
        room = min(max_new_tokens, max(1, limit // 4))
        kept = _without_start(prompt, limit - room)
        return kept, min(max_new_tokens, limit - len(kept))

    def text_ids(self, text: str) -> list[int]:
        """The tokens of a text as it stands: as the tokenizer begins it, and for an encoder also as it ends it."""
        if self.is_encoder_decoder:
            ids: list[int] = self.vocabulary.fast.encode(text, add_special_tokens=True).ids
        else:
            [encoded] = self.vocabulary.encode([text])
            ids = [*self.vocabulary.before, *encoded.ids]
        return ids or self._empty()

    def _empty(self) -> list[int]:
        """What stands for no text at all: a decoder needs a token to go on from."""
        found = self.vocabulary.bos if self.vocabulary.bos is not None else self.vocabulary.eos
        return [0 if found is None else found]

    def text_row(self, text: str) -> dict[str, Any]:
        """A text as a row to be scored, every token of it.

        Raises: TunesmithError of an encoder-decoder.
        """
        if self.is_encoder_decoder:
            raise TunesmithError(
                "an encoder-decoder has no probability for a text alone", next="score conversations instead"
            )
        ids = self.text_ids(text)
        num_before = max(1, len(self.vocabulary.before))
        return {"tokens": ids, "weights": [0.0] * num_before + [1.0] * (len(ids) - num_before)}

    def rows(self, conversations: Sequence[Conversation]) -> list[dict[str, Any]]:
        """Conversations as rows to be scored: what assistants said, with the end of each turn; of an encoder-decoder
        the last answer.

        Raises: DataError for one that the template refuses.
        """
        if self.is_encoder_decoder:
            sources, answers = (
                self.prompt_ids([one.prompt for one in conversations]),
                [one.answer for one in conversations],
            )
            targets = [self.text_ids(answer) for answer in answers]
            return [
                {"source": source, "tokens": target, "weights": [1.0] * len(target)}
                for source, target in zip(sources, targets, strict=True)
            ]
        items = [(one.messages_json(), one.tools_json()) for one in conversations]
        marked = self._renderer.marked(items, "assistant")
        return [self._row(_accepted(one, place)) for place, one in enumerate(marked)]

    def _row(self, marked: Marked) -> dict[str, Any]:
        [encoded] = self.vocabulary.encode([marked.text])
        ids, weights = list(encoded.ids), [_weight(one, marked.spans) for one in encoded.offsets]
        if not marked.is_closed and self.vocabulary.eos is not None:
            ids.append(self.vocabulary.eos)
            weights.append(marked.spans[-1][2] if marked.spans else 0.0)
        return {"tokens": ids, "weights": [0.0, *weights[1:]]}

    def apart(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row as the model reads it: an encoder-decoder's target begins where its weights do."""
        if not self.is_encoder_decoder or "source" in row:
            return dict(row)
        ids, weights = list(row["tokens"]), list(row["weights"])
        cut = next((at for at, one in enumerate(weights) if one), len(weights))
        return {"source": ids[:cut], "tokens": ids[cut:], "weights": weights[cut:]}

    def fitted(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row without the end that the model cannot read."""
        limit = self.max_positions
        return {name: one[:limit] for name, one in row.items()}

    def num_bytes(self, ids: Sequence[int], weights: Sequence[float]) -> int:
        """The UTF-8 bytes of the weighted text: in its whole, as a token alone may be a part of a character."""
        ends = [0, *(at for at in range(1, len(ids)) if bool(weights[at]) != bool(weights[at - 1])), len(ids)]
        total = 0
        for start, end in itertools.pairwise(ends):
            if start < end and weights[start]:
                before = self.text_of(ids[:start])
                total += len(self.text_of(ids[:end]).encode()) - len(before.encode())
        return total

    def text_of(self, ids: Sequence[int]) -> str:
        """The text of tokens, without special ones."""
        text: str = self.vocabulary.fast.decode(list(ids), skip_special_tokens=True)
        return text


def _contents(conversation: Conversation) -> str | Refused:
    if conversation.tools or any(turn.tool_calls for turn in conversation.turns):
        return Refused("calls of tools, which an encoder-decoder has no form for")
    return "\n".join(turn.content for turn in conversation.turns)


def _accepted(found: _Found | Refused, place: int) -> _Found:
    if isinstance(found, Refused):
        raise DataError("a conversation cannot be read", seen=f"number {place}: {found.reason}")
    return found


def _without_start(prompt: list[int], limit: int) -> list[int]:
    return prompt if len(prompt) <= limit else [*prompt[:1], *prompt[len(prompt) - limit + 1 :]][:limit]


def _weight(offsets: tuple[int, int], spans: Sequence[tuple[int, int, float]]) -> float:
    start, end = offsets[0], max(offsets[1], offsets[0] + 1)
    return next((weight for first, last, weight in spans if end > first and start < last), 0.0)
