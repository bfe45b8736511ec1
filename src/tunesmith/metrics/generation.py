"""Metrics of language models: every one a function of sums over rows, so that resampling needs no texts.

A row is a prompt. Its statistics (``COLUMNS``) are what was scored of its answers, and what one written answer has in
common with them; a resample's are their sums, and corpus BLEU and chrF are computed from these sums exactly as
sacrebleu does from all the rows. Columns of what was not scored, or not written, are 0.

Shapes: N rows, F columns, X any leading axes (one entry per resample; none for the plain data).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tunesmith.metrics.classification import quotient

Floats = NDArray[np.float64]

LARGEST_LOSS = 700.0
BLEU_ORDER, CHRF_ORDER, CHRF_BETA = 4, 6, 2
SCORED = ("log_probability", "weight", "bytes")
"""What scoring answers: the sum of weighted log-probabilities (natural), the sum of weights, the bytes scored."""
BLEU = (
    *("bleu_length", "bleu_reference_length"),
    *(f"bleu_right_{n}" for n in range(1, BLEU_ORDER + 1)),
    *(f"bleu_total_{n}" for n in range(1, BLEU_ORDER + 1)),
)
CHRF = tuple(f"chrf_{what}_{n}" for n in range(1, CHRF_ORDER + 1) for what in ("answer", "reference", "match"))
ROUGE = ("rouge1", "rouge2", "rougeL")
WRITTEN = (
    *("answers", *BLEU, *CHRF, "rouge_rows", *ROUGE, "exact_match", "token_f1"),
    *("json_valid", "fields_right", "fields"),
)
"""What is counted of a written answer beside its references (``metrics.written``)."""
COLUMNS = (*SCORED, *WRITTEN)
_PLACE = {name: at for at, name in enumerate(COLUMNS)}


@dataclass(frozen=True)
class Totals:
    """Sums of the rows' statistics, (X, F)."""

    sums_XF: Floats

    def of(self, name: str) -> Floats:
        """The sum of a column: (X,)."""
        return np.asarray(self.sums_XF[..., _PLACE[name]])

    def each(self, names: Sequence[str]) -> Floats:
        """The sums of several columns: (X, columns)."""
        return self.sums_XF[..., [_PLACE[name] for name in names]]


def totals(rows: ArrayLike, statistics: ArrayLike, weights: ArrayLike | None = None) -> Totals:
    """The sums of statistics (N, F); weights (X, N) say how often each row counts, once where it is None."""
    statistics_NF = np.asarray(statistics, float)
    if len(statistics_NF) != len(np.asarray(rows)) or statistics_NF.shape[1:] != (len(COLUMNS),):
        raise ValueError(f"needs {len(COLUMNS)} statistics for each row: {statistics_NF.shape}")
    if weights is None:
        return Totals(statistics_NF.sum(0))
    return Totals(np.asarray(weights, float) @ statistics_NF)


def num_scored(statistics_NF: Floats) -> int:
    """Rows of which something was scored."""
    return int((statistics_NF[:, _PLACE["weight"]] > 0).sum())


def num_written(statistics_NF: Floats) -> int:
    """Rows for which an answer was written."""
    return int((statistics_NF[:, _PLACE["answers"]] > 0).sum())


def perplexity(found: Totals) -> Floats:
    """How many tokens the model hesitates between on average: e to the loss per token of the answers."""
    loss_X = -_mean(found.of("log_probability"), found.of("weight"))
    # Beyond what a number can hold it says nothing.
    return np.asarray(np.exp(np.where(loss_X < LARGEST_LOSS, loss_X, np.nan)))


def bits_per_byte(found: Totals) -> Floats:
    """Bits that the model needs for a byte of the answers; unlike perplexity it does not hang on the tokenizer."""
    return np.asarray(-_mean(found.of("log_probability"), found.of("bytes")) / np.log(2))


def bleu(found: Totals) -> Floats:
    """Corpus BLEU-4 of the answers, 0 to 100, as sacrebleu has it (13a, exponential smoothing)."""
    length_X, reference_X = found.of("bleu_length"), found.of("bleu_reference_length")
    right_XO = found.each([f"bleu_right_{n}" for n in range(1, BLEU_ORDER + 1)])
    total_XO = found.each([f"bleu_total_{n}" for n in range(1, BLEU_ORDER + 1)])
    ratio_X = np.divide(reference_X, length_X, out=np.full(np.shape(length_X), np.inf), where=length_X > 0)
    brevity_X = np.exp(np.minimum(0.0, 1 - ratio_X))
    smoothing_X = np.ones(np.shape(length_X))
    log_X = np.zeros(np.shape(length_X))
    for order in range(BLEU_ORDER):
        right_X, total_X = right_XO[..., order], total_XO[..., order]
        smoothing_X = np.where(right_X == 0, 2 * smoothing_X, smoothing_X)
        above_X = np.where(right_X == 0, 1 / smoothing_X, right_X)
        share_X = quotient(above_X, total_X)
        log_X = log_X + np.log(share_X, out=np.full(np.shape(share_X), -np.inf), where=share_X > 0)
    score_X = 100 * brevity_X * np.exp(log_X / BLEU_ORDER)
    return _where_written(found, np.where(right_XO.any(-1), score_X, 0.0))


def chrf(found: Totals) -> Floats:
    """Corpus chrF of the answers, 0 to 100: runs of up to six characters in common, recall counting twice as much."""
    counts_XO3 = found.each(CHRF).reshape(*np.shape(found.of("answers")), CHRF_ORDER, 3)
    answer_XO, reference_XO, match_XO = (counts_XO3[..., at] for at in range(3))
    counts_XO = ((answer_XO > 0) & (reference_XO > 0)).astype(float)
    orders_X = counts_XO.sum(-1)
    precision_X = quotient((quotient(match_XO, answer_XO) * counts_XO).sum(-1), orders_X)
    recall_X = quotient((quotient(match_XO, reference_XO) * counts_XO).sum(-1), orders_X)
    factor = CHRF_BETA**2
    score_X = quotient((1 + factor) * precision_X * recall_X, factor * precision_X + recall_X)
    return _where_written(found, 100 * score_X)


def rouge1(found: Totals) -> Floats:
    """ROUGE-1: the F-measure of words in common, mean over the answers (only a-z and 0-9 are words)."""
    return _mean(found.of("rouge1"), found.of("rouge_rows"))


def rouge2(found: Totals) -> Floats:
    """ROUGE-2: the F-measure of word pairs in common, mean over the answers."""
    return _mean(found.of("rouge2"), found.of("rouge_rows"))


def rouge_l(found: Totals) -> Floats:
    """ROUGE-L: the F-measure of the longest common run of words, gaps allowed, mean over the answers."""
    return _mean(found.of("rougeL"), found.of("rouge_rows"))


def exact_match(found: Totals) -> Floats:
    """The share of answers that are a reference to the letter, white space at the ends apart."""
    return _mean(found.of("exact_match"), found.of("answers"))


def token_f1(found: Totals) -> Floats:
    """The F-measure of words in common as SQuAD counts them, mean over the answers."""
    return _mean(found.of("token_f1"), found.of("answers"))


def json_valid(found: Totals) -> Floats:
    """The share of answers that are valid JSON."""
    return _mean(found.of("json_valid"), found.of("answers"))


def field_accuracy(found: Totals) -> Floats:
    """The share of the fields of reference or answer that stand in both with the same value."""
    return _mean(found.of("fields_right"), found.of("fields"))


def _mean(sum_X: Floats, count_X: Floats) -> Floats:
    """The quotient, nan where nothing was counted."""
    sum_X, count_X = np.asarray(sum_X, float), np.asarray(count_X, float)
    return np.asarray(np.divide(sum_X, count_X, out=np.full(np.shape(sum_X), np.nan), where=count_X > 0))


def _where_written(found: Totals, score_X: Floats) -> Floats:
    return np.asarray(np.where(found.of("answers") > 0, score_X, np.nan))
