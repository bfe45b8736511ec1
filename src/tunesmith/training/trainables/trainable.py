"""What every kind of trainable has: which weights learn, what they read, and how they are saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tunesmith.core.artifact import Artifact
from tunesmith.core.method import Network, Row
from tunesmith.core.stage import Given
from tunesmith.models.manifest import ModelManifest

if TYPE_CHECKING:
    from tunesmith.training.config import TrainStageConfig

Columns = Mapping[str, tuple[list[Row], list[int]]]
"""By split: the input columns of each row, and the tokens that each row lost."""


class Trainable(Protocol):
    """One kind of trainable, made from its config."""

    def network(self, manifest: ModelManifest, base: Artifact) -> Network:
        """The network to train; what in it must not move has no gradient. Takes torch's global random state."""

    def inputs(self, texts: Mapping[str, Sequence[str]], given: Given, train: TrainStageConfig) -> Columns:
        """For each split its input columns and the number of tokens that each row lost."""

    def save(self, manifest: ModelManifest, network: Network, base: Artifact, folder: Path) -> ModelManifest:
        """Write the trained model; the manifest that it was written with."""
