"""Sets that are nearly the same meet by their keys, whatever the threshold; the similarity is the true one."""

from __future__ import annotations

import random

import numpy as np
import polars as pl
import pytest

from tunesmith.data.near import NearTexts
from tunesmith.data.near_keys import keys, sizes
from tunesmith.data.near_sets import Sets, ranges, sets_of


def altered(words: list[str], num_out: int, num_in: int, draw: random.Random) -> list[str]:
    kept = draw.sample(words, len(words) - num_out)
    return [*kept, *(f"new{draw.randrange(10**9)}" for _ in range(num_in))]


@pytest.mark.parametrize("threshold", [0.8, 0.85, 0.9, 0.95, 1.0])
def test_every_pair_at_the_threshold_or_above_shares_a_key(threshold: float) -> None:
    draw = random.Random(0)
    texts: list[str] = []
    pairs = []
    for size in range(10, 120):
        words = [f"w{size}x{place}" for place in range(size)]
        for num_out in range(size):
            num_in = draw.choice((0, num_out, 2 * num_out))
            if (size - num_out) / (size + num_in) < threshold:
                break
            other = altered(words, num_out, num_in, draw)
            if len(other) >= 10:
                pairs.append((len(texts), len(texts) + 1))
                texts += [" ".join(words), " ".join(other)]
    assert len(pairs) >= 110
    rows, values = keys(sets_of(pl.Series(texts)), threshold)
    held = [set(values[rows == row].tolist()) for row in range(len(texts))]
    assert all(held[one] & held[other] for one, other in pairs)


@pytest.mark.parametrize("threshold", [0.5, 0.75, 0.8, 0.9, 0.99, 1.0])
def test_sizes_so_similar_are_of_one_class_or_the_next(threshold: float) -> None:
    largest = sizes(threshold, 400)
    one = np.arange(1, 400)
    for size in one:
        reach = np.arange(size, min(400, int(size / threshold + 1e-9)) + 1)
        distance = np.searchsorted(largest, reach) - np.searchsorted(largest, size)
        assert set(distance.tolist()) <= {0, 1}
        # The class above that keys are made for must be there too.
        assert np.searchsorted(largest, size) + 1 < len(largest)


def test_similarities_are_those_of_sets() -> None:
    draw = random.Random(1)
    lists = [sorted(draw.sample(range(40), draw.randint(1, 30))) for _ in range(60)]
    sets = Sets(np.concatenate([np.array(one, np.uint64) for one in lists]), np.array([len(one) for one in lists]))
    ones, others = (np.array([draw.randrange(60) for _ in range(500)]) for _ in range(2))
    expected = [
        len(set(lists[a]) & set(lists[b])) / len(set(lists[a]) | set(lists[b]))
        for a, b in zip(ones, others, strict=True)
    ]
    assert sets.similarities(ones, others).tolist() == expected
    assert ranges(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]


def test_sets_hold_words_once_and_short_texts_by_pairs() -> None:
    texts = ["a b c", "a b c d", "d c b a", " ".join("abcdefghij"), " ".join("jihgfedcba") + " a a a", None]
    sets = sets_of(pl.Series(texts, dtype=pl.String))
    assert sets.counts.tolist() == [0, 3, 3, 10, 10, 0]
    near = NearTexts(pl.Series(texts, dtype=pl.String), 0.9)
    assert near.candidates == [3, 4]
    assert near.similarity(3, 4) == 1.0


@pytest.mark.parametrize("threshold", [0.6, 0.8, 0.9])
def test_a_table_of_one_template_is_searched_as_pair_by_pair(threshold: float) -> None:
    draw = random.Random(2)
    frame = [f"word{place}" for place in range(18)]
    texts = [" ".join([*frame, *(f"n{draw.randrange(6)}k{place}" for place in range(4))]) for _ in range(150)]
    found = NearTexts(pl.Series(texts), threshold)
    repeats = found.repeats(found.candidates, lambda row, earlier: True)
    kept: list[int] = []
    for row, text in enumerate(texts):
        words = set(text.split())
        near = [
            one
            for one in kept
            if len(words & set(texts[one].split())) / len(words | set(texts[one].split())) >= threshold
        ]
        assert (row in repeats) == bool(near)
        if near:
            assert repeats[row] in near
        else:
            kept.append(row)
