"""An encoder that computes no padding: what a server's batches of unlike texts spend half their time on.

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

from tunesmith.engines.families import Family, Parts, family_of
from tunesmith.engines.products import Product

LIKE = 0.6
"""Texts at least this long, over the longest of their group, are attended together, under a mask."""
STEP_TOKENS = 32
"""The number of tokens is rounded up to a multiple: a kernel is made for each number that comes for the first time,
which took a third of the time of batches as they come."""
LARGEST_SCORE = 60.0
"""Of attention, up to which exponentials and their sums over any text stay well inside float32."""


@dataclass(frozen=True)
class States:
    """What an encoder returns, as those of transformers name it."""

    last_hidden_state: Tensor


@dataclass(frozen=True)
class _Group:
    """Texts of like lengths, whose tokens stand together among all N."""

    first: int
    num_tokens: int
    num_texts: int
    longest: int
    padded: _Padded | None
    """None where the texts are of one length."""


@dataclass(frozen=True)
class _Padded:
    """How a group's tokens are given a place for each text and step, and taken out again."""

    places: Tensor
    """(B x T): which token stands there; padding repeats the text's last, as nobody looks at it."""
    kept: Tensor
    """Which of the B x T are tokens."""
    weight_B11T: Tensor
    """1 for tokens, 0 for padding."""


class _Layer(nn.Module):
    def __init__(self, parts: Parts, heads: int) -> None:
        super().__init__()
        three = [parts.query, parts.key, parts.value]
        # Attention divides its scores by the root of a head's width: here the query's weights are.
        scales = [1 / math.sqrt(three[0].out_features // heads), 1.0, 1.0]
        joined = nn.Linear(three[0].in_features, sum(one.out_features for one in three))
        weights = [one.weight.detach() * scale for one, scale in zip(three, scales, strict=True)]
        biases = [one.bias.detach() * scale for one, scale in zip(three, scales, strict=True)]
        joined.weight = nn.Parameter(torch.cat(weights), requires_grad=False)
        joined.bias = nn.Parameter(torch.cat(biases), requires_grad=False)
        self.qkv, self.heads = Product(joined), heads
        self.out, self.norm = Product(parts.out), parts.norm
        self.wide, self.act = Product(parts.wide), parts.act
        self.narrow, self.last_norm = Product(parts.narrow), parts.last_norm

    def forward(self, states_ND: Tensor, groups: list[_Group]) -> Tensor:
        attended_ND = _attended(self.qkv(states_ND), groups, self.heads)
        states_ND = self.norm(self.out(attended_ND) + states_ND)
        output_ND: Tensor = self.last_norm(self.narrow(self.act(self.wide(states_ND))) + states_ND)
        return output_ND


class PackedEncoder(nn.Module):
    """Answers as the encoder it is made from, up to rounding; for inference alone."""

    def __init__(self, encoder: Any, family: Family) -> None:
        super().__init__()
        self.config = encoder.config
        self.embeddings, self._positions = encoder.embeddings, family.positions
        heads = encoder.config.num_attention_heads
        self.layers = nn.ModuleList(_Layer(family.parts(one), heads) for one in family.layers(encoder))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> States:
        """The vectors (B, T, D) of tokens; those of padding are 0."""
        num_texts, longest = input_ids.shape
        lengths_B = attention_mask.sum(1)
        order_B = lengths_B.argsort(descending=True, stable=True)  # texts of like lengths stand together
        text_N, step_N = attention_mask[order_B].nonzero(as_tuple=True)
        at_N = order_B[text_N] * longest + step_N
        groups = _groups(lengths_B[order_B].tolist())
        positions_N = self._positions(self.embeddings, input_ids).reshape(-1)[at_N]
        embedded_ND = self._embedded(input_ids.reshape(-1)[at_N], positions_N)
        states_ND = functional.pad(embedded_ND, (0, 0, 0, -len(at_N) % STEP_TOKENS))
        for layer in self.layers:
            states_ND = layer(states_ND, groups)
        padded = states_ND.new_zeros(num_texts * longest, states_ND.shape[1])
        padded[at_N] = states_ND[: len(at_N)]
        return States(padded.view(num_texts, longest, -1))

    def _embedded(self, tokens_N: Tensor, positions_N: Tensor) -> Tensor:
        known = self.embeddings
        words_ND = known.word_embeddings(tokens_N)
        if hasattr(known, "token_type_embeddings"):
            words_ND = words_ND + known.token_type_embeddings.weight[0]
        embedded_ND: Tensor = known.LayerNorm(words_ND + known.position_embeddings(positions_N))
        return embedded_ND


def packed(encoder: Any) -> PackedEncoder | None:
    """An encoder without its padding; None where it is of a kind that is not known to be the same."""
    family = family_of(encoder)
    return None if family is None else PackedEncoder(encoder, family).eval()


def _groups(lengths: list[int]) -> list[_Group]:
    """Texts of like lengths, given all lengths from the longest to the shortest."""
    groups: list[_Group] = []
    first = at = 0
    while at < len(lengths) and lengths[at]:
        some = [one for one in lengths[at:] if one >= max(1.0, LIKE * lengths[at])]
        groups.append(_Group(first, sum(some), len(some), some[0], _padded(some)))
        first, at = first + sum(some), at + len(some)
    return groups


def _padded(lengths: list[int]) -> _Padded | None:
    if lengths[0] == lengths[-1]:
        return None
    lengths_B1 = torch.tensor(lengths)[:, None]
    steps_T = torch.arange(lengths[0])
    places_BT = lengths_B1.cumsum(0) - lengths_B1 + torch.minimum(steps_T, lengths_B1 - 1)
    is_token_BT = steps_T < lengths_B1
    return _Padded(places_BT.view(-1), is_token_BT.view(-1).nonzero().view(-1), is_token_BT[:, None, None].float())


def _attended(qkv_N3D: Tensor, groups: list[_Group], heads: int) -> Tensor:
    width = qkv_N3D.shape[1] // 3
    parts = []
    for group in groups:
        own = qkv_N3D[group.first : group.first + group.num_tokens]
        if group.padded is not None:
            own = own.index_select(0, group.padded.places)
        shape = group.num_texts, group.longest, 3, heads, width // heads
        query, key, value = own.view(shape).permute(2, 0, 3, 1, 4).contiguous()
        mixed_BHTK = _mixed(query, key, value, None if group.padded is None else group.padded.weight_B11T)
        mixed_MD = mixed_BHTK.transpose(1, 2).reshape(-1, width)
        parts.append(mixed_MD if group.padded is None else mixed_MD.index_select(0, group.padded.kept))
    num_tokens = sum(group.num_tokens for group in groups)
    return torch.cat([*parts, qkv_N3D.new_zeros(len(qkv_N3D) - num_tokens, width)])


def _mixed(query: Tensor, key: Tensor, value: Tensor, weight_B11T: Tensor | None) -> Tensor:
    """The values mixed by softmax(query key'), the exponentials divided after the product, where they are fewer.

    Softmax over rows as short as a text takes most of attention's time; exponentials of all scores at once do not. All
    in float32: products of this size gain nothing from fewer bits, whose kernels are made for each shape anew.
    """
    scores = query.float() @ key.float().transpose(-1, -2)
    least, most = scores.aminmax()
    if max(-least.item(), most.item()) > LARGEST_SCORE:
        # Where exponentials could leave the range of numbers, softmax's own care is needed.
        masked = scores if weight_B11T is None else scores.masked_fill(weight_B11T == 0, -math.inf)
        return (masked.softmax(-1) @ value.float()).to(value.dtype)
    exponentials = scores.exp_()
    if weight_B11T is not None:
        exponentials *= weight_B11T
    total = exponentials.sum(-1, keepdim=True)
    return ((exponentials @ value.float()) / total).to(value.dtype)
