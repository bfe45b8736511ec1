"""Pre-trained encoders, from a folder that has been checked: safetensors only, no remote code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tunesmith.models.heads import Head
from tunesmith.models.pretrained import load_pretrained, read_config
from tunesmith.numerics.pooling import Pooling, pool


def load_encoder(folder: Path) -> nn.Module:
    """The encoder of a Hugging Face folder, in float32 and evaluation mode.

    Raises: ModelError where its weights cannot be read or some are missing.
    """
    from transformers import AutoModel

    config = read_config(folder)
    options: dict[str, Any] = {}
    if config.model_type in ("bert", "roberta", "xlm-roberta", "camembert", "mpnet"):
        # The pooler is a layer of the pre-training task: we pool ourselves, and it would only cost and never learn.
        options["add_pooling_layer"] = False
    again = "copy or download the model again, or write `model: embedded`"
    return load_pretrained(AutoModel, folder, config, unused=("pooler.",), next=again, **options)


class TextNetwork(nn.Module):
    """An encoder, a pooling and a head as one network over token ids."""

    def __init__(self, encoder: nn.Module, head: Head, pooling: Pooling) -> None:
        super().__init__()
        self.encoder, self.head, self.pooling = encoder, head, pooling

    def features(self, tokens_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """The pooled vectors (B, D) in float32."""
        output = self.encoder(input_ids=tokens_BT, attention_mask=mask_BT)
        return pool(output.last_hidden_state, mask_BT, self.pooling)

    def forward(self, tokens_BT: Tensor, mask_BT: Tensor, mix: Tensor | None = None) -> Tensor:
        """Logits (B, C), or values (B, 1), in float32."""
        logits_BC: Tensor = self.head(self.features(tokens_BT, mask_BT), mix)
        return logits_BC
