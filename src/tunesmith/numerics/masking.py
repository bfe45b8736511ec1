"""Tokens hidden for a masked language model to guess."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MASKED, REPLACED = 0.8, 0.1
"""Shares of the chosen tokens that become the mask token, or another token; the others stay as they are."""


def hide(
    tokens: Sequence[int],
    may_hide_T: NDArray[np.bool_],
    *,
    share: float,
    mask_id: int,
    num_vocabulary: int,
    generator: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The tokens as the model sees them, and 1 where it has to guess the true one.

    Source: Devlin et al. 2019, section 3.1 and appendix A.1: 80 % masked, 10 % another
    token of the vocabulary, 10 % unchanged; each token chosen on its own.
    """
    true_T = np.asarray(tokens, dtype=np.int64)
    is_chosen_T = (generator.random(len(true_T)) < share) & may_hide_T
    fate_T = generator.random(len(true_T))
    other_T = generator.integers(num_vocabulary, size=len(true_T))
    seen_T = np.where(is_chosen_T & (fate_T < MASKED), mask_id, true_T)
    is_replaced_T = is_chosen_T & (fate_T >= MASKED) & (fate_T < MASKED + REPLACED)
    return np.where(is_replaced_T, other_T, seen_T), is_chosen_T.astype(np.float32)
