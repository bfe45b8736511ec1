"""How surely a text is one that a classifier knows, from its logits.

Shapes: B rows, C labels.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

RejectionScore = Literal["max_probability", "max_logit", "energy"]


def rejection_score(logits_BC: Tensor, kind: RejectionScore, temperature: float = 1.0) -> Tensor:
    """A number for each row, higher where the text is known: (B,).

    Source: largest probability, Hendrycks and Gimpel 2017; largest logit, Hendrycks et al. 2022; the negative energy
    at temperature 1, Liu et al. 2020, eq. 4. Only the first is of the calibrated probabilities.
    """
    if kind == "max_probability":
        return (logits_BC / temperature).softmax(-1).amax(-1)
    return logits_BC.amax(-1) if kind == "max_logit" else logits_BC.logsumexp(-1)
