"""The next token from logits: the likeliest, or one drawn from the likeliest ones.

Shapes: B rows, V ids of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def likeliest(logits_BV: Tensor) -> Tensor:
    """The id with the highest logit (B,)."""
    return logits_BV.argmax(-1)


def drawn(logits_BV: Tensor, uniform_B: Sequence[float], *, temperature: float, top_p: float = 1.0) -> Tensor:
    """An id for each row (B,), by inverting the distribution at the row's number in [0, 1).

    A row's id hangs on its own logits and number alone, so the other rows of a batch change nothing.
    Source: Holtzman et al. 2020, section 3.1 (nucleus): the smallest set of likeliest ids whose probability reaches
    ``top_p``, the id that reaches it included.
    """
    probabilities_BV = (logits_BV.double() / temperature).softmax(-1)
    ordered_BV, ids_BV = probabilities_BV.sort(stable=True, dim=-1, descending=True)
    before_BV = ordered_BV.cumsum(-1) - ordered_BV
    kept_BV = torch.where(before_BV < top_p, ordered_BV, 0.0)
    reached_BV = kept_BV.cumsum(-1)
    wanted_B1 = torch.tensor(uniform_B, dtype=torch.double, device=logits_BV.device).unsqueeze(-1) * reached_BV[:, -1:]
    # Rounding can leave the last sum below what is wanted: then it is the last id that was kept.
    place_B1 = torch.minimum((reached_BV <= wanted_B1).sum(-1, keepdim=True), (kept_BV > 0).sum(-1, keepdim=True) - 1)
    chosen_B: Tensor = ids_BV.gather(-1, place_B1).squeeze(-1)
    return chosen_B
