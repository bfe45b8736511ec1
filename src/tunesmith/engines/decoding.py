"""Next-token logits of a batch of prompts, one token a step, with what was read before kept.

Shapes: B rows, T tokens, V ids of the vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from tunesmith.numerics.padding import pad


class Decoding(Protocol):
    """A batch on its way."""

    def start(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """The logits (B, V) of the first token of each answer."""

    def step(self, tokens_B: Tensor) -> Tensor:
        """The logits (B, V) of the token after these."""

    def keep(self, places: Sequence[int]) -> None:
        """Go on with these rows alone."""


def decoding_of(module: nn.Module) -> Decoding:
    """The way to decode with a decoder or an encoder-decoder."""
    config: Any = module.config
    return _EncoderDecoder(module) if config.is_encoder_decoder else _Decoder(module)


def takes_padding(module: nn.Module) -> bool:
    """Whether prompts of several lengths can be read in one batch: positions can be given, or an encoder reads them."""
    config: Any = module.config
    return config.is_encoder_decoder or "position_ids" in inspect.signature(module.forward).parameters


class _Decoder:
    """Prompts padded on the left, so that every row's next token comes at the same place."""

    def __init__(self, module: nn.Module) -> None:
        from transformers import DynamicCache

        known = inspect.signature(module.forward).parameters
        self._module = module
        self._has_positions = "position_ids" in known
        # Families that keep a state of another kind are read anew each step: slow, and right.
        self._cache: Any = DynamicCache(config=module.config) if "past_key_values" in known else None
        self._options: dict[str, Any] = {"logits_to_keep": 1} if "logits_to_keep" in known else {}

    def start(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        longest = max(map(len, prompts))
        self._tokens_BT = torch.zeros(len(prompts), longest, dtype=torch.long)
        self._mask_BT = torch.zeros(len(prompts), longest, dtype=torch.long)
        for place, prompt in enumerate(prompts):
            self._tokens_BT[place, longest - len(prompt) :] = torch.tensor(prompt)
            self._mask_BT[place, longest - len(prompt) :] = 1
        device = next(self._module.parameters()).device
        self._tokens_BT, self._mask_BT = self._tokens_BT.to(device), self._mask_BT.to(device)
        return self._read(self._tokens_BT)

    def step(self, tokens_B: Tensor) -> Tensor:
        tokens_B1 = tokens_B.unsqueeze(-1)
        self._mask_BT = torch.cat([self._mask_BT, torch.ones_like(tokens_B1)], dim=-1)
        if self._cache is None:
            self._tokens_BT = tokens_B1 = torch.cat([self._tokens_BT, tokens_B1], dim=-1)
        return self._read(tokens_B1)

    def keep(self, places: Sequence[int]) -> None:
        chosen = torch.tensor(places, device=self._mask_BT.device)
        self._mask_BT = self._mask_BT[chosen]
        if self._cache is None:
            self._tokens_BT = self._tokens_BT[chosen]
        else:
            self._cache.batch_select_indices(chosen)

    def _read(self, tokens_BT: Tensor) -> Tensor:
        more = dict(self._options)
        if self._has_positions:
            positions_BT = (self._mask_BT.cumsum(-1) - 1).clamp(min=0)
            more["position_ids"] = positions_BT[:, -tokens_BT.shape[1] :]
        if self._cache is not None:
            more |= {"past_key_values": self._cache, "use_cache": True}
        output = self._module(input_ids=tokens_BT, attention_mask=self._mask_BT, **more)
        logits_BV: Tensor = output.logits[:, -1].float()
        return logits_BV


class _EncoderDecoder:
    """Prompts are encoded once; answers start from the model's own first token."""

    def __init__(self, module: nn.Module) -> None:
        from transformers import DynamicCache, EncoderDecoderCache

        self._module: Any = module
        self._cache = EncoderDecoderCache(DynamicCache(config=module.config), DynamicCache(config=module.config))

    def start(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        device = next(self._module.parameters()).device
        tokens_BT, self._mask_BT = (one.to(device) for one in pad(prompts))
        self._encoded = self._module.get_encoder()(input_ids=tokens_BT, attention_mask=self._mask_BT)
        return self.step(torch.full((len(prompts),), start_id(self._module), device=device))

    def step(self, tokens_B: Tensor) -> Tensor:
        output = self._module(
            encoder_outputs=self._encoded,
            attention_mask=self._mask_BT,
            decoder_input_ids=tokens_B.unsqueeze(-1),
            past_key_values=self._cache,
            use_cache=True,
        )
        logits_BV: Tensor = output.logits[:, -1].float()
        return logits_BV

    def keep(self, places: Sequence[int]) -> None:
        from transformers.modeling_outputs import BaseModelOutput

        chosen = torch.tensor(places, device=self._mask_BT.device)
        self._mask_BT = self._mask_BT[chosen]
        self._encoded = BaseModelOutput(last_hidden_state=self._encoded.last_hidden_state[chosen])
        self._cache.batch_select_indices(chosen)


def start_id(module: nn.Module) -> int:
    """The token that an encoder-decoder's answers start from, which is never written."""
    settings: Any = module.config
    for name in ("decoder_start_token_id", "bos_token_id", "pad_token_id"):
        for one in (getattr(module, "generation_config", None), settings):
            if isinstance(found := getattr(one, name, None), int):
                return found
    return 0
