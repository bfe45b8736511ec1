"""What an erasure looks for: a person's rows, and what of their texts is found in no row of anybody else."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

ERASED = "[erased]"
LEAST_CHARS = 6
"""A shorter text or identifier is looked for in rows alone: elsewhere it would be found in anything."""
LEAST_ID_CHARS = 16
"""Row ids that are hashes are told from any other text."""
FRAGMENT_CHARS = 40
"""Texts are shown cut off in reports, so their beginning counts as they do."""
_WORD = re.compile(r"\w[\w'’.@+-]*\w", re.UNICODE)


@dataclass
class Person:
    """One person's traces."""

    subject: str
    """The keyed hash."""
    plain: str
    """The identifier as it was given."""
    also: tuple[str, ...] = ()
    """Further texts that stand for the person, such as a name, to be taken out of other people's rows."""
    row_ids: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    """Cells of the person's rows that no other row holds, and the beginnings of long ones."""
    words: set[str] = field(default_factory=set)
    """Words that look like names, numbers or pseudonyms and are in no other row."""
    shared: int = 0
    """Cells that rows of others hold as well: those stay there."""

    def to_dict(self) -> dict[str, Any]:
        """The person as JSON values."""
        return {name: sorted(one) if isinstance(one, set) else one for name, one in asdict(self).items()}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Person:
        """The person of such values."""
        sets = {name: set(values[name]) for name in ("row_ids", "texts", "words")}
        return cls(**{**values, **sets, "also": tuple(values["also"])})

    def joined(self, other: Person) -> Person:
        """What either knows: an erasure that was cut off remembers what is gone by now."""
        sets = {name: getattr(self, name) | getattr(other, name) for name in ("row_ids", "texts", "words")}
        also = tuple(dict.fromkeys([*self.also, *other.also]))
        return Person(self.subject, self.plain, also, shared=max(self.shared, other.shared), **sets)

    # In texts

    @property
    def is_plain_searched(self) -> bool:
        """Whether the identifier is long enough to be looked for in texts."""
        return len(self.plain) >= LEAST_CHARS

    @cached_property
    def exact(self) -> list[str]:
        """What is looked for as it stands, the longest first."""
        return sorted({*self.texts, *self.also}, key=lambda one: (-len(one), one))

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        parts = [re.escape(one) for one in self.exact]
        parts += [rf"(?<!\w){re.escape(self.plain)}(?!\w)"] if self.is_plain_searched else []
        return re.compile("|".join(parts)) if parts else None

    @cached_property
    def folded(self) -> frozenset[str]:
        """The words in the form in which tables of words have them."""
        return frozenset(one.casefold() for one in self.words)

    def redacted(self, text: str) -> str:
        """The text with everything that stands for the person blacked out."""
        return text if self._pattern is None else self._pattern.sub(ERASED, text)

    def is_word(self, text: str) -> bool:
        """Whether a text is one of the person's words."""
        return text.casefold() in self.folded

    # In tables

    def in_cells(self, cells: pl.Series) -> pl.Series:
        """Whether each cell of a table without row ids tells of the person."""
        cells = cells.fill_null("")
        # Folded by Python as the words were: the two do not agree on every letter.
        found = pl.Series([self.is_word(one) for one in cells.to_list()], dtype=pl.Boolean)
        needles = [*self.exact, *(one for one in self.row_ids if len(one) >= LEAST_ID_CHARS)]
        if needles:
            found = found | cells.str.contains_any(needles)
        if self.is_plain_searched:
            found = found | cells.str.contains(rf"(?:^|\W){re.escape(self.plain)}(?:$|\W)")
        return found

    # In bytes

    @cached_property
    def needles(self) -> dict[str, list[str]]:
        """What a scan looks for: each kind's texts in every spelling a file may have them in."""
        kinds = {"identifier": [self.plain] if self.is_plain_searched else [], "also": list(self.also)}
        kinds |= {"text": sorted(self.texts), "word": sorted(self.words)}
        return {
            kind: list(dict.fromkeys(form for one in found for form in spellings(one))) for kind, found in kinds.items()
        }


def spellings(text: str) -> Iterable[str]:
    """A text as it stands, and as JSON and HTML write it."""
    yield text
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield html.escape(text)
    # As Jinja does it.
    yield html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")


def is_telling(cell: str) -> bool:
    """Whether a cell can be looked for elsewhere: a single plain word, such as a category, tells nothing."""
    return len(cell) >= LEAST_CHARS and bool(re.search(r"[\s\d@]", cell.strip()))


def names_in(cells: Iterable[str]) -> set[str]:
    """The words of some texts that look like names, numbers or pseudonyms: with a capital, a digit or an @."""
    found = {word for cell in cells for word in _WORD.findall(cell)}
    return {
        one for one in found if len(one) >= 3 and any(char.isupper() or char.isdigit() or char == "@" for char in one)
    }


def words_in(cells: Iterable[str]) -> set[str]:
    """Every word of some texts, its case folded."""
    return {word.casefold() for cell in cells for word in _WORD.findall(cell)}


def fragment(text: str) -> str | None:
    """The beginning of a text that is long enough to be cut off somewhere."""
    return text[:FRAGMENT_CHARS] if len(text) > FRAGMENT_CHARS else None
