"""Conversations as token sequences: rendered, marked, cut to length."""

from __future__ import annotations

import json
from collections.abc import Sequence as Several
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from tunesmith.core.errors import ModelError
from tunesmith.models.templates.render import Item, Marked, Refused, Renderer
from tunesmith.models.templates.vocabulary import Vocabulary
from tunesmith.training.language.built import Kept, Left, Sequence
from tunesmith.training.language.masks import weights_of
from tunesmith.training.language.tokens_config import TokensPolicy, TrainOn

NOTHING = "nothing in it is to be learned"


@dataclass(frozen=True)
class Conversations:
    """Makes sequences of conversations."""

    renderer: Renderer
    vocabulary: Vocabulary
    train_on: TrainOn
    max_tokens: int
    policy: TokensPolicy

    def rows(self, table: Several[dict[str, Any]]) -> list[Kept | Left]:
        """What becomes of each row, in order."""
        items = [(row["messages"], row["tools"]) for row in table]
        found: list[Kept | Left] = []
        for item, one in zip(items, self._sequences(items), strict=True):
            found.append(one if isinstance(one, Left) else self._fitted(item, *one))
        return found

    def _sequences(self, items: Several[Item]) -> list[tuple[Sequence, Marked] | Left]:
        """The sequence of each conversation with what the template made; or why there is none."""
        answered = self.renderer.marked(items, self.train_on)
        marked = [one for one in answered if isinstance(one, Marked)]
        encoded = iter(zip(marked, self.vocabulary.encode([one.text for one in marked]), strict=True))
        found: list[tuple[Sequence, Marked] | Left] = []
        for one in answered:
            if isinstance(one, Refused):
                found.append(Left(one.reason, is_untrained=one.reason == "no answer to train on"))
            else:
                marks, encoding = next(encoded)
                found.append((self._sequence(marks, encoding), marks))
        return found

    def _sequence(self, marked: Marked, encoding: Any) -> Sequence:
        offsets_T2 = np.array(encoding.offsets, np.int64).reshape(-1, 2)
        rest = 1.0 if self.train_on == "all" else 0.0
        made = Sequence(
            marked.text,
            np.array(encoding.ids, np.int32),
            weights_of(offsets_T2, marked.spans, rest),
            offsets_T2,
            np.array(encoding.special_tokens_mask, bool) | np.isin(encoding.ids, self._control),
        )
        return made if marked.is_closed else self._closed(made, marked.spans[-1][2])

    @cached_property
    def _control(self) -> list[int]:
        ids = [self.vocabulary.id_of(token) for token in self.vocabulary.control]
        return [one for one in ids if one is not None and one != self.vocabulary.unknown]

    def _closed(self, made: Sequence, weight: float) -> Sequence:
        """A sequence whose template ends the last answer with no token, with the end token behind it."""
        eos = self.vocabulary.eos
        if eos is None:
            raise ModelError(
                "answers would have no end: the template puts no token behind them, and the tokenizer has no end token",
                seen=f"tokenizer_config.json without eos_token, template {self.renderer.template.source}",
                next="name the end token as `eos_token` in tokenizer_config.json, or a template that ends its turns",
            )
        end = len(made.text)
        return replace(
            made,
            tokens_T=np.append(made.tokens_T, np.int32(eos)),
            weights_T=np.append(made.weights_T, np.float32(weight)),
            offsets_T2=np.concatenate((made.offsets_T2, [[end, end]])),
            control_T=np.append(made.control_T, True),
        )

    def _fitted(self, item: Item, made: Sequence, marked: Marked) -> Kept | Left:
        if made.num_trained == 0:
            return Left(NOTHING, made.num_tokens, is_untrained=True)
        if made.num_tokens <= self.max_tokens:
            return Kept((made,), marked)
        if self.policy == "split":
            return self._split(item, made, marked)
        if self.policy == "truncate_left" or self.policy == "truncate_right":  # mypy narrows by it
            before = 1 if made.num_tokens and int(made.tokens_T[0]) == self.vocabulary.bos else 0
            cut = made.cut(self.max_tokens, self.policy, before)
            if cut.num_trained == 0:
                return Left(f"its answers lie beyond {self.max_tokens:,} tokens", made.num_tokens, is_untrained=True)
            return Kept((cut,), marked)
        return Left(f"longer than {self.max_tokens:,} tokens", made.num_tokens)

    def _split(self, item: Item, whole: Sequence, marked: Marked) -> Kept | Left:
        """Several conversations of whole exchanges, each as many as fit, each with the system turns."""
        head, exchanges = _exchanges(json.loads(item[0]))
        pieces: list[tuple[list[Any], Sequence]] = []
        fits: tuple[list[Any], Sequence] | None = None
        num_left = 0
        for exchange in exchanges:
            grown = self._piece(head, [*fits[0], *exchange], item[1]) if fits else None
            if grown is None:
                pieces += [fits] if fits else []
                grown = self._piece(head, exchange, item[1])
                if grown is None:
                    num_left += self._length(exchange, item[1])
            fits = grown
        pieces += [fits] if fits else []
        kept = tuple(one for _, one in pieces if one.num_trained)
        if not kept:
            return Left(f"an exchange is longer than {self.max_tokens:,} tokens", whole.num_tokens)
        return Kept(kept, marked, num_left, is_split=True)

    def _piece(self, head: list[Any], turns: list[Any], tools: str | None) -> tuple[list[Any], Sequence] | None:
        """Turns with their sequence, None where they do not fit."""
        [made] = self._sequences([(json.dumps([*head, *turns], ensure_ascii=False), tools)])
        if isinstance(made, Left) or made[0].num_tokens > self.max_tokens:
            return None
        return turns, made[0]

    def _length(self, turns: list[Any], tools: str | None) -> int:
        [made] = self._sequences([(json.dumps(turns, ensure_ascii=False), tools)])
        return made.num_tokens if isinstance(made, Left) else made[0].num_tokens


def _exchanges(messages: list[Any]) -> tuple[list[Any], list[list[Any]]]:
    """System turns at the start, then what begins with a user's turn and goes on to the next one after an answer."""
    num_head = next((place for place, one in enumerate(messages) if one["role"] != "system"), len(messages))
    turns = messages[num_head:]
    starts = [place + 1 for place, (one, then) in enumerate(pairwise(turns)) if _is_new(one, then)]
    return messages[:num_head], [turns[first:last] for first, last in pairwise([0, *starts, len(turns)])]


def _is_new(one: dict[str, Any], then: dict[str, Any]) -> bool:
    return bool(then["role"] == "user" and one["role"] != "user")
