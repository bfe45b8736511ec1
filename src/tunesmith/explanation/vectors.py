"""Stage ``vectors``: every training row as the model itself sees it, for all who look for rows that are alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.explanation.config import VectorsConfig
from tunesmith.numerics.batching import microbatches

if TYPE_CHECKING:
    from tunesmith.models.encoder import TextNetwork
    from tunesmith.models.tokenizer import Tokenizer

FILE = "vectors.safetensors"


class Vectors:
    """Pooled features of the training rows, before they are scaled or enter the head."""

    makes: ClassVar[Mapping[str, str]] = {"vectors": "activations"}

    def __init__(self, config: VectorsConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the vectors: `train` (rows, hidden) in vectors.safetensors, in the order of the split's file.

        Where only a head was trained over given activations, they are what the model sees, and nothing is run.
        """
        from safetensors.numpy import save_file

        from tunesmith.models.folder import open_model

        manifest, network, tokenizer = open_model(given["model"].path, given["base"].path)
        texts = pl.read_parquet(given["splits"].path / "train.parquet", columns=["text"])["text"].to_list()
        made = given["activations"] if manifest.trainable == "head" and "activations" in given else None
        if made is None:
            vectors_ND = features_of(network, tokenizer, texts, context, self.config.budget_tokens)
        else:
            from safetensors.numpy import load_file

            vectors_ND = load_file(made.path / "features.safetensors")["train"]
        folder = context.out / "vectors"
        folder.mkdir(parents=True, exist_ok=True)
        save_file({"train": np.ascontiguousarray(vectors_ND, np.float32)}, folder / FILE)
        return {"vectors": {"hidden": int(vectors_ND.shape[1]), "rows": {"train": len(vectors_ND)}}}


def features_of(
    network: TextNetwork,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    context: StepContext | None = None,
    budget_tokens: int = 4096,
) -> NDArray[np.float32]:
    """The pooled features (rows, hidden) of texts, in their order."""
    import torch

    from tunesmith.numerics.padding import pad

    encoded = tokenizer.encode(texts)
    lengths = [len(one.ids) for one in encoded]
    found: dict[int, Any] = {}
    for part in microbatches(range(len(texts)), lengths, budget_tokens):
        if context is not None:
            context.check_cancelled()
        tokens_BT, mask_BT = pad([encoded[place].ids for place in part])
        with torch.inference_mode():
            features_BD = network.features(tokens_BT, mask_BT).numpy()
        found |= dict(zip(part, features_BD, strict=True))
        if context is not None:
            context.progress(len(found), len(texts), "rows", "training rows")
    if not found:
        return np.zeros((0, network.head.linear.in_features), np.float32)
    stacked: NDArray[np.float32] = np.stack([found[place] for place in range(len(texts))])
    return stacked
