"""What a language model thinks of given tokens: their weighted log-probabilities.

Shapes: B rows, T tokens, V ids of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.core.errors import DataError
from tunesmith.engines.decoding import start_id
from tunesmith.numerics.batching import microbatches
from tunesmith.numerics.padding import pad

Row = Mapping[str, Any]

BUDGET_LOGITS = 1 << 26
"""Logits held at once: 256 MiB in float32."""
BUDGET_TOKENS = 4096


@dataclass(frozen=True)
class Scored:
    """The score of one row of tokens."""

    place: int
    log_probability: float
    """Sum over the tokens of weight times log-probability given the tokens before."""
    weight: float
    """Sum of those weights."""


def scores(module: nn.Module, rows: Sequence[Row], max_positions: int | None = None) -> Iterator[Scored]:
    """The score of each row, in any order.

    A row has ``tokens`` and the ``weights`` of predicting each from those before it (a decoder's first token has none
    before it and counts for nothing), and for an encoder-decoder the ``source`` it reads first. Raises: DataError for a
    row longer than the model reads.
    """
    config: Any = module.config
    lengths = [len(row["tokens"]) + len(row.get("source", ())) for row in rows]
    for place, row in enumerate(rows):
        longest = max(len(row["tokens"]), len(row.get("source", ())))
        if max_positions is not None and longest > max_positions:
            raise DataError(f"row {place} is longer than the model reads", seen=longest, allowed=max_positions)
    budget = min(BUDGET_TOKENS, max(1, BUDGET_LOGITS // int(config.get_text_config().vocab_size)))
    score = _written if config.is_encoder_decoder else _read
    for part in microbatches(range(len(rows)), lengths, budget):
        with torch.inference_mode():
            sums_B, weights_B = score(module, [rows[place] for place in part])
        for place, log_probability, weight in zip(part, sums_B.tolist(), weights_B.tolist(), strict=True):
            yield Scored(place, log_probability, weight)


def _read(module: nn.Module, rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
    device = next(module.parameters()).device
    tokens_BT, mask_BT = (one.to(device) for one in pad([row["tokens"] for row in rows]))
    logits_BTV = module(input_ids=tokens_BT, attention_mask=mask_BT, use_cache=False).logits
    return _summed(logits_BTV[:, :-1], tokens_BT[:, 1:], _weights(rows, tokens_BT)[:, 1:])


def _written(module: nn.Module, rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
    device = next(module.parameters()).device
    source_BT, mask_BT = (one.to(device) for one in pad([row["source"] for row in rows]))
    tokens_BT = pad([row["tokens"] for row in rows])[0].to(device)
    first_B1 = torch.full_like(tokens_BT[:, :1], start_id(module))
    before_BT = torch.cat([first_B1, tokens_BT[:, :-1]], dim=-1)
    logits_BTV = module(input_ids=source_BT, attention_mask=mask_BT, decoder_input_ids=before_BT).logits
    return _summed(logits_BTV, tokens_BT, _weights(rows, tokens_BT))


def _weights(rows: Sequence[Row], like_BT: Tensor) -> Tensor:
    weights_BT = torch.zeros(like_BT.shape, dtype=torch.double)
    for place, row in enumerate(rows):
        weights_BT[place, : len(row["weights"])] = torch.tensor(row["weights"], dtype=torch.double)
    return weights_BT.to(like_BT.device)


def _summed(logits_BTV: Tensor, tokens_BT: Tensor, weights_BT: Tensor) -> tuple[Tensor, Tensor]:
    losses_BT = nn.functional.cross_entropy(logits_BTV.float().transpose(1, 2), tokens_BT, reduction="none")
    return -(losses_BT.double() * weights_BT).sum(-1), weights_BT.sum(-1)
