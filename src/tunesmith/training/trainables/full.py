"""Every weight learns: the network reads tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tunesmith.core.artifact import Artifact
from tunesmith.core.method import Network, Row
from tunesmith.core.stage import Given
from tunesmith.models.encoder import TextNetwork, load_encoder
from tunesmith.models.folder import new_head, save_model
from tunesmith.models.manifest import ModelManifest
from tunesmith.training.config import TrainStageConfig
from tunesmith.training.features import open_tokenizer
from tunesmith.training.trainables.config import FullConfig
from tunesmith.training.trainables.trainable import Columns


class Full:
    """The base and a new head, both trained."""

    def __init__(self, config: FullConfig) -> None:
        self.config = config

    def network(self, manifest: ModelManifest, base: Artifact) -> Network:
        """The network to train, reading ``tokens`` and ``mask``."""
        head = new_head(manifest)
        encoder = load_encoder(base.path / "files")
        network = TextNetwork(encoder, head, manifest.network.pooling)
        return Network(network, reads=("tokens", "mask"), may_read=("mix",))

    def inputs(self, texts: Mapping[str, Sequence[str]], given: Given, train: TrainStageConfig) -> Columns:
        """For each split its input columns and the number of tokens that each row lost."""
        return token_columns(texts, given, train)

    def save(self, manifest: ModelManifest, network: Network, base: Artifact, folder: Path) -> ModelManifest:
        """Write the head and the encoder."""
        assert isinstance(network.module, TextNetwork)
        save_model(manifest, network.module, base.path / "files", folder)
        return manifest


def token_columns(texts: Mapping[str, Sequence[str]], given: Given, train: TrainStageConfig) -> Columns:
    """For each split its token ids and the number of tokens that each row lost."""
    base = given["base"]
    tokenizer, _ = open_tokenizer(base.path / "files", base.facts, train.features())
    encoded = {name: tokenizer.encode(list(members)) for name, members in texts.items()}
    columns: dict[str, tuple[list[Row], list[int]]] = {
        name: ([{"tokens": one.ids} for one in members], [one.num_cut for one in members])
        for name, members in encoded.items()
    }
    return columns
