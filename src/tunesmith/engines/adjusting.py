"""What a model's own generation settings change about the next token: transformers' processors, one set an answer.

An answer has processors of its own, given its own tokens without padding, so that the rows of a batch change nothing
about each other. How tokens are drawn, how many there may be and where a text stops is what the caller says.

Shapes: B rows, V ids of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

Processor = Callable[[Tensor, Tensor], Tensor]
"""Tokens so far (1, T) and logits (1, V) to logits (1, V)."""

LEFT_OUT: dict[str, Callable[[Any], bool]] = {
    "num_beams": lambda one: one > 1,
    "penalty_alpha": lambda one: one > 0,
    "dola_layers": bool,
    "guidance_scale": lambda one: one != 1,
    "watermarking_config": bool,
    "remove_invalid_values": bool,
    "stop_strings": bool,
    "token_healing": bool,
    "constraints": bool,
    "force_words_ids": bool,
}
"""Settings that would change greedy answers and are not applied → whether the value asks for it."""


class Adjusting:
    """The processors that a model's generation settings ask for."""

    def __init__(self, module: nn.Module, ends: frozenset[int], start: int | None) -> None:
        """``ends``: ids that end an answer; ``start``: the token an encoder-decoder's answers go on from."""
        self._settings: Any = getattr(module, "generation_config", None)
        self._ends, self._start = sorted(ends), start
        self.forces_end = self._said("forced_eos_token_id") is not None
        """The last token that an answer may have is made an end, so its text has one token less."""
        self._is_needed = bool(list(self._processors([0], 1))) if self._settings is not None else False

    @property
    def left_out(self) -> dict[str, Any]:
        """Settings that would change greedy answers and are not applied, by name."""
        told = {name: self._said(name) for name in LEFT_OUT}
        return {name: value for name, value in told.items() if value is not None and LEFT_OUT[name](value)}

    def of(self, prompt: Sequence[int], most: int) -> _Adjusted | None:
        """What adjusts the logits of an answer to these tokens that may have ``most``; None where nothing does."""
        if not self._is_needed:
            return None
        return _Adjusted(list(prompt) if self._start is None else [self._start], list(self._processors(prompt, most)))

    def _said(self, name: str) -> Any:
        return getattr(self._settings, name, None)

    def _processors(self, prompt: Sequence[int], most: int) -> Iterator[Processor]:
        """In the order in which transformers applies them."""
        from transformers.generation import logits_process as known

        said, ends = self._said, self._ends
        prompt_1T = torch.tensor([list(prompt)])
        num_before = len(prompt) if self._start is None else 1
        if said("sequence_bias"):
            yield known.SequenceBiasLogitsProcessor(said("sequence_bias"))
        if said("encoder_repetition_penalty") not in (None, 1.0):
            yield known.EncoderRepetitionPenaltyLogitsProcessor(said("encoder_repetition_penalty"), prompt_1T)
        if said("repetition_penalty") not in (None, 1.0):
            yield known.RepetitionPenaltyLogitsProcessor(said("repetition_penalty"))
        if said("no_repeat_ngram_size"):
            yield known.NoRepeatNGramLogitsProcessor(said("no_repeat_ngram_size"))
        if said("encoder_no_repeat_ngram_size"):
            yield known.EncoderNoRepeatNGramLogitsProcessor(said("encoder_no_repeat_ngram_size"), prompt_1T)
        if said("bad_words_ids"):
            yield known.NoBadWordsLogitsProcessor(said("bad_words_ids"), ends or None)
        if said("min_length") and ends:
            yield known.MinLengthLogitsProcessor(said("min_length"), ends)
        if said("min_new_tokens") and ends:
            yield known.MinNewTokensLengthLogitsProcessor(num_before, said("min_new_tokens"), ends)
        if (first := said("forced_bos_token_id")) is not None:
            yield known.ForcedBOSTokenLogitsProcessor(first)
        if self.forces_end:
            yield known.ForcedEOSTokenLogitsProcessor(num_before + most, said("forced_eos_token_id"))
        if said("exponential_decay_length_penalty") and ends:
            yield known.ExponentialDecayLengthPenalty(said("exponential_decay_length_penalty"), ends, num_before)
        if said("suppress_tokens"):
            yield known.SuppressTokensLogitsProcessor(said("suppress_tokens"))
        if said("begin_suppress_tokens"):
            begin = num_before + (num_before == 1 and first is not None)
            yield known.SuppressTokensAtBeginLogitsProcessor(said("begin_suppress_tokens"), begin)


class _Adjusted:
    """The logits of one answer's next token, adjusted."""

    def __init__(self, before: list[int], processors: list[Processor]) -> None:
        self._before, self._processors = before, processors

    def __call__(self, ids: Sequence[int], logits_V: Tensor) -> Tensor:
        """``ids``: the answer's tokens so far."""
        tokens_1T = torch.tensor([[*self._before, *ids]])
        # Where a processor keeps its tensors is a matter of its own: one row is quick on the processor.
        logits_1V = logits_V.unsqueeze(0).cpu()
        for process in self._processors:
            logits_1V = process(tokens_1T, logits_1V)
        return logits_1V[0].to(logits_V.device)
