"""What an answer loses without each word: asks nothing of a model but its answers.

Source: Zeiler and Fergus 2014, with words of a text in place of patches of an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.explanation.attribution import Attribution, Predict, Unit
from tunesmith.explanation.words import Word, runs_of, spans_of, without


@dataclass(frozen=True)
class Read:
    """What a model reads of a text."""

    start: int
    """First character of its first word."""
    end: int
    """Behind its last word."""
    num_truncated_tokens: int = 0
    """Tokens that it does not read."""


def occluded(
    predict: Predict,
    texts: Sequence[str],
    targets: Sequence[int],
    names: Sequence[str],
    unit: Unit,
    most_words: int,
    read: Sequence[Read],
) -> list[Attribution]:
    """The words of each text and what its answer loses without each; a text costs ``most_words`` answers at most.

    What is not read of a text is left out: behind a word that is gone it would move up and be read.
    """
    parts = [text[one.start : one.end] for text, one in zip(texts, read, strict=True)]
    runs = [runs_of(spans_of(part), most_words) for part in parts]
    asked: list[str] = []
    for part, spans in zip(parts, runs, strict=True):
        asked += [part, "", *(without(part, spans, {place}) for place in range(len(spans)))]
    values_NC = predict(asked)
    found, at = [], 0
    for text, spans, target, one in zip(texts, runs, targets, read, strict=True):
        full, empty, *less = values_NC[at : at + len(spans) + 2, target].tolist()
        at += len(spans) + 2
        places = [(one.start + start, one.start + end) for start, end in spans]
        words = tuple(
            Word(text[start:end], start, end, full - left) for (start, end), left in zip(places, less, strict=True)
        )
        cut = one.num_truncated_tokens
        found.append(Attribution("occlusion", names[target], text, words, unit, full, empty, num_truncated_tokens=cut))
    return found
