"""Pre-trained encoders, and decoders that are read as such, from a folder that has been checked.

Safetensors only, no remote code. Shapes: B texts, T tokens, D hidden, C outputs.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tunesmith.models.heads import Head
from tunesmith.models.networks import network_of
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


def hidden_states(encoder: nn.Module, tokens_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """The vectors (B, T, D) of tokens; padding, on either side, changes no vector of a text."""
    output = encoder(input_ids=tokens_BT, attention_mask=mask_BT, **_decoder_inputs(encoder, mask_BT))
    states_BTD: Tensor = output.last_hidden_state
    return states_BTD


def _decoder_inputs(encoder: nn.Module, mask_BT: Tensor) -> dict[str, Any]:
    """What a decoder takes besides tokens and mask: no cache, and places that are counted from a text's first token.

    Without them, learned positions would be counted from the first place of the batch, padding or not.
    """
    config: Any = encoder.config
    if network_of({**vars(config), "model_type": config.model_type}) != "decoder":
        return {}
    inner: Any = encoder.get_base_model() if hasattr(encoder, "get_base_model") else encoder  # type: ignore[operator]
    known = inspect.signature(inner.forward).parameters
    given: dict[str, Any] = {"use_cache": False, "position_ids": (mask_BT.long().cumsum(1) - 1).clamp(min=0)}
    return {name: value for name, value in given.items() if name in known}


class TextNetwork(nn.Module):
    """An encoder, a pooling and a head as one network over token ids."""

    def __init__(self, encoder: nn.Module, head: Head, pooling: Pooling) -> None:
        super().__init__()
        self.encoder, self.head, self.pooling = encoder, head, pooling

    def features(self, tokens_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """The pooled vectors (B, D) in float32."""
        return pool(hidden_states(self.encoder, tokens_BT, mask_BT), mask_BT, self.pooling)

    def forward(self, tokens_BT: Tensor, mask_BT: Tensor, mix: Tensor | None = None) -> Tensor:
        """Logits (B, C), or values (B, 1), in float32."""
        logits_BC: Tensor = self.head(self.features(tokens_BT, mask_BT), mix)
        return logits_BC
