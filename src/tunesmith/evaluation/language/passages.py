"""Long texts in passages that a context holds: together they are the text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from tunesmith.core.engine import Request
from tunesmith.evaluation.answering import Submits, Told, every_answer

PASSAGE_BYTES = 800
"""A passage is at most so long: about 200 tokens, which every context holds, and far more than a model needs to find
its feet."""
SLACK = 0.9
"""A passage that was too long is cut into parts that would fill so much of the context were all alike."""
Score = tuple[float, float, float]
_PIECES = re.compile(r"\S+\s*|\s+")


def passages(text: str, max_bytes: int = PASSAGE_BYTES) -> Iterator[str]:
    """The text in passages, cut at white space where there is some; together they are the text."""
    held, size = "", 0
    for word in _PIECES.findall(text):
        for piece in _bounded(word, max_bytes):
            num = len(piece.encode())
            if size + num > max_bytes and held:
                yield held
                held, size = "", 0
            held, size = held + piece, size + num
    if held:
        yield held


def scored_whole(engine: Submits, texts: Sequence[str], context: Told, note: str) -> list[Score]:
    """Log-probability, weight and bytes of each text, in as few passages as the context allows."""
    sums = [[0.0, 0.0, 0.0] for _ in texts]
    waiting = list(enumerate(texts))
    while waiting:
        answers = every_answer(engine, Request("score", texts=[text for _, text in waiting]), context, note)
        longer: list[tuple[int, str]] = []
        for (place, text), answer in zip(waiting, answers, strict=True):
            if answer.num_truncated_tokens and len(text) > 1:
                num_parts = 1 + answer.num_truncated_tokens / max(1.0, SLACK * answer.num_tokens)
                size = max(4, math.floor(len(text.encode()) / max(1.1, num_parts)))
                longer += [(place, part) for part in passages(text, size)]
                continue
            sums[place] = [one + more for one, more in zip(sums[place], answer.values, strict=True)]
        waiting = longer
    return [(one, two, three) for one, two, three in sums]


def _bounded(word: str, max_bytes: int) -> Sequence[str]:
    """A word in parts of at most so many bytes: most are one."""
    if len(word.encode()) <= max_bytes:
        return (word,)
    size = max(1, max_bytes // 4)  # no character has more bytes
    return [word[at * size : (at + 1) * size] for at in range(math.ceil(len(word) / size))]
