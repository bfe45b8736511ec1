"""A BERT encoder that computes no padding: what a server's batches of unlike texts spend half their time on.

Only attention sees where a text begins and ends. All else is done on the tokens of a batch in one row, so every product
is as large as the batch; attention is computed for texts of like lengths together. The weights are those of the encoder
it is made from, query, key and value as one product. Shapes: B texts, T tokens of the longest, N tokens of all texts
without padding, D hidden, H heads, K hidden of a head.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

LIKE = 0.6
"""Texts at least this long, over the longest of their group, are attended together, under a mask."""


@dataclass(frozen=True)
class States:
    """What an encoder returns, as those of transformers name it."""

    last_hidden_state: Tensor


@dataclass(frozen=True)
class _Group:
    """Texts of like lengths: where their tokens stand among all N, and which places are padding."""

    places_BT: Tensor
    is_token_BT: Tensor | None
    """None where no text is shorter than the others."""


class _Layer(nn.Module):
    def __init__(self, layer: Any) -> None:
        super().__init__()
        attention = layer.attention
        parts = (attention.self.query, attention.self.key, attention.self.value)
        self.qkv = nn.Linear(parts[0].in_features, sum(one.out_features for one in parts))
        self.qkv.weight = nn.Parameter(torch.cat([one.weight.detach() for one in parts]), requires_grad=False)
        self.qkv.bias = nn.Parameter(torch.cat([one.bias.detach() for one in parts]), requires_grad=False)
        self.out, self.norm = attention.output.dense, attention.output.LayerNorm
        self.wide, self.act = layer.intermediate.dense, layer.intermediate.intermediate_act_fn
        self.narrow, self.last_norm = layer.output.dense, layer.output.LayerNorm

    def forward(self, states_ND: Tensor, groups: list[_Group], heads: int) -> Tensor:
        attended_ND = _attended(self.qkv(states_ND), groups, heads)
        states_ND = self.norm(self.out(attended_ND) + states_ND)
        output_ND: Tensor = self.last_norm(self.narrow(self.act(self.wide(states_ND))) + states_ND)
        return output_ND


class PackedBert(nn.Module):
    """Answers as the encoder it is made from, up to rounding; for inference alone."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.config = encoder.config
        self.embeddings = encoder.embeddings
        self.layers = nn.ModuleList(_Layer(one) for one in encoder.encoder.layer)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> States:
        """The vectors (B, T, D) of tokens; those of padding are 0."""
        num_texts, longest = input_ids.shape
        at_N = attention_mask.reshape(-1).nonzero().view(-1)
        states_ND = self._embedded(input_ids.reshape(-1)[at_N], at_N % longest)
        groups = _groups(attention_mask)
        for layer in self.layers:
            states_ND = layer(states_ND, groups, self.config.num_attention_heads)
        padded = states_ND.new_zeros(num_texts * longest, states_ND.shape[1])
        padded[at_N] = states_ND
        return States(padded.view(num_texts, longest, -1))

    def _embedded(self, tokens_N: Tensor, positions_N: Tensor) -> Tensor:
        known = self.embeddings
        words_ND = known.word_embeddings(tokens_N) + known.token_type_embeddings.weight[0]
        embedded_ND: Tensor = known.LayerNorm(words_ND + known.position_embeddings(positions_N))
        return embedded_ND


def packed(encoder: Any) -> PackedBert | None:
    """An encoder without its padding; None where it is of a kind that is not known to be the same."""
    from transformers import BertModel

    if type(encoder) is not BertModel or encoder.config.is_decoder:
        return None
    if getattr(encoder.config, "position_embedding_type", "absolute") not in (None, "absolute"):
        return None
    if any(type(one) is not nn.Linear for layer in encoder.encoder.layer for one in _products(layer)):
        return None  # adapters that were not merged
    return PackedBert(encoder).eval()


def _products(layer: Any) -> list[nn.Module]:
    own = layer.attention.self
    return [own.query, own.key, own.value, layer.attention.output.dense, layer.intermediate.dense, layer.output.dense]


def _groups(mask_BT: Tensor) -> list[_Group]:
    """Texts of like lengths, by where their tokens stand among those of all."""
    lengths = mask_BT.sum(1).tolist()
    starts = [0]
    for length in lengths:
        starts.append(starts[-1] + length)
    rows: list[list[int]] = []
    for row in sorted((row for row, length in enumerate(lengths) if length), key=lambda row: -lengths[row]):
        if rows and lengths[row] >= LIKE * lengths[rows[-1][0]]:
            rows[-1].append(row)
        else:
            rows.append([row])
    groups = []
    for some in rows:
        steps_T = torch.arange(lengths[some[0]])
        lengths_B = torch.tensor([lengths[row] for row in some])[:, None]
        first_B = torch.tensor([starts[row] for row in some])[:, None]
        is_even = lengths[some[0]] == lengths[some[-1]]
        # Padding stands at the text's last token: any will do, as nobody looks at it.
        places_BT = first_B + torch.minimum(steps_T, lengths_B - 1)
        groups.append(_Group(places_BT, None if is_even else steps_T < lengths_B))
    return groups


def _attended(qkv_N3D: Tensor, groups: list[_Group], heads: int) -> Tensor:
    width = qkv_N3D.shape[1] // 3
    attended_ND = qkv_N3D.new_empty(len(qkv_N3D), width)
    for group in groups:
        shape = *group.places_BT.shape, 3, heads, width // heads
        query, key, value = qkv_N3D[group.places_BT.view(-1)].view(shape).permute(2, 0, 3, 1, 4)
        mixed_BHTK = _mixed(query, key, value, group.is_token_BT)
        mixed_BTD = mixed_BHTK.transpose(1, 2).reshape(*group.places_BT.shape, width)
        if group.is_token_BT is None:
            attended_ND[group.places_BT.view(-1)] = mixed_BTD.view(-1, width)
        else:
            attended_ND[group.places_BT[group.is_token_BT]] = mixed_BTD[group.is_token_BT]
    return attended_ND


def _mixed(query: Tensor, key: Tensor, value: Tensor, is_token_BT: Tensor | None) -> Tensor:
    if query.dtype == torch.float32:
        mask = None if is_token_BT is None else is_token_BT[:, None, None]
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    # For short texts in bfloat16 two plain products take two thirds of the time.
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if is_token_BT is not None:
        scores = scores.masked_fill(~is_token_BT[:, None, None], -math.inf)
    return scores.softmax(-1) @ value
