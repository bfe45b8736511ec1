"""The features stage: the frozen base runs once over every row, for all who need its vectors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from safetensors.torch import save_file

from tunesmith.core.errors import DataError
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.models.encoder import hidden_states, load_encoder
from tunesmith.models.tokenizer import Tokenizer
from tunesmith.numerics.batching import microbatches
from tunesmith.numerics.padding import pad
from tunesmith.numerics.pooling import Pooling, pool
from tunesmith.training.config import FeaturesConfig
from tunesmith.training.precision import autocast, resolve
from tunesmith.training.rows import SPLITS, read_split

BUDGET_TOKENS = 4096
"""Padded tokens in one forward pass; memory only."""


class Features:
    """Pooled vectors of every split, and how many tokens each row lost."""

    makes: ClassVar[Mapping[str, str]] = {"activations": "activations"}

    def __init__(self, config: FeaturesConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the activations: `<split>` (rows, hidden) and `<split>_cut` (rows) in features.safetensors."""
        base, splits = given["base"], given["splits"]
        tokenizer, pooling = open_tokenizer(base.path / "files", base.facts, self.config)
        encoder = load_encoder(base.path / "files")
        precision = resolve(self.config.precision)
        total = sum(splits.facts["splits"][name] for name in SPLITS)
        done = 0
        tensors: dict[str, torch.Tensor] = {}
        num_tokens = 0
        for name in SPLITS:
            encoded = tokenizer.encode(read_split(splits, name).texts)
            lengths = [len(one.ids) for one in encoded]
            num_tokens += sum(lengths)
            features_ND = torch.zeros(len(encoded), base.facts["hidden"])
            for part in microbatches(range(len(encoded)), lengths, BUDGET_TOKENS):
                context.check_cancelled()
                tokens_BT, mask_BT = pad([encoded[place].ids for place in part])
                with torch.inference_mode(), autocast(precision, "cpu"):
                    features_ND[part] = pool(hidden_states(encoder, tokens_BT, mask_BT), mask_BT, pooling)
                done += len(part)
                context.progress(done, total, "rows", name)
            tensors[name] = features_ND
            tensors[f"{name}_cut"] = torch.tensor([one.num_cut for one in encoded], dtype=torch.int32)
        return {"activations": _write(tensors, num_tokens, self.config, context.out / "activations")}


def open_tokenizer(folder: Path, base: Mapping[str, object], config: FeaturesConfig) -> tuple[Tokenizer, Pooling]:
    """The base's tokenizer under the recipe's length policy, and how its vectors are pooled."""
    limit = int(str(base["max_tokens"]))
    max_tokens = limit if config.max_tokens == "auto" else config.max_tokens
    if max_tokens > limit:
        raise DataError("train.max_tokens is more than the model can read", seen=max_tokens, allowed=f"at most {limit}")
    known: dict[str, Pooling] = {"mean": "mean", "cls": "cls", "last": "last"}
    pooling = known[str(base["pooling"]) if config.pooling == "auto" else config.pooling]
    return Tokenizer(folder, max_tokens, config.length_policy), pooling


def _write(tensors: dict[str, torch.Tensor], num_tokens: int, config: FeaturesConfig, folder: Path) -> Facts:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "features.safetensors")
    cut = {name: tensors[f"{name}_cut"] for name in SPLITS}
    return {
        "hidden": tensors["train"].shape[1],
        "rows": {name: len(tensors[name]) for name in SPLITS},
        "num_tokens": num_tokens,
        "num_truncated_tokens": sum(int(one.sum()) for one in cut.values()),
        "truncated_rows": {name: int((one > 0).sum()) for name, one in cut.items()},
    }
