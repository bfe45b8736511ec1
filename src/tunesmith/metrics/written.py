"""What a written answer has in common with its references: the counts that metrics are sums of.

Of several references of one prompt the best counts: BLEU takes n-grams of any of them and the nearest length, the
others the reference with the best score, as sacrebleu, rouge-score and SQuAD do.
"""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tunesmith.metrics.generation import COLUMNS, ROUGE, SCORED, WRITTEN

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


class Counts:
    """Counts of answers beside their references; made once, as its scorers take time to open."""

    def __init__(self, *, is_json: bool = False) -> None:
        from rouge_score.rouge_scorer import RougeScorer
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF

        self.is_json = is_json
        """Whether references are JSON, so that fields are compared."""
        # `force` only silences a warning about answers that end in " .".
        self._bleu, self._chrf = BLEU(force=True), CHRF()
        self._rouge = RougeScorer(list(ROUGE), use_stemmer=False)

    def of(self, answer: str, references: Sequence[str]) -> list[float]:
        """The counts in the order of ``generation.WRITTEN``."""
        if not references:
            raise ValueError("an answer is counted beside at least one reference")
        streams = [[reference] for reference in references]
        bleu = self._bleu._extract_corpus_statistics([answer], streams)[0]
        chrf = self._chrf._extract_corpus_statistics([answer], streams)[0]
        has_words = any(self._rouge._tokenizer.tokenize(reference) for reference in references)
        rouge = self._rouge.score_multi(references, answer)
        exact = any(answer.strip() == reference.strip() for reference in references)
        f1 = max(token_f1(answer, reference) for reference in references)
        found = json_fields(answer, references) if self.is_json else (0, 0, 0)
        counts = [1, *bleu, *chrf, has_words, *(has_words * rouge[name].fmeasure for name in ROUGE), exact, f1, *found]
        if len(counts) != len(WRITTEN):
            raise ValueError(f"{len(counts)} counts, not {len(WRITTEN)}: sacrebleu or rouge-score answers otherwise")
        return [float(one) for one in counts]


def row(scored: Sequence[float] | None, written: Sequence[float] | None) -> list[float]:
    """A row's statistics in the order of ``generation.COLUMNS``; 0 for what was not measured."""
    found = [*(scored or [0.0] * len(SCORED)), *(written or [0.0] * len(WRITTEN))]
    if len(found) != len(COLUMNS):
        raise ValueError(f"{len(found)} statistics, not {len(COLUMNS)}")
    return found


def squad_words(text: str) -> list[str]:
    """The words that SQuAD compares: small letters, without punctuation and articles. Source: Rajpurkar et al. 2016."""
    return _ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split()


def token_f1(answer: str, reference: str) -> float:
    """The F-measure of words in common; of two texts without words 1, of one 0."""
    given, wanted = squad_words(answer), squad_words(reference)
    if not given or not wanted:
        return float(given == wanted)
    common = (Counter(given) & Counter(wanted)).total()
    return 2 * common / (len(given) + len(wanted))


def json_fields(answer: str, references: Sequence[str]) -> tuple[int, int, int]:
    """Whether the answer is JSON, its right fields, and the fields of it and its reference together.

    Of several references the one with the largest share counts; one that is no JSON is left out.
    """
    is_valid, given = _read(answer)
    found = []
    for reference in references:
        is_json, wanted = _read(reference)
        if is_json:
            right = sum(path in given and _same(given[path], value) for path, value in wanted.items())
            found.append((right, len(given.keys() | wanted.keys())))
    right, num = max(found, key=lambda one: one[0] / one[1], default=(0, 0))
    return int(is_valid), right, num


def _read(text: str) -> tuple[bool, dict[str, Any]]:
    """Whether a text is JSON, and its fields by their path."""
    try:
        value = json.loads(text, parse_constant=_refuse)
        return True, dict(_leaves("", value))
    except (ValueError, RecursionError):
        return False, {}


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _leaves(path: str, value: Any) -> list[tuple[str, Any]]:
    """The values that hold no others, by their path; an empty list or object is one."""
    if isinstance(value, dict) and value:
        return [leaf for name, one in value.items() for leaf in _leaves(f"{path}.{json.dumps(name)}", one)]
    if isinstance(value, list) and value:
        return [leaf for place, one in enumerate(value) for leaf in _leaves(f"{path}[{place}]", one)]
    return [(path, value)]


def _same(one: Any, other: Any) -> bool:
    """Equal values of a kind: 1 is 1.0, and neither is true; texts but for white space at the ends."""
    if isinstance(one, str) and isinstance(other, str):
        return one.strip() == other.strip()
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
