"""Only a new head learns: the network reads vectors that the frozen base has made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from safetensors.torch import load_file

from tunesmith.core.artifact import Artifact
from tunesmith.core.method import Network, Row
from tunesmith.core.stage import Given
from tunesmith.models.folder import new_head
from tunesmith.models.manifest import ModelManifest
from tunesmith.training.config import TrainStageConfig
from tunesmith.training.trainables.config import HeadConfig


class HeadOnly:
    """A new head over the ACTIVATIONS artifact."""

    def __init__(self, config: HeadConfig) -> None:
        self.config = config

    def network(self, manifest: ModelManifest, base: Artifact) -> Network:
        """The head, reading ``features``."""
        return Network(new_head(manifest), reads=("features",))

    def inputs(
        self, texts: Mapping[str, Sequence[str]], given: Given, train: TrainStageConfig
    ) -> Mapping[str, tuple[list[Row], list[int]]]:
        """For each split its cached vectors and the number of tokens that each row lost."""
        tensors = load_file(given["activations"].path / "features.safetensors")
        return {
            name: ([{"features": vector_D} for vector_D in tensors[name]], tensors[f"{name}_cut"].tolist())
            for name in texts
        }
