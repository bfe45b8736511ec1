"""What encoders of several families have in common, under the names each has for it.

All of them attend, add and normalise, then widen, narrow, add and normalise; they differ in names, in how positions are
counted and in whether tokens have types. A family is one row of ``FAMILIES``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Parts:
    """The parts of one layer."""

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    out: nn.Linear
    norm: nn.Module
    wide: nn.Linear
    act: Callable[[Tensor], Tensor]
    narrow: nn.Linear
    last_norm: nn.Module

    @property
    def products(self) -> tuple[nn.Linear, ...]:
        """Those that have to be plain linear layers."""
        return self.query, self.key, self.value, self.out, self.wide, self.narrow


@dataclass(frozen=True)
class Family:
    """Encoders whose parts have the same names."""

    layers: Callable[[Any], Iterable[Any]]
    parts: Callable[[Any], Parts]
    positions: Callable[[Any, Tensor], Tensor]
    """The position of each token (B, T), of an encoder's embeddings."""


def _of_bert(layer: Any) -> Parts:
    own, attended, output = layer.attention.self, layer.attention.output, layer.output
    return Parts(
        *(own.query, own.key, own.value, attended.dense, attended.LayerNorm),
        *(layer.intermediate.dense, layer.intermediate.intermediate_act_fn, output.dense, output.LayerNorm),
    )


def _of_distilbert(layer: Any) -> Parts:
    own, ffn = layer.attention, layer.ffn
    return Parts(
        *(own.q_lin, own.k_lin, own.v_lin, own.out_lin, layer.sa_layer_norm),
        *(ffn.lin1, ffn.activation, ffn.lin2, layer.output_layer_norm),
    )


def _from_zero(embeddings: Any, tokens_BT: Tensor) -> Tensor:
    positions: Tensor = embeddings.position_ids[:, : tokens_BT.shape[1]].expand_as(tokens_BT)
    return positions


def _behind_padding(embeddings: Any, tokens_BT: Tensor) -> Tensor:
    """Counted from the padding token's id on, which takes no place of its own (fairseq, `make_positions`)."""
    is_token_BT = tokens_BT.ne(embeddings.padding_idx).long()
    positions: Tensor = is_token_BT.cumsum(1) * is_token_BT + embeddings.padding_idx
    return positions


_BERT = Family(lambda encoder: encoder.encoder.layer, _of_bert, _from_zero)
_ROBERTA = Family(lambda encoder: encoder.encoder.layer, _of_bert, _behind_padding)
FAMILIES = {
    "BertModel": _BERT,
    "RobertaModel": _ROBERTA,
    "XLMRobertaModel": _ROBERTA,
    "CamembertModel": _ROBERTA,
    "DistilBertModel": Family(lambda encoder: encoder.transformer.layer, _of_distilbert, _from_zero),
}
"""By the name of the class in transformers."""


def family_of(encoder: Any) -> Family | None:
    """The family of an encoder; None of any that is not known to be computed in this way."""
    kind = type(encoder)
    found = FAMILIES.get(kind.__name__) if kind.__module__.startswith("transformers.models.") else None
    config = encoder.config
    if found is None or getattr(config, "is_decoder", False):
        return None
    if getattr(config, "position_embedding_type", "absolute") not in (None, "absolute"):
        return None
    if any(type(one) is not nn.Linear for layer in found.layers(encoder) for one in found.parts(layer).products):
        return None  # adapters that were not merged
    return found
