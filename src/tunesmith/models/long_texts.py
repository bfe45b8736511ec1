"""Texts of megabytes: the part of one that a model can read, and how many tokens the rest has.

A tokenizer needs some 200 bytes and far more than its usual time for each character of such a text as a whole. Cut
between words into segments it gives the same tokens, and no more than a few segments are worked on at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

LONG_CHARS = 100_000
"""Characters from which on a text is cut: as many as a request to the server may have in one."""
SEGMENT_CHARS = 8_192
"""Of a segment, up to twice as many where no place to cut comes: from 4,096 to 65,536 the time is the same."""
CONTEXT_CHARS = 64
"""Put before a segment and its tokens taken off again: a tokenizer may treat the beginning of a text in its own way."""
TOGETHER = 32
"""Segments worked on at once."""
BETWEEN_WORDS = re.compile(r"(?<=\S) (?=\S)")
PLACES = BETWEEN_WORDS, re.compile(r"(?<=\S)\s"), re.compile(r"(?<=[^\w\s])(?=\S)")
"""Where a text may be cut, the best first: at a space that stands alone, any white space, behind a mark."""
Count = Callable[[Sequence[str]], Sequence[int]]
"""Texts to the number of tokens in each, without those that a tokenizer adds."""


@dataclass(frozen=True)
class Part:
    """What is kept of a text: all that a model can read of it, and more."""

    text: str
    start: int = 0
    """Its first character in the whole text."""
    num_left_out: int = 0
    """Tokens of what is not kept."""


def part_read(text: str, max_tokens: int, side: str, count: Count) -> Part:
    """The segments of a long text that hold its first ``max_tokens`` tokens, or its last where ``side`` is `left`."""
    places = cuts(text)
    counts = _counts(text, places, count)
    if side == "left":
        kept = _enough(counts[::-1], max_tokens)
        start = places[len(counts) - kept]
        return Part(text[start:], start, sum(counts[: len(counts) - kept]))
    kept = _enough(counts, max_tokens)
    return Part(text[: places[kept]], 0, sum(counts[kept:]))


def cuts(text: str) -> list[int]:
    """Where the segments of a text begin, and where the last ends."""
    places = [0]
    while len(text) - places[-1] > 2 * SEGMENT_CHARS:
        first, last = places[-1] + SEGMENT_CHARS, places[-1] + 2 * SEGMENT_CHARS
        found = next((one for pattern in PLACES if (one := pattern.search(text, first, last))), None)
        places.append(last if found is None else found.start())
    return [*places, len(text)] if text else places


def _counts(text: str, places: Sequence[int], count: Count) -> list[int]:
    """The tokens of each segment."""
    found: list[int] = []
    segments = list(pairwise(places))
    for at in range(0, len(segments), TOGETHER):
        asked: list[str] = []
        for start, end in segments[at : at + TOGETHER]:
            # Before a cut inside a word the context would become one word with what follows.
            before = text[max(0, start - CONTEXT_CHARS) : start] if text[start].isspace() else ""
            asked += [before, before + text[start:end]]
        counts = count(asked)
        found += [whole - before for before, whole in zip(counts[::2], counts[1::2], strict=True)]
    return found


def _enough(counts: Sequence[int], max_tokens: int) -> int:
    """How many of the first segments have more tokens than are read; all of them where all have no more."""
    return next((place for place, num in enumerate(accumulate(counts), 1) if num > max_tokens), len(counts))
