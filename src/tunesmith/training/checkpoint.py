"""Checkpoints that survive a kill at any moment: written whole or not at all, verified before they are believed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from tunesmith.core import digests
from tunesmith.store.files import publish_folder, write_json

KEPT = 2
"""Checkpoints kept, so that a damaged newest one has a good one before it."""
FILES = "files.json"

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """Everything a run needs to go on as if it had never stopped."""

    state: dict[str, Any]
    weights: Tensors
    best: Tensors
    optimizer: Tensors


class Checkpoints:
    """The checkpoints of one training step, in a folder of their own."""

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        self.folder, self.warn = folder, warn
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, step: int, checkpoint: Checkpoint) -> None:
        """Publish a checkpoint and drop those it replaces."""
        new = self.folder / "new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        for name in ("weights", "best", "optimizer"):
            save_file(getattr(checkpoint, name), new / f"{name}.safetensors")
        write_json(new / "state.json", checkpoint.state)
        write_json(new / FILES, digests.of_folder(new))
        place = self.folder / f"step-{step:09d}"
        shutil.rmtree(place, ignore_errors=True)
        publish_folder(new, place)
        for old in self._all()[KEPT:]:
            shutil.rmtree(old)

    def load(self) -> Checkpoint | None:
        """The newest checkpoint whose every byte is as it was written, or none; damaged ones are named and passed."""
        return next(iter(self.newest_first()), None)

    def newest_first(self) -> Iterator[Checkpoint]:
        """Every checkpoint whose every byte is as it was written, each read when it is asked for."""
        for place in self._all():
            damaged = _damage(place)
            if damaged is None:
                tensors = {name: load_file(place / f"{name}.safetensors") for name in ("weights", "best", "optimizer")}
                yield Checkpoint(state=json.loads((place / "state.json").read_text()), **tensors)
            else:
                self.warn(f"checkpoint {place.name} is damaged ({damaged}): going back to the one before it")

    def _all(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"), reverse=True)


def _damage(place: Path) -> str | None:
    """The first file that is not as it was written."""
    try:
        expected: Mapping[str, str] = json.loads((place / FILES).read_text())
    except (OSError, ValueError):
        return f"{FILES} is missing or cut"
    for name, digest in expected.items():
        if not (place / name).is_file() or digests.of_file(place / name) != digest:
            return f"{name} has changed"
    return None


def optimizer_tensors(optimizers: Mapping[str, Optimizer]) -> Tensors:
    """The moments of optimizers as named tensors: ``role/parameter number/moment``."""
    tensors: Tensors = {}
    for role, optimizer in optimizers.items():
        for number, moments in optimizer.state_dict()["state"].items():
            for name, value in moments.items():
                if value is not None:
                    tensors[f"{role}/{number}/{name}"] = torch.as_tensor(value).clone()
    return tensors


def restore_optimizers(optimizers: Mapping[str, Optimizer], tensors: Tensors) -> None:
    """Put saved moments back; learning rates are set by the schedule in every step."""
    for role, optimizer in optimizers.items():
        whole = optimizer.state_dict()
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            owner, number, name = key.split("/")
            if owner == role:
                state.setdefault(int(number), {})[name] = value
        whole["state"] = state
        optimizer.load_state_dict(whole)
