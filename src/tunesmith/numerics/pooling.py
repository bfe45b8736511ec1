"""One vector for a text from the vectors of its tokens.

Shapes: B texts, T tokens, D hidden.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Pooling = Literal["mean", "cls", "last"]


def pool(hidden_BTD: Tensor, mask_BT: Tensor, how: Pooling) -> Tensor:
    """The pooled vectors (B, D) in float32; padding never counts."""
    if how == "cls":
        return hidden_BTD[:, 0].float()
    if how == "last":
        # The only token of a decoder that has seen all others.
        last_B = (mask_BT.long().cumsum(1) * mask_BT.long()).argmax(1)
        return hidden_BTD[torch.arange(len(hidden_BTD), device=hidden_BTD.device), last_B].float()
    mask_BT1 = mask_BT.unsqueeze(-1).float()
    return (hidden_BTD.float() * mask_BT1).sum(1) / mask_BT1.sum(1).clamp(min=1.0)
