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
FILES, STATE = "files.json", "state.json"
TENSORS = ("weights", "best", "optimizer")

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

    def __init__(self, folder: Path, warn: Callable[[str], None], state: Mapping[str, Any]) -> None:
        """``state``: that of a run which has not begun; a checkpoint that lacks a field of it is not taken up."""
        self.folder, self.warn, self.fields = folder, warn, _fields(state)
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, step: int, checkpoint: Checkpoint) -> None:
        """Publish a checkpoint and drop those it replaces."""
        new = self.folder / "new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        for name in TENSORS:
            save_file(getattr(checkpoint, name), new / f"{name}.safetensors")
        write_json(new / STATE, checkpoint.state)
        write_json(new / FILES, digests.of_folder(new))
        place = self.folder / f"step-{step:09d}"
        shutil.rmtree(place, ignore_errors=True)
        publish_folder(new, place)
        # A later step is of a course that was left, because it was damaged or spoiled: it must not crowd out this one.
        later = [other for other in self._all() if other.name > place.name]
        for old in (*later, *self._all()[len(later) + KEPT :]):
            shutil.rmtree(old)

    def load(self) -> Checkpoint | None:
        """The newest checkpoint whose every byte is as it was written, or none; damaged ones are named and passed."""
        found = next(iter(self.newest_first()), None)
        if found is None and self._all():
            self.warn("no checkpoint is whole: training starts from the beginning")
        return found

    def newest_first(self) -> Iterator[Checkpoint]:
        """Every checkpoint whose every byte is as it was written, each read when it is asked for."""
        for place in self._all():
            damaged = _damage(place) or self._other_fields(place)
            if damaged is None:
                tensors = {name: load_file(place / f"{name}.safetensors") for name in TENSORS}
                yield Checkpoint(state=_state(place), **tensors)
            else:
                self.warn(f"checkpoint {place.name} is damaged ({damaged}): it is passed over for the one before it")

    def _other_fields(self, place: Path) -> str | None:
        """How the fields of a state differ from those that this version writes."""
        found = _fields(_state(place))
        differing = [*(f"no `{name}`" for name in sorted(self.fields - found)), *sorted(found - self.fields)]
        return f"{STATE} of another version: {', '.join(differing)}" if differing else None

    def _all(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"), reverse=True)


def _damage(place: Path) -> str | None:
    """The first file that is not as it was written."""
    try:
        text = (place / FILES).read_text(encoding="utf-8")
        expected: Mapping[str, str] = dict(json.loads(text))
    except (OSError, ValueError, TypeError):
        return f"{FILES} is missing or cut"
    if not text.endswith("}\n"):
        return f"{FILES} is cut"
    for name in (STATE, *(f"{one}.safetensors" for one in TENSORS)):
        try:
            if name not in expected or digests.of_file(place / name) != expected[name]:
                return f"{name} has changed"
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
    return None


def _state(place: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((place / STATE).read_text(encoding="utf-8"))
    return found


def _fields(state: Mapping[str, Any]) -> set[str]:
    """The names of a state's fields; those of a part have its name in front."""
    parts = {name: one for name, one in state.items() if isinstance(one, dict)}
    return set(state) | {f"{name}.{inner}" for name, one in parts.items() for inner in one}


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
