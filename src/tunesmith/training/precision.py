"""Which number format this machine computes in, and where its random numbers start."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal

import torch

Precision = Literal["float32", "bfloat16"]


def seed_generators(seed: int) -> None:
    """Start the random generators of the processor and of the GPUs, where there are any, at a seed.

    ``torch.manual_seed`` does the same, but without a GPU it queues the call for one, with the whole call stack, each
    time: a third of a head's step, and memory that is never given back.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)


def has_fast_bfloat16() -> bool:
    """Whether the processor, or the GPU, multiplies bfloat16 matrices in hardware."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    flags = torch.backends.cpu.get_cpu_capability()
    is_avx512 = bool(torch.cpu._is_avx512_bf16_supported())
    return flags.startswith("AVX512") and (is_avx512 or bool(torch.cpu._is_amx_tile_supported()))


def resolve(wanted: Literal["auto", "float32", "bfloat16"]) -> Precision:
    """The format to compute in; ``auto`` takes bfloat16 where it is fast. Weights and sums stay float32 either way."""
    if wanted == "auto":
        return "bfloat16" if has_fast_bfloat16() else "float32"
    return wanted


def autocast(precision: Precision, device: str) -> AbstractContextManager[None]:
    """A context in which matrix products run in that format."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bfloat16")
