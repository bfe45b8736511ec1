"""Every weight learns: the network reads tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tunesmith.core.artifact import Artifact
from tunesmith.core.method import Network, Row
from tunesmith.core.stage import Given
from tunesmith.models.encoder import TextNetwork, load_encoder
from tunesmith.models.folder import new_head
from tunesmith.models.manifest import ModelManifest
from tunesmith.training.config import TrainStageConfig
from tunesmith.training.features import open_tokenizer
from tunesmith.training.trainables.config import FullConfig


class Full:
    """The base and a new head, both trained."""

    def __init__(self, config: FullConfig) -> None:
        self.config = config

    def network(self, manifest: ModelManifest, base: Artifact) -> Network:
        """The network to train, reading ``tokens`` and ``mask``."""
        head = new_head(manifest)
        encoder = load_encoder(base.path / "files")
        return Network(TextNetwork(encoder, head, manifest.network.pooling), reads=("tokens", "mask"))

    def inputs(
        self, texts: Mapping[str, Sequence[str]], given: Given, train: TrainStageConfig
    ) -> Mapping[str, tuple[list[Row], list[int]]]:
        """For each split its input columns and the number of tokens that each row lost."""
        base = given["base"]
        tokenizer, _ = open_tokenizer(base.path / "files", base.facts, train.features())
        encoded = {name: tokenizer.encode(list(members)) for name, members in texts.items()}
        return {
            name: ([{"tokens": one.ids} for one in members], [one.num_cut for one in members])
            for name, members in encoded.items()
        }
