"""Texts as token sequences for continued pre-training: every token learned once, no text seeing another."""

from __future__ import annotations

from collections.abc import Sequence as Several
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tunesmith.core.errors import ModelError
from tunesmith.models.templates.vocabulary import Vocabulary
from tunesmith.training.language.built import Kept, Left, Sequence
from tunesmith.training.language.tokens_config import TokensPolicy


@dataclass(frozen=True)
class Texts:
    """Makes sequences of texts."""

    vocabulary: Vocabulary
    max_tokens: int
    policy: TokensPolicy
    is_encoder: bool = False

    def rows(self, table: Several[dict[str, Any]]) -> list[Kept | Left]:
        """What becomes of each row, in order."""
        before, after = self._around()
        texts = [row["text"] or "" for row in table]
        return [
            self._fitted(self._sequence(text, encoding, before, after), len(before), len(after))
            if encoding.ids
            else Left("no text", is_untrained=True)
            for text, encoding in zip(texts, self.vocabulary.encode(texts), strict=True)
        ]

    def _around(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The tokens before and after each text: those of an encoder's tokenizer; a decoder's start and end.

        Where texts have no start token, the end token stands before them, as between the texts of pre-training: so
        the first token is predicted too.
        """
        if self.is_encoder:
            return self.vocabulary.before, self.vocabulary.after
        eos = self.vocabulary.eos
        if eos is None:
            raise ModelError(
                "texts would have no end: the tokenizer has no end token",
                seen="tokenizer_config.json without eos_token",
                next="name the end token as `eos_token` in tokenizer_config.json",
            )
        bos = self.vocabulary.bos if self.vocabulary.has_bos else None
        return (eos if bos is None else bos,), (eos,)

    def _sequence(self, text: str, encoding: Any, before: tuple[int, ...], after: tuple[int, ...]) -> Sequence:
        end = len(text)
        offsets = [*[(0, 0)] * len(before), *encoding.offsets, *[(end, end)] * len(after)]
        num_text = len(encoding.ids)
        weights_T = np.ones(len(before) + num_text + len(after), np.float32)
        weights_T[: len(before)] = 0
        if self.is_encoder:
            weights_T[len(before) + num_text :] = 0
        control_T = np.zeros(len(weights_T), bool)
        control_T[: len(before)] = True
        control_T[len(before) + num_text :] = True
        ids = np.array([*before, *encoding.ids, *after], np.int32)
        return Sequence(text, ids, weights_T, np.array(offsets, np.int64).reshape(-1, 2), control_T)

    def _fitted(self, made: Sequence, num_before: int, num_after: int) -> Kept | Left:
        if made.num_tokens <= self.max_tokens:
            return Kept((made,))
        if self.policy == "split":
            parts = self._framed(made, num_before, num_after) if self.is_encoder else made.chunks(self.max_tokens)
            return Kept(tuple(parts), is_split=True)
        if self.policy == "truncate_left" or self.policy == "truncate_right":  # mypy narrows by it
            return Kept((made.cut(self.max_tokens, self.policy, num_before),))
        return Left(f"longer than {self.max_tokens:,} tokens", made.num_tokens)

    def _framed(self, made: Sequence, num_before: int, num_after: int) -> list[Sequence]:
        """Parts of an encoder's text, each with the tokens that its tokenizer puts around a text."""
        room = self.max_tokens - num_before - num_after
        parts = []
        for first in range(num_before, made.num_tokens - num_after, room):
            last = min(first + room, made.num_tokens - num_after)
            places = np.concatenate(
                (
                    np.arange(num_before),
                    np.arange(first, last),
                    np.arange(made.num_tokens - num_after, made.num_tokens),
                )
            )
            part = replace(
                made,
                tokens_T=made.tokens_T[places],
                weights_T=made.weights_T[places],
                offsets_T2=made.offsets_T2[places],
                control_T=made.control_T[places],
            )
            parts.append(part)
        return parts
