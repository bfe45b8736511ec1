"""Losses as weighted sums with their weight, in float32 whatever the network computes in.

Shapes: B rows, C labels, T tokens of a row, V vocabulary.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def cross_entropy(
    logits_BC: Tensor, target_B: Tensor, *, label_smoothing: float = 0.0, class_weight_C: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The summed cross-entropy and its weight; their quotient is ``torch.nn.CrossEntropyLoss``'s mean.

    With class weights w the weight is ``sum_b w[target_b]``, so a rare class counts w times a row. Targets may be
    indices (B) or shares of the labels (B, C), whose loss and weight are the same shares of each label's.
    Source: label smoothing as Szegedy et al. 2016, section 7 (uniform prior over the labels).
    """
    total = F.cross_entropy(
        logits_BC.float(), target_B, weight=class_weight_C, label_smoothing=label_smoothing, reduction="sum"
    )
    if class_weight_C is None:
        return total, total.new_tensor(len(target_B))
    return total, (class_weight_C[target_B] if target_B.ndim == 1 else target_B @ class_weight_C).sum()


def symmetric_kl(one_BC: Tensor, other_BC: Tensor) -> Tensor:
    """The summed mean of both Kullback-Leibler divergences between the rows' probabilities, from logits."""
    one_BC, other_BC = F.log_softmax(one_BC.float(), -1), F.log_softmax(other_BC.float(), -1)
    # (p - q)(log p - log q) is both divergences at once.
    return ((one_BC.exp() - other_BC.exp()) * (one_BC - other_BC)).sum() / 2


def squared_error(predicted_B: Tensor, target_B: Tensor) -> tuple[Tensor, Tensor]:
    """The summed squared error and the number of rows."""
    difference_B = predicted_B.float() - target_B.float()
    return difference_B.square().sum(), difference_B.new_tensor(target_B.numel())


def binary_cross_entropy(
    logits_BC: Tensor, target_BC: Tensor, *, label_smoothing: float = 0.0, positive_weight_C: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The binary cross-entropy summed over labels and rows, and the number of rows.

    A row's loss is the sum over its labels, not their mean: its gradient on one label does not shrink with the number
    of other labels. Smoothing moves 1 to 1 - s/2 and 0 to s/2; a yes of label c counts ``positive_weight_C[c]`` times.
    """
    wanted_BC = target_BC.float()
    if label_smoothing:
        wanted_BC = wanted_BC * (1 - label_smoothing) + label_smoothing / 2
    total = F.binary_cross_entropy_with_logits(
        logits_BC.float(), wanted_BC, pos_weight=positive_weight_C, reduction="sum"
    )
    return total, total.new_tensor(len(target_BC))


def token_cross_entropy(logits_BTV: Tensor, target_BT: Tensor, weight_BT: Tensor) -> tuple[Tensor, Tensor]:
    """The cross-entropy of each token times its weight, summed, and the sum of the weights.

    A place of weight 0 is not looked at: whatever its target and its logits are, it changes nothing.
    """
    is_counted_BT = weight_BT > 0
    weight_N = weight_BT[is_counted_BT].float()
    loss_N = F.cross_entropy(logits_BTV[is_counted_BT].float(), target_BT[is_counted_BT], reduction="none")
    return (loss_N * weight_N).sum(), weight_N.sum()
