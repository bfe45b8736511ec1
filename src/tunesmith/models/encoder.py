"""Pre-trained encoders, from a folder that has been checked: safetensors only, no remote code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn

from tunesmith.core.errors import ModelError
from tunesmith.models.heads import Head
from tunesmith.numerics.pooling import Pooling, pool


def load_encoder(folder: Path) -> nn.Module:
    """The encoder of a Hugging Face folder, in float32 and evaluation mode.

    Raises: ModelError where its weights cannot be read or some are missing.
    """
    import torch
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model: nn.Module
    try:
        config: Any = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        options: dict[str, Any] = {}
        if config.model_type in ("bert", "roberta", "xlm-roberta", "camembert", "mpnet"):
            # The pooler is a layer of the pre-training task: we pool ourselves, and it would only cost and never learn.
            options["add_pooling_layer"] = False
        model, found = AutoModel.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **options,
        )
    except (OSError, ValueError, RuntimeError, TypeError, SafetensorError) as error:
        raise ModelError(
            "the model's weights cannot be loaded",
            seen=f"{folder.name}: {error}",
            next="copy or download the model again, or write `model: embedded`",
        ) from error
    # transformers fills what a file lacks with random numbers and goes on; only the pooler, which is unused, may lack.
    # Shapes are checked here as well, for its own error names no weight.
    wrong = {str(entry[0]) for entry in found["mismatched_keys"]} | set(found["missing_keys"])
    wrong = {name for name in wrong if not name.startswith("pooler.")}
    if wrong:
        first = ", ".join(sorted(wrong)[:3])
        raise ModelError(
            "the model's weight file does not fit its config.json: weights are missing or of another shape",
            seen=f"{folder.name}: {first}" + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""),
            next="copy or download the model again",
        )
    return model.eval()


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
