"""Which rows go together: every row once, the same for the same seed, never over the budget."""

from __future__ import annotations

from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from tunesmith.numerics.batching import BUCKET_BATCHES, epoch_order, microbatches

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=300)


@given(LENGTHS, st.integers(1, 40), st.integers(0, 2**31), st.integers(0, 50), st.booleans())
def test_an_epoch_has_every_row_once(lengths: list[int], batch: int, seed: int, epoch: int, bucketed: bool) -> None:
    steps = epoch_order(lengths, batch, seed=seed, epoch=epoch, is_bucketed=bucketed)
    assert sorted(chain(*steps)) == list(range(len(lengths)))
    sizes = sorted((len(step) for step in steps), reverse=True)
    assert sizes[:-1] == [batch] * (len(sizes) - 1) and 1 <= sizes[-1] <= batch
    assert steps == epoch_order(lengths, batch, seed=seed, epoch=epoch, is_bucketed=bucketed)


def test_epochs_and_seeds_differ() -> None:
    orders = {
        str(epoch_order([1] * 64, 8, seed=seed, epoch=epoch, is_bucketed=bucketed))
        for seed in (0, 1)
        for epoch in (0, 1)
        for bucketed in (False, True)
    }
    assert len(orders) == 8


def test_buckets_hold_rows_of_like_lengths() -> None:
    lengths = list(range(1, 401))
    steps = epoch_order(lengths, 8, seed=0, epoch=0, is_bucketed=True)
    assert len(lengths) <= 8 * BUCKET_BATCHES  # one window: sorted throughout
    assert all(max(step) - min(step) == 7 for step in steps)
    assert steps != sorted(steps)


@given(LENGTHS, st.integers(1, 500))
def test_microbatches_stay_within_the_budget(lengths: list[int], budget: int) -> None:
    parts = microbatches(range(len(lengths)), lengths, budget)
    assert sorted(chain(*parts)) == list(range(len(lengths)))
    for part in parts:
        padded = len(part) * max(lengths[row] for row in part)
        assert padded <= budget or len(part) == 1


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.randoms())
def test_the_order_of_the_rows_does_not_matter(lengths: list[int], rng: object) -> None:
    rows = list(range(len(lengths)))
    shuffled = rows[:]
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert microbatches(shuffled, lengths, 12) == microbatches(rows, lengths, 12)


def test_no_rows_no_parts() -> None:
    assert microbatches([], [], 64) == []
