"""Words that a model did not read, though they stand where it reads: its tokenizer does not know them.

A tokenizer with a fixed vocabulary puts one sign, such as `[UNK]`, in place of every word that it cannot spell (an
emoji, a rare script, but also a whole word that an emoji sticks to), and passes over some characters without any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tunesmith.explanation.words import Unknown, Word, read_part, spans_of
from tunesmith.models.tokenizer import Pieces

_NOT_READ, _READ, _SIGN = range(3)


def with_unknown(text: str, words: Sequence[Word], pieces: Pieces) -> tuple[Word, ...]:
    """The words that were explained, the unknown ones marked, and with them those of which nothing at all is read."""
    marks = bytearray(len(text))  # _NOT_READ
    for (start, end), is_unknown in zip(pieces.spans, pieces.is_unknown, strict=True):
        marks[start:end] = bytes([_SIGN if is_unknown else _READ]) * (end - start)
    found = [replace(word, unknown=_unknown(marks[word.start : word.end])) for word in words]
    for word in words:
        marks[word.start : word.end] = bytes([_READ]) * (word.end - word.start)
    within = read_part(text, pieces.spans) if pieces.num_cut else (0, len(text))
    passed = [(start, end) for start, end in spans_of(text, within) if not any(marks[start:end])]
    found += [Word(text[start:end], start, end, 0.0, "whole") for start, end in passed]
    return tuple(sorted(found, key=lambda word: word.start))


def _unknown(marks: bytearray) -> Unknown | None:
    """How far a word is unknown, from what each of its characters is to the tokenizer."""
    if _READ in marks:
        return "part" if _SIGN in marks else None
    return "whole"
