"""Only a new head learns: the network reads vectors that the frozen base has made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors.torch import load_file

from tunesmith.core.artifact import Artifact
from tunesmith.core.method import Network
from tunesmith.core.stage import Given
from tunesmith.models.folder import new_head, save_model
from tunesmith.models.heads import FeatureNetwork
from tunesmith.models.manifest import ModelManifest
from tunesmith.training.config import TrainStageConfig
from tunesmith.training.trainables.config import HeadConfig
from tunesmith.training.trainables.trainable import Columns


class HeadOnly:
    """A new head over the ACTIVATIONS artifact."""

    def __init__(self, config: HeadConfig) -> None:
        self.config = config

    def network(self, manifest: ModelManifest, base: Artifact) -> Network:
        """The head, reading ``features``."""
        return Network(FeatureNetwork(new_head(manifest)), reads=("features",), may_read=("mix",))

    def inputs(self, texts: Mapping[str, Sequence[str]], given: Given, train: TrainStageConfig) -> Columns:
        """For each split its cached vectors and the number of tokens that each row lost."""
        tensors = load_file(given["activations"].path / "features.safetensors")
        return {
            name: ([{"features": vector_D} for vector_D in tensors[name]], tensors[f"{name}_cut"].tolist())
            for name in texts
        }

    def save(self, manifest: ModelManifest, network: Network, base: Artifact, folder: Path) -> ModelManifest:
        """Write the head."""
        assert isinstance(network.module, FeatureNetwork)
        save_model(manifest, network.module.head, base.path / "files", folder)
        return manifest
