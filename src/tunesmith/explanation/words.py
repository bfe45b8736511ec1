"""Words as people see them, and what is left of a text without some of them.

A word is what stands between white space, punctuation at its ends apart; where a script writes without spaces, a
character is one. A piece of a tokenizer that spans several words makes them one.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Literal

Span = tuple[int, int]
"""Start and end in the text, in characters."""
Unknown = Literal["part", "whole"]

_RUN = re.compile(r"\S+")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True)
class Word:
    """A word of a text and what it adds to the answer."""

    text: str
    start: int
    """First character in the text."""
    end: int
    """Behind the last one."""
    value: float
    """What it adds, in the unit of its attribution: above 0 it speaks for the answer, below against it."""
    unknown: Unknown | None = None
    """Whether the tokenizer does not know it, or a part of it: the model read a sign for anything unknown, or nothing,
    in its place, and ``value`` is what that adds. None where it was read as it stands."""


def spans_of(text: str, within: Span | None = None) -> list[Span]:
    """The words of a text in their order; of the part ``within`` alone, which begins and ends between words."""
    runs = _RUN.finditer(text) if within is None else _RUN.finditer(text, *within)
    return [span for run in runs for span in _in_run(text, run.start(), run.end())]


def _bounds(pieces: Sequence[Span]) -> Span:
    """Where the first of the pieces begins and the last ends; the text's beginning twice where all are empty."""
    read = [span for span in pieces if span[1] > span[0]]
    return min((start for start, _ in read), default=0), max((end for _, end in read), default=0)


def _around(text: str, pieces: Sequence[Span]) -> Span:
    """The part of a text that holds these pieces, from white space to white space.

    A model reads a page of a text of megabytes: the words of the others are nobody's.
    """
    first, last = _bounds(pieces)
    while first and not text[first - 1].isspace():
        first -= 1
    while 0 < last < len(text) and not text[last].isspace():
        last += 1
    return first, last


def _in_run(text: str, start: int, end: int) -> Iterator[Span]:
    first, last = start, end
    while first < last and _is_mark(text[first]):
        yield first, first + 1
        first += 1
    tail: list[Span] = []
    while last > first and _is_mark(text[last - 1]):
        tail.append((last - 1, last))
        last -= 1
    if first < last:
        yield from _cut(text, first, last)
    yield from reversed(tail)


def _cut(text: str, start: int, end: int) -> Iterator[Span]:
    """A word, or in a script without spaces its characters, marks beside the character that they stand on."""
    at = start
    for place in range(start, end):
        is_new = _UNSPACED.match(text[place]) or (place > start and _UNSPACED.match(text[place - 1]))
        if is_new and place > at and unicodedata.category(text[place])[0] != "M":
            yield at, place
            at = place
    yield at, end


def _is_mark(char: str) -> bool:
    return unicodedata.category(char)[0] in "PS"


def gathered(text: str, pieces: Sequence[Span], values: Sequence[float]) -> tuple[list[Word], float]:
    """The words that were read, each with the sum of its pieces' values, and what belongs to no word."""
    units = spans_of(text, _around(text, pieces))
    starts = [start for start, _ in units]
    owner: list[int | None] = []
    joined: set[int] = set()
    for start, end in pieces:
        if not units or end <= start:
            owner.append(None)
            continue
        first = max(0, bisect_right(starts, start) - 1)
        if units[first][1] <= start:  # white space before a word belongs to the word
            first = min(first + 1, len(units) - 1)
        owner.append(first)
        last = max(first, bisect_right(starts, end - 1) - 1)
        joined.update(range(first + 1, last + 1))
    group: list[int] = []
    for place in range(len(units)):
        group.append(group[-1] if place in joined else place)
    sums: dict[int, float] = {}
    rest = 0.0
    for owned, value in zip(owner, values, strict=True):
        if owned is None:
            rest += value
        else:
            sums[group[owned]] = sums.get(group[owned], 0.0) + value
    ends = {first: end for first, (_, end) in zip(group, units, strict=True)}  # the last of a group stands
    words = [
        Word(text[starts[place] : ends[place]], starts[place], ends[place], value)
        for place, value in sorted(sums.items())
    ]
    return words, rest


def read_part(text: str, pieces: Sequence[Span]) -> Span:
    """Where the words begin and end of which at least these pieces are read; the text's beginning where none is."""
    first, last = _bounds(pieces)
    words = [span for span in spans_of(text, _around(text, pieces)) if span[1] > first and span[0] < last]
    return (words[0][0], words[-1][1]) if words else (first, last)


def runs_of(spans: Sequence[Span], most: int) -> list[Span]:
    """The words, or of more than ``most`` of them as many runs of neighbours."""
    size = -(-len(spans) // most) if spans else 1
    return [(part[0][0], part[-1][1]) for part in (spans[at : at + size] for at in range(0, len(spans), size))]


def without(text: str, spans: Sequence[Span], gone: Set[int]) -> str:
    """The text without the words at these places; what stands around them stays apart if it was."""
    if not gone:
        return text
    kept: list[str] = [text[: spans[0][0]]]
    for place, (start, _) in enumerate(spans):
        end = spans[place + 1][0] if place + 1 < len(spans) else len(text)
        part = text[start:end]
        if place not in gone:
            kept.append(part)
        elif part[-1:].isspace() and kept[-1] and not kept[-1][-1:].isspace():
            kept.append(" ")
    return "".join(kept).strip()
