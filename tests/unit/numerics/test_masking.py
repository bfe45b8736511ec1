"""Hidden tokens: how many, which, and what becomes of them."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.numerics.masking import hide

NUM, MASK, VOCABULARY = 200_000, 3, 1000


@pytest.mark.parametrize("share", [0.15, 0.4])
def test_the_shares_are_those_of_bert(share: float) -> None:
    """80 % masked, 10 % another token, 10 % as they are; within four standard deviations."""
    true_T = np.full(NUM, 500)
    open_T = np.arange(NUM) % 2 == 0
    seen_T, chosen_T = hide(
        true_T.tolist(),
        open_T,
        share=share,
        mask_id=MASK,
        num_vocabulary=VOCABULARY,
        generator=np.random.default_rng(0),
    )
    chosen = chosen_T > 0
    assert not chosen[~open_T].any() and (seen_T[~chosen] == 500).all()
    num_chosen = int(chosen.sum())
    assert abs(num_chosen - share * NUM / 2) < 4 * np.sqrt(NUM / 2 * share * (1 - share))
    masked = float((seen_T[chosen] == MASK).mean())
    kept = float((seen_T[chosen] == 500).mean())
    slack = 4 * np.sqrt(0.8 * 0.2 / num_chosen)
    assert abs(masked - (0.8 + 0.1 / VOCABULARY)) < slack
    assert abs(kept - (0.1 + 0.1 / VOCABULARY)) < slack
    others = seen_T[chosen & (seen_T != MASK) & (seen_T != 500)]
    assert others.min() >= 0 and others.max() < VOCABULARY and len(np.unique(others)) > 0.7 * VOCABULARY


def test_equal_seeds_hide_alike() -> None:
    def drawn(seed: int) -> list[int]:
        rng = np.random.default_rng([seed, 7, 1])
        return hide(range(100), np.ones(100, bool), share=0.5, mask_id=3, num_vocabulary=100, generator=rng)[0].tolist()

    assert drawn(1) == drawn(1) != drawn(2)
