"""What the machine is and what this process has used of it. Loads no torch."""

from __future__ import annotations

import os
import platform
import resource
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

RECORDED = ("tunesmith", "torch", "transformers", "tokenizers", "scikit-learn", "polars", "numpy")


def num_cores() -> int:
    """The processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def total_bytes() -> int:
    """The machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def available_bytes() -> int:
    """The memory that can be had without swapping."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return total_bytes() // 2


def peak_bytes() -> int:
    """The most memory this process has had resident."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            # Unlike getrusage's figure, this one starts anew with the program: a child does not begin at its parent's.
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def has_bfloat16() -> bool:
    """Whether the processor says that it multiplies bfloat16 in hardware."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def hardware() -> dict[str, Any]:
    """The machine in the words of a report."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass
    return {
        "processor": name,
        "cores": num_cores(),
        "memory_bytes": total_bytes(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def fingerprint() -> str:
    """What tells this machine from others: a time holds only where it was measured."""
    seen = hardware()
    return f"{seen['processor']}, {seen['cores']} cores, {seen['memory_bytes']} bytes, {seen['system']}"


def versions() -> dict[str, str]:
    """The versions of the packages a result depends on."""
    found = {}
    for name in RECORDED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
