"""A piece of personal data in a text, the rules that find it, and which of two that overlap is kept."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

CERTAIN = 1.0
"""A check digit, or a form that nothing else has."""
SAID = 0.85
"""Words around it say what it is."""
LIKELY = 0.7
POSSIBLE = 0.5
"""Its form alone."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Where in a text something personal stands; the value itself is not kept."""

    start: int
    end: int
    entity: str
    score: float
    is_proven: bool = False
    """By a check digit or an unmistakable form."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a pattern matched."""

    text: str
    start: int
    end: int

    @property
    def value(self) -> str:
        """The matched text."""
        return self.text[self.start : self.end]

    def before(self, num_chars: int) -> str:
        """The characters before it."""
        return self.text[max(0, self.start - num_chars) : self.start]

    def after(self, num_chars: int) -> str:
        """The characters after it."""
        return self.text[self.end : self.end + num_chars]

    @property
    def stands_alone(self) -> bool:
        """Whether it is no part of a longer word or number: no letter or digit beside it, also not behind a dot."""
        before, after = self.before(2), self.after(2)
        return not (
            _is_word(before[-1:])
            or _is_word(after[:1])
            or (before[-1:] in _JOINS and before[:1].isdigit())
            or (after[:1] in _JOINS and after[1:].isdigit())
        )

    def narrowed(self, start: int, end: int) -> Candidate:
        """A part of it, by places within it."""
        return Candidate(self.text, self.start + start, self.start + end)

    def found(self, entity: str, score: float, is_proven: bool = False) -> Finding:
        """It is something personal."""
        return Finding(self.start, self.end, entity, score, is_proven)


_JOINS = {".", ",", "/", "-"}


def _is_word(char: str) -> bool:
    return char == "_" or char.isalnum()


Judge = Callable[[Candidate], Finding | None]


@dataclass(frozen=True)
class Rule:
    """How one kind is found: a cheap gate over whole columns, a pattern on the rows that pass, and a judge."""

    entities: tuple[str, ...]
    """What it may find."""
    gate: str
    """A pattern for Polars; a text without it has no such value."""
    pattern: Any
    """Compiled by RE2, so that no text takes it more than linear time; its first group is the value, if it has one."""
    judge: Judge


def resolved(findings: Iterable[Finding], is_kept: Callable[[str], bool]) -> list[Finding]:
    """The findings without overlaps, in the order of the text: proven before not, then longer, then earlier.

    ``is_kept`` tells the kinds that stay in the text: they never shield another one inside of them.
    """
    chosen: list[Finding] = []
    starts: list[int] = []
    for one in sorted(
        set(findings),
        key=lambda f: (is_kept(f.entity), not f.is_proven, f.start - f.end, f.start, -f.score, f.entity),
    ):
        place = bisect_left(starts, one.start)
        is_free_before = place == 0 or chosen[place - 1].end <= one.start
        if is_free_before and (place == len(chosen) or one.end <= starts[place]):
            chosen.insert(place, one)
            starts.insert(place, one.start)
    return chosen
