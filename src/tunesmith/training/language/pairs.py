"""Prompts and answers of an encoder-decoder as token sequences: first what is read, then what is written."""

from __future__ import annotations

from collections.abc import Sequence as Several
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.core.conversation import Conversation
from tunesmith.core.errors import ModelError
from tunesmith.models.templates.vocabulary import Vocabulary
from tunesmith.training.language.built import Kept, Left, Sequence
from tunesmith.training.language.conversations import NOTHING
from tunesmith.training.language.tokens_config import TokensPolicy


@dataclass(frozen=True)
class Pairs:
    """Makes sequences of conversations with one answer each: their last.

    The encoder reads what comes before it, the contents in lines; both sides are ended as the tokenizer ends a text.
    Tokens of the source have weight 0, those of the target the turn's weight: where the weights begin, the target does.
    """

    vocabulary: Vocabulary
    max_tokens: int
    policy: TokensPolicy

    def rows(self, table: Several[dict[str, Any]]) -> list[Kept | Left]:
        """What becomes of each row, in order."""
        return [self._row(Conversation.read(row["messages"], row["tools"])) for row in table]

    def _row(self, asked: Conversation) -> Kept | Left:
        last = max((at for at, turn in enumerate(asked.turns) if turn.role == "assistant"), default=None)
        if last is None:
            return Left("no answer to train on", is_untrained=True)
        turn = asked.turns[last]
        if asked.tools or any(one.tool_calls for one in asked.turns):
            return Left("calls of tools, which an encoder-decoder has no form for")
        weight = 1.0 if turn.weight is None else turn.weight
        if weight == 0 or not turn.content:
            return Left(NOTHING, is_untrained=True)
        source, target = source_text(asked), turn.content
        read, written = self.vocabulary.fast.encode_batch([source, target], add_special_tokens=True)
        source_ids, target_ids, num_cut = list(read.ids), self._ended(written.ids), 0
        longest = max(len(source_ids), len(target_ids))
        if longest > self.max_tokens:
            if self.policy not in ("truncate_left", "truncate_right"):
                return Left(f"longer than {self.max_tokens:,} tokens", longest)
            whole = len(source_ids) + len(target_ids)
            source_ids = self._cut(source_ids, "left" if self.policy == "truncate_left" else "right")
            target_ids = self._cut(target_ids, "right")
            num_cut = whole - len(source_ids) - len(target_ids)
        num_source, num_target = len(source_ids), len(target_ids)
        weights_T = np.concatenate((np.zeros(num_source, np.float32), np.full(num_target, weight, np.float32)))
        tokens_T = np.array([*source_ids, *target_ids], np.int32)
        # Places are those of the beginning of each side; a cut at the left shows another part of the source.
        read_T2 = _places(read.offsets, num_source, 0, len(source))
        written_T2 = _places(written.offsets, num_target, len(source), len(target))
        offsets_T2 = np.array([*read_T2, *written_T2], np.int64).reshape(-1, 2)
        control_T = np.isin(tokens_T, [one for one in map(self.vocabulary.id_of, self.vocabulary.control) if one])
        return Kept((Sequence(source + target, tokens_T, weights_T, offsets_T2, control_T, num_cut),))

    def _ended(self, ids: list[int]) -> list[int]:
        """A target with its end: not every tokenizer puts one there."""
        eos = self.vocabulary.eos
        if eos is None:
            raise ModelError(
                "answers would have no end: the tokenizer has no end token",
                seen="tokenizer_config.json without eos_token",
                next="name the end token as `eos_token` in tokenizer_config.json",
            )
        return ids if ids and ids[-1] == eos else [*ids, eos]

    def _cut(self, ids: list[int], side: str) -> list[int]:
        """At most ``max_tokens`` ids, the tokenizer's own around them kept."""
        if len(ids) <= self.max_tokens:
            return ids
        before = len(self.vocabulary.before)
        after = 1 if ids[-1] == self.vocabulary.eos else len(self.vocabulary.after)
        room, inside = self.max_tokens - before - after, ids[before : len(ids) - after]
        inside = inside[-room:] if side == "left" else inside[:room]
        return [*ids[:before], *inside, *ids[len(ids) - after :]]


def _places(offsets: list[tuple[int, int]], number: int, start: int, size: int) -> list[tuple[int, int]]:
    """So many places in a text that begins at ``start``; behind its tokens the place is its end."""
    found = [(start + first, start + last) for first, last in offsets[:number]]
    return found + [(start + size, start + size)] * (number - len(found))


def source_text(asked: Conversation) -> str:
    """What an encoder reads of a conversation: the contents before its last answer, a line each."""
    return "\n".join(turn.content for turn in asked.prompt.turns)
