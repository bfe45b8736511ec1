"""A row on its way to the token files, and what becomes of rows that are too long."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from tunesmith.models.templates.render import Marked

Cut = Literal["truncate_left", "truncate_right"]
Numbers = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Sequence:
    """A token sequence with where each of its tokens stands in its text."""

    text: str
    tokens_T: Numbers
    weights_T: Numbers
    offsets_T2: Numbers
    """Start and end of each token in the text; a token that we put there has none: both are where it stands."""
    control_T: Numbers
    """Whether a token is no text."""
    num_cut: int = 0
    num_cut_trained: int = 0

    @property
    def num_tokens(self) -> int:
        """Its length."""
        return len(self.tokens_T)

    @property
    def num_trained(self) -> int:
        """Its tokens that count."""
        return int(np.count_nonzero(self.weights_T))

    @property
    def num_bytes(self) -> int:
        """UTF-8 bytes of the text whose tokens are predicted: what bits per byte are divided by.

        A byte belongs to the first token that reaches it, so that parts of a text add up to the text.
        """
        total = 0
        for start, end in self._runs():
            total += len(self.text[start:end].encode("utf-8", "surrogatepass"))
        return total

    def _runs(self) -> list[tuple[int, int]]:
        """Parts of the text between the first and the last token of each run of trained tokens that are text."""
        is_in_T = (self.weights_T != 0) & ~self.control_T
        edges = np.flatnonzero(np.diff(np.concatenate(([False], is_in_T, [False])).astype(np.int8)))
        runs = []
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            before, start = int(self.offsets_T2[first - 1, 1]) if first else 0, int(self.offsets_T2[first, 0])
            # A letter of several tokens is the first one's; white space that a tokenizer folds into a token is that
            # token's, though it lies before its place in the text.
            if before > start or self.text[before:start].isspace():
                start = before
            runs.append((start, int(self.offsets_T2[last - 1, 1])))
        return runs

    def part(self, first: int, last: int) -> Sequence:
        """The tokens from one place to another."""
        return replace(
            self,
            tokens_T=self.tokens_T[first:last],
            weights_T=self.weights_T[first:last],
            offsets_T2=self.offsets_T2[first:last],
            control_T=self.control_T[first:last],
        )

    def cut(self, most: int, policy: Cut, before: int) -> Sequence:
        """At most so many tokens; the ``before`` tokens that begin every text of this model stay at its start."""
        if self.num_tokens <= most:
            return self
        if policy == "truncate_right":
            kept = self.part(0, most)
        else:
            keep = min(before, most - 1)
            places = np.concatenate((np.arange(keep), np.arange(self.num_tokens - (most - keep), self.num_tokens)))
            kept = replace(
                self,
                tokens_T=self.tokens_T[places],
                weights_T=_first_is_seen(self.weights_T[places]),
                offsets_T2=self.offsets_T2[places],
                control_T=self.control_T[places],
            )
        return replace(
            kept,
            num_cut=self.num_tokens - kept.num_tokens,
            num_cut_trained=self.num_trained - kept.num_trained,
        )

    def chunks(self, most: int) -> list[Sequence]:
        """Parts of at most so many tokens; each begins with the last token of the one before, which is only seen, so
        that every token is predicted once and none from nothing."""
        if self.num_tokens <= most:
            return [self]
        found = []
        for first in range(0, self.num_tokens - 1, most - 1):
            chunk = self.part(first, first + most)
            found.append(replace(chunk, weights_T=_first_is_seen(chunk.weights_T)))
        return found


def _first_is_seen(weights_T: Numbers) -> Numbers:
    changed = weights_T.copy()
    changed[:1] = 0
    return changed


@dataclass(frozen=True)
class Kept:
    """A row that is trained or measured: one sequence, or several where it was split."""

    parts: tuple[Sequence, ...]
    marked: Marked | None = None
    """What the template made of it."""
    num_left: int = 0
    """Tokens of parts of it that did not fit."""
    is_split: bool = False
    has_control: bool = False
    """Its own words hold the text of a token that is no text (`</s>` in a page of HTML)."""


@dataclass(frozen=True)
class Left:
    """A row that is left out, and why."""

    reason: str
    num_tokens: int = 0
    is_untrained: bool = False
    """It could be read, and nothing in it is to be learned."""
