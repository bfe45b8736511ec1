"""Weights of Hugging Face folders in float32 and evaluation mode: safetensors only, no remote code, none made up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import nn

from tunesmith.core.errors import ModelError


def read_config(folder: Path) -> Any:
    """transformers' configuration of a folder.

    Raises: ModelError where there is none, or of an architecture that transformers does not have.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        raise ModelError("the model's config.json cannot be loaded", seen=f"{folder.name}: {error}") from error


def load_pretrained(
    auto: Any, folder: Path, config: Any, *, unused: Sequence[str] = (), next: str, **options: Any
) -> nn.Module:
    """The model that one of transformers' Auto classes opens; weights that start with ``unused`` may lack.

    Raises: ModelError where its weights cannot be read, some are missing, or some have another shape.
    """
    import torch
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model: nn.Module
    try:
        model, found = auto.from_pretrained(
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
        raise ModelError("the model's weights cannot be loaded", seen=f"{folder.name}: {error}", next=next) from error
    # transformers fills what a file lacks with random numbers and goes on. Shapes are checked here as well, for its
    # own error names no weight.
    wrong = {str(entry[0]) for entry in found["mismatched_keys"]} | set(found["missing_keys"])
    if wrong := {name for name in wrong if not name.startswith(tuple(unused))}:
        first = ", ".join(sorted(wrong)[:3])
        raise ModelError(
            "the model's weight file does not fit its config.json: weights are missing or of another shape",
            seen=f"{folder.name}: {first}" + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""),
            next="copy or download the model again",
        )
    return model.eval()
