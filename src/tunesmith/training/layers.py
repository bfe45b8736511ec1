"""The layers stage: the layers below those that learn run once over every row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch

from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.models.architectures import cut_of
from tunesmith.models.layers import lower_part
from tunesmith.models.tokenizer import Tokens
from tunesmith.numerics.batching import microbatches
from tunesmith.numerics.padding import pad
from tunesmith.training.config import FeaturesConfig, LayersConfig
from tunesmith.training.features import BUDGET_TOKENS, open_tokenizer
from tunesmith.training.precision import autocast, resolve
from tunesmith.training.rows import read_split
from tunesmith.training.states import FILE, StatesFile

READ = ("train", "validation")
"""The splits whose states training reads; test rows are answered by the whole model."""


class Layers:
    """The hidden states that enter the lowest trained layer, for every token of every row."""

    makes: ClassVar[Mapping[str, str]] = {"activations": "activations"}

    def __init__(self, config: LayersConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the states; dropout is off below the cut, so a row has one state for all epochs."""
        config, base, splits = self.config, given["base"], given["splits"]
        cut = cut_of(base.facts, config.layers)
        tokenizer, _ = open_tokenizer(base.path / "files", base.facts, _reading(config))
        precision = resolve(config.precision)
        names = [name for name in READ if name in splits.facts["splits"]]
        encoded = {name: tokenizer.encode(read_split(splits, name).texts) for name in names}
        lower = lower_part(base.path / "files", cut)
        file = StatesFile(
            context.out / "activations" / FILE,
            {name: [len(one.ids) for one in members] for name, members in encoded.items()},
            {name: [one.num_cut for one in members] for name, members in encoded.items()},
            base.facts["hidden"],
            precision,
        )
        _fill(file, lower, encoded, precision, context)
        return {
            "activations": {
                "cut": cut,
                "hidden": base.facts["hidden"],
                "dtype": precision,
                "rows": {name: len(members) for name, members in encoded.items()},
                "num_tokens": sum(len(one.ids) for members in encoded.values() for one in members),
                "num_bytes": file.num_bytes,
                "num_truncated_tokens": sum(one.num_cut for members in encoded.values() for one in members),
            }
        }


def _fill(
    file: StatesFile, lower: torch.nn.Module, encoded: Mapping[str, list[Tokens]], precision: str, context: StepContext
) -> None:
    """Run the rows through the lower layers, rows of like length together, and write each where it belongs."""
    done, total = 0, sum(len(members) for members in encoded.values())
    for name, members in encoded.items():
        lengths = [len(one.ids) for one in members]
        for part in microbatches(range(len(members)), lengths, BUDGET_TOKENS):
            context.check_cancelled()
            tokens_BT, mask_BT = pad([members[place].ids for place in part])
            with torch.inference_mode(), autocast(resolve(precision), "cpu"):  # type: ignore[arg-type]
                states_BTH = lower(input_ids=tokens_BT, attention_mask=mask_BT).last_hidden_state
            for at, place in enumerate(part):
                file.put(name, place, states_BTH[at, : lengths[place]])
            done += len(part)
            context.progress(done, total, "rows", name)
    file.close()


def _reading(config: LayersConfig) -> FeaturesConfig:
    return FeaturesConfig(max_tokens=config.max_tokens, length_policy=config.length_policy)
