"""Engines of the trained model and of the base it came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from tunesmith.evaluation.answering import Submits


class Writer(Submits, Protocol):
    """An opened engine that writes and scores."""

    @property
    def notes(self) -> Sequence[str]:
        """What to know of its answers."""

    def close(self) -> None:
        """Free the model's memory."""


OpenModel = Callable[[Path, Path], Writer]
"""Opens the model of a folder; the second folder is its base's."""
OpenBase = Callable[[Path, Path], Writer]
"""Opens the untrained base of the second folder with the template of the model in the first."""


def open_model(model: Path, base: Path) -> Writer:
    """The trained model in this process."""
    from tunesmith.engines.generation import GenerationEngine

    return GenerationEngine.open(model, base)


def open_base(model: Path, base: Path) -> Writer:
    """The untrained base, asked exactly as the model is."""
    from tunesmith.engines.generation import GenerationEngine
    from tunesmith.models.templates.template import FILE, own_template

    own, trained = own_template(base / "files"), own_template(model)
    is_own = own is not None and trained is not None and own.digest == trained.digest
    return GenerationEngine.open_base(base, "chat", "auto" if is_own else str(model / FILE))
