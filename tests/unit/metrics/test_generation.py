"""Metrics of written answers: by hand on small cases, and of resampled rows as their libraries have them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tunesmith.metrics import generation, table
from tunesmith.metrics.generation import COLUMNS, totals
from tunesmith.metrics.written import Counts, json_fields, row, token_f1

ANSWERS = ["the cat sat on the mat", "it is raining cats", "", "a pizza place near the river that is cheap", "."]
REFERENCES = [
    ["the cat sat on a mat", "a cat was sitting on the mat"],
    ["it is raining cats and dogs"],
    ["something"],
    ["There is a cheap pizza place near the river .", "Near the river is a pizza place", "cheap pizza"],
    ["Привет, мир!"],
]


def _rows(answers: list[str] = ANSWERS, references: list[list[str]] = REFERENCES) -> np.ndarray:
    counts = Counts()
    return np.array([row(None, counts.of(*one)) for one in zip(answers, references, strict=True)])


def _streams(references: list[list[str]]) -> list[list[str | None]]:
    """References as sacrebleu takes them: a list for each place, None where a row has fewer."""
    most = max(map(len, references))
    return [[one[at] if at < len(one) else None for one in references] for at in range(most)]


def test_corpus_bleu_and_chrf_of_resampled_rows_are_those_of_sacrebleu() -> None:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    rng = np.random.default_rng(0)
    rows_NF = _rows()
    drawn_SN = np.vstack([np.ones(5, int), np.eye(5, dtype=int), rng.multinomial(5, [0.2] * 5, size=30)])
    found = totals(range(5), rows_NF, drawn_SN)
    bleu_S, chrf_S = generation.bleu(found), generation.chrf(found)
    for at, drawn_N in enumerate(drawn_SN):
        places = np.repeat(np.arange(5), drawn_N)
        answers, references = [ANSWERS[one] for one in places], [REFERENCES[one] for one in places]
        streams = _streams(references)
        assert bleu_S[at] == pytest.approx(BLEU(force=True).corpus_score(answers, streams).score, abs=1e-9)
        assert chrf_S[at] == pytest.approx(CHRF().corpus_score(answers, streams).score, abs=1e-9)


def test_rouge_is_the_mean_of_the_best_reference_over_rows_with_words() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    found = totals(range(5), _rows())
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    for name, value in (
        ("rouge1", generation.rouge1(found)),
        ("rouge2", generation.rouge2(found)),
        ("rougeL", generation.rouge_l(found)),
    ):
        each = [
            max(scorer.score(reference, answer)[name].fmeasure for reference in references)
            for answer, references in list(zip(ANSWERS, REFERENCES, strict=True))[:4]
        ]
        assert value == pytest.approx(np.mean(each), abs=1e-12)
    # "it is raining cats" in "it is raining cats and dogs": 4 of 4, and 4 of 6 words.
    assert generation.rouge1(totals([0], _rows()[1:2])) == pytest.approx(2 * 1 * (4 / 6) / (1 + 4 / 6))
    assert math.isnan(generation.rouge1(totals([0], _rows()[4:])))


def test_what_is_scored_is_pooled_over_rows() -> None:
    rows_NF = np.array([row([-2.0, 4.0, 10.0], None), row([-6.0, 4.0, 30.0], None)])
    found = totals(range(2), rows_NF)
    assert generation.perplexity(found) == pytest.approx(math.exp(8 / 8))
    assert generation.bits_per_byte(found) == pytest.approx(8 / math.log(2) / 40)
    twice = totals(range(2), rows_NF, [[2, 0]])
    assert generation.bits_per_byte(twice)[0] == pytest.approx(2 / math.log(2) / 10)
    assert math.isnan(generation.perplexity(totals([0], [row([-8000.0, 1.0, 1.0], None)])))
    assert math.isnan(generation.chrf(found)) and math.isnan(generation.bleu(found))
    assert generation.num_scored(rows_NF) == 2 and generation.num_written(rows_NF) == 0


def test_words_are_compared_as_squad_does() -> None:
    assert token_f1("The cat!", "a cat") == 1.0
    assert token_f1("red cat", "the red dog") == pytest.approx(0.5)
    assert token_f1("...", "") == 1.0 and token_f1("", "cat") == 0.0
    assert token_f1("cat cat", "cat") == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("answer", "references", "wanted"),
    [
        ('{"a": 1, "b": ["x", "y"]}', ['{"a": 1.0, "b": ["x", "z"]}'], (1, 2, 3)),
        ('{"a": 1, "made_up": 2}', ['{"a": 1}'], (1, 1, 2)),
        ('{"a": true}', ['{"a": 1}'], (1, 0, 1)),
        ('{"a": " x"}', ['{"a": "x"}'], (1, 1, 1)),
        ('{"a": 1', ['{"a": 1, "b": 2}'], (0, 0, 2)),
        ('{"a": NaN}', ['{"a": 1}'], (0, 0, 1)),
        ("{}", ["{}"], (1, 1, 1)),
        ('{"a": 1}', ['{"a": 2}', '{"a": 1, "b": 1, "c": 1}', "no json"], (1, 1, 3)),
        ('{"a": 1}', ["no json"], (1, 0, 0)),
        ("[" * 100_000, ['{"a": 1}'], (0, 0, 1)),
        ('{"a.b": 1}', ['{"a": {"b": 1}}'], (1, 0, 2)),
    ],
)
def test_fields_are_compared_one_by_one(answer: str, references: list[str], wanted: tuple[int, int, int]) -> None:
    assert json_fields(answer, references) == wanted


def test_fields_count_only_where_references_are_json() -> None:
    counts = Counts(is_json=True)
    rows_NF = np.array(
        [row(None, counts.of('{"a": 1}', ['{"a": 1, "b": 2}'])), row(None, counts.of("x", ['{"a": 1}']))]
    )
    found = totals(range(2), rows_NF)
    assert generation.json_valid(found) == 0.5
    assert generation.field_accuracy(found) == pytest.approx(1 / 3)


def test_every_row_is_in_the_order_of_its_columns() -> None:
    assert len(set(COLUMNS)) == len(COLUMNS)
    answer = "the cat"
    found = dict(zip(COLUMNS, row([-1, 2, 3], Counts().of(answer, [answer])), strict=True))
    assert found["log_probability"] == -1 and found["bytes"] == 3 and found["answers"] == 1
    assert found["bleu_length"] == found["bleu_right_1"] == found["bleu_total_1"] == 2
    assert found["chrf_match_1"] == 6 and found["exact_match"] == found["token_f1"] == found["rouge1"] == 1
    with pytest.raises(ValueError, match="at least one reference"):
        Counts().of("x", [])
    with pytest.raises(ValueError, match="statistics for each row"):
        totals([1], [[1.0]])


def test_the_metrics_of_a_task_have_their_way_up_and_their_rows() -> None:
    right, wrong = Counts(is_json=True), '{"a": 2'
    good = np.array([row([-1, 10, 20], right.of('{"a": 1, "b": 2}', ['{"a": 1, "b": 2}']))] * 2)
    bad = np.array([row([-9, 10, 20], right.of(wrong, ['{"a": 1, "b": 2}']))] * 2)
    for task in ("chat", "generate", "summarise", "translate", "extract"):
        assert table.PRIMARY[task] in table.of_task(task)
        for metric in table.of_task(task).values():
            assert (metric([0, 1], good) > metric([0, 1], bad)) == metric.higher_is_better, metric.name
            assert metric.num_rows(good) == 2 and metric.doc.endswith((".", ").")), metric.name
