"""The top layers and a new head learn: the network reads hidden states that the layers below have given once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import StepError
from tunesmith.core.method import Network
from tunesmith.core.stage import Given
from tunesmith.models.architectures import cut_of
from tunesmith.models.encoder import TextNetwork, load_encoder
from tunesmith.models.folder import new_head, save_model
from tunesmith.models.layers import TopNetwork
from tunesmith.models.manifest import ModelManifest
from tunesmith.training import states
from tunesmith.training.config import TrainStageConfig
from tunesmith.training.trainables.config import TopLayersConfig
from tunesmith.training.trainables.trainable import Columns


class TopLayers:
    """The layers above the cut and a new head, over the states of the ``layers`` stage."""

    def __init__(self, config: TopLayersConfig) -> None:
        self.config = config

    def network(self, manifest: ModelManifest, base: Artifact) -> Network:
        """The layers above the cut and the head, reading ``states`` and their mask."""
        head = new_head(manifest)
        encoder = load_encoder(base.path / "files")
        network = TopNetwork(encoder, cut_of(base.facts, self.config.layers), head, manifest.network.pooling)
        return Network(network, reads=("states", "states_mask"), may_read=("mix",))

    def inputs(self, texts: Mapping[str, Sequence[str]], given: Given, train: TrainStageConfig) -> Columns:
        """For each split the states of its rows, read from disk as they are needed, and the tokens each row lost."""
        layers, cut = given["layers"], cut_of(given["base"].facts, self.config.layers)
        if layers.facts["cut"] != cut:
            raise StepError(
                "the cached states enter another layer than the lowest one that learns",
                seen=f"layer {layers.facts['cut']}, and `layers: {self.config.layers}` learns from layer {cut} on",
                next="leave `train.trainable.layers` out of `tune.space`: its values need caches of their own",
            )
        found = states.read(layers.path / states.FILE, list(texts))
        return {name: ([{"states": one} for one in split.rows], split.cut) for name, split in found.items()}

    def save(self, manifest: ModelManifest, network: Network, base: Artifact, folder: Path) -> ModelManifest:
        """Write the head and the whole encoder, its top layers as they were trained."""
        module = network.module
        assert isinstance(module, TopNetwork)
        files = base.path / "files"
        encoder = module.put_back(load_encoder(files), cut_of(base.facts, self.config.layers))
        save_model(manifest, TextNetwork(encoder, module.head, module.pooling), files, folder)
        return manifest
