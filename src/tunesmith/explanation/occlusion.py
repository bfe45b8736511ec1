"""What an answer loses without each word: asks nothing of a model but its answers.

Source: Zeiler and Fergus 2014, with words of a text in place of patches of an image.
"""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.explanation.attribution import Attribution, Predict, Unit
from tunesmith.explanation.words import Word, runs_of, spans_of, without


def occluded(
    predict: Predict, texts: Sequence[str], targets: Sequence[int], names: Sequence[str], unit: Unit, most_words: int
) -> list[Attribution]:
    """The words of each text and what its answer loses without each; a text costs ``most_words`` answers at most."""
    runs = [runs_of(spans_of(text), most_words) for text in texts]
    asked: list[str] = []
    for text, spans in zip(texts, runs, strict=True):
        asked += [text, "", *(without(text, spans, {place}) for place in range(len(spans)))]
    values_NC = predict(asked)
    found, at = [], 0
    for text, spans, target in zip(texts, runs, targets, strict=True):
        full, empty, *less = values_NC[at : at + len(spans) + 2, target].tolist()
        at += len(spans) + 2
        words = tuple(
            Word(text[start:end], start, end, full - one) for (start, end), one in zip(spans, less, strict=True)
        )
        found.append(Attribution("occlusion", names[target], text, words, unit, full, empty))
    return found
