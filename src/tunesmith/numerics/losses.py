"""Losses as weighted sums with their weight, in float32 whatever the network computes in.

Shapes: B rows, C labels.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def cross_entropy(
    logits_BC: Tensor, target_B: Tensor, *, label_smoothing: float = 0.0, class_weight_C: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The summed cross-entropy and its weight; their quotient is ``torch.nn.CrossEntropyLoss``'s mean.

    With class weights w the weight is ``sum_b w[target_b]``, so a rare class counts w times a row.
    Source: label smoothing as Szegedy et al. 2016, section 7 (uniform prior over the labels).
    """
    total = F.cross_entropy(
        logits_BC.float(), target_B, weight=class_weight_C, label_smoothing=label_smoothing, reduction="sum"
    )
    weight = total.new_tensor(target_B.numel()) if class_weight_C is None else class_weight_C[target_B].sum()
    return total, weight


def squared_error(predicted_B: Tensor, target_B: Tensor) -> tuple[Tensor, Tensor]:
    """The summed squared error and the number of rows."""
    difference_B = predicted_B.float() - target_B.float()
    return difference_B.square().sum(), difference_B.new_tensor(target_B.numel())
