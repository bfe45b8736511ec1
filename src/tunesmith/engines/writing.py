"""Answers written token by token: a batch of prompts that goes on until the last of its answers has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from tunesmith.core.engine import GenerationOptions
from tunesmith.engines.decoding import decoding_of
from tunesmith.numerics.sampling import drawn, likeliest

Finish = Literal["stop", "length", ""]


@dataclass
class Writing:
    """One answer on its way."""

    index: int
    """Its place in the request: it draws from a stream of its own, whatever is batched with it."""
    prompt: list[int]
    most: int
    """Tokens it may have."""
    num_cut: int = 0
    """Tokens at the start of the prompt that the model's context could not hold."""
    ids: list[int] = field(default_factory=list)
    """Tokens so far, without the one that ended it."""
    text: str = ""
    finish: Finish = ""
    adjust: Callable[[Sequence[int], Tensor], Tensor] | None = None
    """What the model's own settings make of its tokens so far and the logits (V,) of the next one."""
    forces_end: bool = False
    """They make the last token it may have an end: it has not ended by itself then."""

    def draws(self, seed: int) -> np.random.Generator:
        """The stream its tokens are drawn from."""
        return np.random.default_rng([seed, self.index])


def write(
    module: nn.Module,
    answers: Sequence[Writing],
    options: GenerationOptions,
    ends: frozenset[int],
    text_of: Callable[[Sequence[int]], str],
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Sequence[Writing]]:
    """After each token the answers that got one, until all have ended; the values given are changed on the way.

    ``ends`` are the ids that end an answer, ``text_of`` the text of ids without special tokens.
    """
    decoding = decoding_of(module)
    streams = {one.index: one.draws(options.seed) for one in answers}
    live = [one for one in answers if one.most > 0]
    for one in answers:
        one.finish = "" if one.most > 0 else "length"
    if not live:
        return
    with torch.inference_mode():
        logits_BV = decoding.start([one.prompt for one in live])
    while True:
        tokens_B = _chosen(_adjusted(logits_BV, live), options, [streams[one.index] for one in live])
        told = tokens_B.tolist()
        for one, token in zip(live, told, strict=True):
            _take(one, token, options, ends, text_of)
        yield live
        kept = [place for place, one in enumerate(live) if not one.finish]
        if not kept or is_cancelled():
            return
        if len(kept) < len(live):
            decoding.keep(kept)
            tokens_B, live = tokens_B[kept], [live[place] for place in kept]
        with torch.inference_mode():
            logits_BV = decoding.step(tokens_B)


def _adjusted(logits_BV: Tensor, live: Sequence[Writing]) -> Tensor:
    if all(one.adjust is None for one in live):
        return logits_BV
    pairs = zip(live, logits_BV, strict=True)
    with torch.inference_mode():
        return torch.stack([row_V if one.adjust is None else one.adjust(one.ids, row_V) for one, row_V in pairs])


def _chosen(logits_BV: Tensor, options: GenerationOptions, streams: Sequence[np.random.Generator]) -> Tensor:
    if options.temperature == 0:
        return likeliest(logits_BV)
    numbers = [stream.random() for stream in streams]
    return drawn(logits_BV, numbers, temperature=options.temperature, top_p=options.top_p)


def _take(
    one: Writing,
    token: int,
    options: GenerationOptions,
    ends: frozenset[int],
    text_of: Callable[[Sequence[int]], str],
) -> None:
    """Add a token to an answer, and see whether that ends it."""
    if one.forces_end and len(one.ids) + 1 >= one.most:
        one.finish = "length"
    elif token in ends:
        one.finish = "stop"
    else:
        one.ids.append(token)
        if options.stop and (found := _first(text_of(one.ids), options.stop)) is not None:
            one.text, one.finish = found, "stop"
            return
        if len(one.ids) >= one.most:
            one.finish = "length"
    if one.finish:
        one.text = text_of(one.ids)


def _first(text: str, stops: Sequence[str]) -> str | None:
    """The text before the first of the stop texts in it; None where it has none."""
    places = [text.find(stop) for stop in stops if stop in text]
    return text[: min(places)] if places else None
