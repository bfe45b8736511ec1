"""In which number type weights are kept. Loads no torch until weights are cast."""

from __future__ import annotations

from collections import Counter
from math import prod
from pathlib import Path
from typing import Any, Literal, get_args

from tunesmith.core.errors import ModelError

Dtype = Literal["float32", "bfloat16", "float16"]
DTYPES: tuple[Dtype, ...] = get_args(Dtype)
IN_HEADERS: dict[str, Dtype] = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}


def weights_dtype(folder: Path) -> Dtype:
    """The type of most weights in a Hugging Face folder; float32 where it is none that models are written in."""
    from safetensors import safe_open

    numbers: Counter[str] = Counter()
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="np") as weights:
            for name in weights.keys():  # noqa: SIM118  (a handle is no dictionary)
                part = weights.get_slice(name)
                numbers[part.get_dtype()] += prod(part.get_shape())
    most = numbers.most_common(1)[0][0] if numbers else ""
    return IN_HEADERS.get(most, "float32")


def cast(module: Any, dtype: Dtype) -> None:
    """Round a network's weights; its buffers, as the frequencies of positions, stay.

    Raises: ModelError where a weight is larger than the type can hold.
    """
    import torch

    kind = getattr(torch, dtype)
    for name, weight in module.named_parameters():
        largest = float(weight.detach().abs().max()) if weight.numel() else 0.0
        if largest > torch.finfo(kind).max:
            raise ModelError(
                f"a weight is larger than {dtype} can hold",
                seen=f"{name}: {largest:.3g}",
                allowed=f"at most {torch.finfo(kind).max:.5g}",
                next="--dtype bfloat16, which has the range of float32",
            )
        weight.data = weight.data.to(kind)
