"""A language model as the loop's network: token columns in, logits out.

Shapes: B rows, T tokens, S tokens of a source, V vocabulary, H hidden.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.core.errors import ModelError
from tunesmith.core.method import Network

APART = 1e-4
"""Largest difference of logits, in units of their spread, that rows packed together may have from rows alone: a few
hundred roundings of float32. A leak is a thousand times that."""


class LanguageNetwork(nn.Module):
    """A causal, masked or encoder-decoder model; with NEFTune's noise on embeddings while it trains."""

    def __init__(self, model: nn.Module, neftune_alpha: float | None = None) -> None:
        super().__init__()
        self.model = model
        self.neftune_alpha = neftune_alpha
        self._length_BT1: Tensor | None = None
        if neftune_alpha is not None:
            embeddings: nn.Module = model.get_input_embeddings()  # type: ignore[operator]
            embeddings.register_forward_hook(self._add_noise)

    def forward(
        self,
        tokens: Tensor,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        source: Tensor | None = None,
        source_mask: Tensor | None = None,
    ) -> Tensor:
        """The logits (B, T, V): after each token of a decoder, or at each token of a masked model."""
        more: dict[str, Any] = {}
        if source is not None:
            more = {"input_ids": source, "attention_mask": source_mask, "decoder_input_ids": tokens}
        elif positions is not None:
            # Without a mask transformers keeps apart what positions say are several rows, in every kind of attention.
            more = {"input_ids": tokens, "position_ids": positions}
        else:
            # A batch without padding needs no mask, and plain causal attention is faster.
            is_whole = mask is None or bool(mask.all())
            more = {"input_ids": tokens, "attention_mask": None if is_whole else mask}
        self._length_BT1 = _lengths(mask if source is None else source_mask, positions, tokens)
        if hasattr(self.model, "prepare_inputs_for_generation"):
            more["use_cache"] = False
        logits_BTV: Tensor = self.model(**more).logits
        return logits_BTV

    def _add_noise(self, module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        """Uniform noise of alpha / √(L · H), L the row's own length. Source: Jain et al. 2023, algorithm 1.

        The row's own length, not the padded one: how rows are cut into microbatches must not change the maths.
        """
        length_BT1 = self._length_BT1
        if not self.training or length_BT1 is None or length_BT1.shape[:2] != output.shape[:2]:
            return None
        assert self.neftune_alpha is not None
        size_BT1 = self.neftune_alpha / torch.sqrt(length_BT1 * output.shape[-1])
        return output + size_BT1 * torch.empty_like(output).uniform_(-1, 1)


def as_network(model: nn.Module, neftune_alpha: float | None) -> Network:
    """The model in the loop's form; it is handed what of its columns a batch has."""
    network = LanguageNetwork(model, neftune_alpha)
    return Network(network, reads=("tokens",), may_read=("mask", "positions", "source", "source_mask"))


def check_apart(model: nn.Module, num_vocabulary: int) -> None:
    """Nothing, where rows packed together give the logits of rows alone.

    Raises: ModelError where this architecture lets rows see each other, or reads other positions.
    """
    network = LanguageNetwork(model)
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randint(num_vocabulary, (1, length), generator=generator) for length in (5, 9, 3)]
    places = torch.cat([torch.arange(row.shape[1]) for row in rows])[None]
    was_training = model.training
    network.eval()
    with torch.no_grad():
        together = network(torch.cat(rows, 1), positions=places)
        alone = torch.cat([network(row) for row in rows], 1)
    model.train(was_training)
    apart = float((together - alone).abs().max() / alone.std().clamp(min=1e-6))
    if not apart <= APART:
        raise ModelError(
            "rows packed into one sequence see each other in this architecture, so packing would train something else",
            seen=f"{type(model).__name__}: logits differ by {apart:.2g} of their spread",
            allowed=f"{APART:g}",
            next="write `train: {packing: false}`",
        )


def _lengths(mask: Tensor | None, positions: Tensor | None, tokens: Tensor) -> Tensor:
    """The length of the row that each token belongs to (B, T, 1)."""
    if positions is not None:
        row_T = (positions[0] == 0).cumsum(0) - 1
        return torch.bincount(row_T)[row_T].float()[None, :, None]
    if mask is None:
        return torch.full((*tokens.shape, 1), float(tokens.shape[1]))
    return mask.sum(1).float()[:, None, None].expand(*mask.shape, 1)
