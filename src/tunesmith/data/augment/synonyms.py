"""Words and phrases replaced by others of the user's own list."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from tunesmith.core.errors import DataError
from tunesmith.data.augment.config import SynonymsConfig

MOST_BYTES = 1_000_000
_WORD = re.compile(r"\w+(?:['’-]\w+)*")


class Synonyms:
    """Rows in which a share of the words and phrases of the list is replaced, in the letter case that stood there."""

    def __init__(self, config: SynonymsConfig) -> None:
        self.config = config
        self._others = _read(Path(config.path))
        self._longest = max(len(phrase) for phrase in self._others)

    def fit(self, train: pl.DataFrame) -> None:
        """Nothing is learned from the training rows."""

    def changed(self, row: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
        """The columns that change; none where the text holds no word of the list."""
        text = row["text"]
        found = self._found(text)
        if not found:
            return {}
        chosen = rng.sample(range(len(found)), max(1, round(self.config.strength * len(found))))
        for place in sorted(chosen, reverse=True):
            start, end, phrase = found[place]
            text = text[:start] + _like(text[start:end], rng.choice(self._others[phrase])) + text[end:]
        return {"text": text}

    def _found(self, text: str) -> list[tuple[int, int, tuple[str, ...]]]:
        """Where words and phrases of the list stand, the longest first at each place and none in another."""
        words = [(match.start(), match.end(), match.group().casefold()) for match in _WORD.finditer(text)]
        found = []
        place = 0
        while place < len(words):
            for length in range(min(self._longest, len(words) - place), 0, -1):
                phrase = tuple(word for _, _, word in words[place : place + length])
                if phrase in self._others:
                    found.append((words[place][0], words[place + length - 1][1], phrase))
                    place += length
                    break
            else:
                place += 1
        return found


def _read(path: Path) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Phrase → the phrases that may stand for it.

    Raises: DataError naming the line that is no list of synonyms.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError("the file of synonyms is too large", seen=str(path), allowed=f"{MOST_BYTES:,} bytes")
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            "the file of synonyms cannot be read",
            seen=f"{path}: {error}",
            next="correct `data.augment.methods[].path`; the file is UTF-8 text",
        ) from error
    others: dict[tuple[str, ...], tuple[str, ...]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        phrases = list(dict.fromkeys(phrase.strip() for phrase in line.split(",") if phrase.strip()))
        if len(phrases) < 2:
            raise DataError(
                "a line of the file of synonyms needs two phrases or more",
                seen=f"{path.name}, line {number}: {line[:100]}",
                allowed="words or phrases that mean the same, separated by commas",
            )
        for phrase in phrases:
            words = tuple(word.casefold() for word in _WORD.findall(phrase))
            others[words] = (*others.get(words, ()), *(other for other in phrases if other != phrase))
    others.pop((), None)
    if not others:
        raise DataError("the file of synonyms is empty", seen=str(path), allowed="refund, money back, reimbursement")
    return others


def _like(seen: str, phrase: str) -> str:
    """The phrase in the letter case that it takes the place of."""
    if seen.isupper() and len(seen) > 1:
        return phrase.upper()
    return phrase[:1].upper() + phrase[1:] if seen[:1].isupper() else phrase
