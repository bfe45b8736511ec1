"""Texts as people really send them: typing errors, shouting, lost spaces, half sentences, letters of other scripts.

A perturbation keeps what a reader would understand. It takes the text, a source of randomness and a strength, the share
of the places it may touch (at least one of them): equal arguments give the equal text. A text that holds nothing to
touch comes back as it is, and one that is not blank never becomes blank.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from tunesmith.core.errors import RecipeError
from tunesmith.texts.lookalikes import LOOKALIKES

T = TypeVar("T")
Perturbation = Callable[[str, random.Random, float], str]
"""(text, randomness, strength above 0 to 1) → the perturbed text."""

KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
"""Rows of letters as they lie under the fingers, each shifted half a key to the right of the one above."""
_GAP = re.compile(r"\s+")
_WORD = re.compile(r"\S+")


def perturb(kind: str, text: str, rng: random.Random, strength: float = 0.1) -> str:
    """The text perturbed by a kind of ``KINDS``.

    Raises: RecipeError for a kind that is not known or a strength outside 0 to 1.
    """
    if kind not in KINDS:
        raise RecipeError(f"there is no perturbation `{kind}`", seen=kind, allowed=", ".join(KINDS))
    if not 0 < strength <= 1:
        raise RecipeError("a perturbation's strength is a share", seen=strength, allowed="above 0, at most 1")
    changed = KINDS[kind](text, rng, strength)
    return changed if changed.strip() else text


def typos(text: str, rng: random.Random, strength: float) -> str:
    """The text with a typing error in a share of its words: a neighbouring key, a letter dropped, doubled or swapped.

    Words of one letter and numbers stay: what is mistyped there is another word, not a typing error.
    """
    words = [match.span() for match in _WORD.finditer(text) if sum(map(str.isalpha, match.group())) >= 2]
    for start, end in _chosen(words, rng, strength, from_the_end=True):
        text = text[:start] + _mistyped(text[start:end], rng) + text[end:]
    return text


def case(text: str, rng: random.Random, strength: float) -> str:
    """The text in lower case, in upper case, or with a share of its letters in the other case, one of the three."""
    how = rng.choice(("lower", "upper", "mixed"))
    if how == "lower":
        return text.lower()
    if how == "upper":
        return text.upper()
    letters = [place for place, char in enumerate(text) if char.lower() != char.upper()]
    return _replaced(text, {place: text[place].swapcase() for place in _chosen(letters, rng, strength)})


def whitespace(text: str, rng: random.Random, strength: float) -> str:
    """The text with a share of its gaps doubled or lost, or with a space before it where it has no gap."""
    gaps = [match.span() for match in _GAP.finditer(text) if match.start() > 0 and match.end() < len(text)]
    for start, end in _chosen(gaps, rng, strength, from_the_end=True):
        text = text[:start] + rng.choice(("", "  ", "   ")) + text[end:]
    return text if gaps and rng.random() < 0.5 else " " + text


def truncation(text: str, rng: random.Random, strength: float) -> str:
    """The text without the last share of its words; the first word always stays."""
    words = list(_WORD.finditer(text))
    if len(words) < 2:
        return text
    num_cut = min(_share(len(words), strength), len(words) - 1)
    return text[: words[-num_cut - 1].end()]


def lookalikes(text: str, rng: random.Random, strength: float) -> str:
    """The text with a share of its Latin letters written by Cyrillic and Greek ones that look the same."""
    letters = [place for place, char in enumerate(text) if char in LOOKALIKES]
    return _replaced(text, {place: LOOKALIKES[text[place]] for place in _chosen(letters, rng, strength)})


def punctuation(text: str, rng: random.Random, strength: float) -> str:
    """The text without any punctuation, as it is typed in a hurry; the strength changes nothing here."""
    return "".join(char for char in text if not unicodedata.category(char).startswith("P"))


KINDS: Mapping[str, Perturbation] = {
    "typos": typos,
    "case": case,
    "whitespace": whitespace,
    "truncation": truncation,
    "lookalikes": lookalikes,
    "punctuation": punctuation,
}
"""Every perturbation by its name."""


def _share(num: int, strength: float) -> int:
    """So many of ``num`` places, at least one."""
    return max(1, round(num * strength))


def _chosen(places: Sequence[T], rng: random.Random, strength: float, *, from_the_end: bool = False) -> list[T]:
    """A share of the places, in the order of the text, or from its end so that earlier places stay where they are."""
    if not places:
        return []
    chosen = sorted(rng.sample(range(len(places)), _share(len(places), strength)), reverse=from_the_end)
    return [places[place] for place in chosen]


def _replaced(text: str, at: Mapping[int, str]) -> str:
    return "".join(at.get(place, char) for place, char in enumerate(text))


def _mistyped(word: str, rng: random.Random) -> str:
    """The word with one typing error; it has two letters or more."""
    letters = [place for place, char in enumerate(word) if char.isalpha()]
    kinds = ["neighbour", "drop", "double"]
    swappable = [place for place in letters if place + 1 in letters and word[place].lower() != word[place + 1].lower()]
    if swappable:
        kinds.append("swap")
    kind = rng.choice(kinds)
    if kind == "swap":
        place = rng.choice(swappable)
        return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    place = rng.choice(letters)
    if kind == "drop":
        return word[:place] + word[place + 1 :]
    near = _NEIGHBOURS.get(word[place].lower(), "") if kind == "neighbour" else ""
    if not near:
        return word[: place + 1] + word[place] + word[place + 1 :]
    key = rng.choice(near)
    return word[:place] + (key.upper() if word[place].isupper() else key) + word[place + 1 :]


def _neighbours() -> dict[str, str]:
    """Letter → the letters whose keys touch its key."""
    at = {char: (0.5 * row + column, row) for row, keys in enumerate(KEYBOARD) for column, char in enumerate(keys)}
    return {
        char: "".join(other for other, (a, b) in at.items() if other != char and abs(a - x) <= 1 and abs(b - y) <= 1)
        for char, (x, y) in at.items()
    }


_NEIGHBOURS = _neighbours()
