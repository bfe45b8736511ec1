"""Low-rank adapters and a new head learn: the network reads tokens, the base's weights stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tunesmith.core.artifact import Artifact
from tunesmith.core.method import Network
from tunesmith.core.stage import Given
from tunesmith.models.adapters import add_lora, merged, save_adapter, weights_digest
from tunesmith.models.encoder import TextNetwork, load_encoder
from tunesmith.models.folder import new_head, save_model
from tunesmith.models.manifest import ADAPTER, AdapterReference, ModelManifest
from tunesmith.training.config import TrainStageConfig
from tunesmith.training.trainables.config import LoraConfig
from tunesmith.training.trainables.full import token_columns
from tunesmith.training.trainables.trainable import Columns


class Lora:
    """The base with PEFT's adapters, and a new head."""

    def __init__(self, config: LoraConfig) -> None:
        self.config = config

    def network(self, manifest: ModelManifest, base: Artifact) -> Network:
        """The network to train, reading ``tokens`` and ``mask``; only adapters and head have a gradient."""
        config, head = self.config, new_head(manifest)
        adapted = add_lora(
            load_encoder(base.path / "files"),
            rank=config.rank,
            alpha=config.alpha,
            dropout=config.dropout,
            rslora=config.rslora,
            targets=None if config.targets == "auto" else config.targets,
        )
        network = TextNetwork(adapted, head, manifest.network.pooling)
        return Network(network, reads=("tokens", "mask"), may_read=("mix",))

    def inputs(self, texts: Mapping[str, Sequence[str]], given: Given, train: TrainStageConfig) -> Columns:
        """For each split its input columns and the number of tokens that each row lost."""
        return token_columns(texts, given, train)

    def save(self, manifest: ModelManifest, network: Network, base: Artifact, folder: Path) -> ModelManifest:
        """Write the head, and the adapter as PEFT does; or the merged encoder where that was asked for."""
        module = network.module
        assert isinstance(module, TextNetwork)
        if self.config.merge:
            whole = TextNetwork(merged(module.encoder), module.head, module.pooling)
            save_model(manifest, whole, base.path / "files", folder)
            return manifest
        reference = AdapterReference(base_weights=weights_digest(base.path / "files"))
        manifest = manifest.model_copy(update={"adapter": reference})
        save_model(manifest, module.head, base.path / "files", folder)
        save_adapter(module.encoder, manifest, folder / ADAPTER)
        return manifest
