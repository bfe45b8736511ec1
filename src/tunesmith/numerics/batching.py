"""Which rows go together: order of an epoch, and microbatches under a token budget. Pure index arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BUCKET_BATCHES = 50
"""Batches sorted together by length, as transformers' length-grouped sampler does."""


def epoch_order(lengths: Sequence[int], batch: int, *, seed: int, epoch: int, is_bucketed: bool) -> list[list[int]]:
    """The optimizer steps of an epoch as lists of row indices; every row once, the last step may be smaller.

    Bucketed: rows are shuffled, sorted by length within windows of 50 batches, and the batches shuffled, so that
    rows of a step have like lengths while the composition still changes every epoch.
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))
    if not is_bucketed:
        return [order[start : start + batch].tolist() for start in range(0, len(order), batch)]
    lengths_N = np.asarray(lengths)
    window = batch * BUCKET_BATCHES
    steps: list[list[int]] = []
    for start in range(0, len(order), window):
        rows = order[start : start + window]
        rows = rows[np.argsort(-lengths_N[rows], kind="stable")]
        steps += [rows[at : at + batch].tolist() for at in range(0, len(rows), batch)]
    return [steps[place] for place in generator.permutation(len(steps))]


def microbatches(rows: Sequence[int], lengths: Sequence[int], budget_tokens: int) -> list[list[int]]:
    """The rows, longest first, cut so that each part padded to its longest row stays within the budget.

    A single row longer than the budget is a part of its own.
    """
    parts: list[list[int]] = []
    longest = 0
    for row in sorted(rows, key=lambda index: (-lengths[index], index)):
        if parts and (len(parts[-1]) + 1) * longest <= budget_tokens:
            parts[-1].append(row)
        else:
            parts.append([row])
            longest = max(lengths[row], 1)
    return parts
