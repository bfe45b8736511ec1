"""What a recipe may say about the objectives of language models. Loads no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tunesmith.core.config import Config


class SftConfig(Config):
    """Supervised fine-tuning: the next token of answers."""

    kind: Literal["sft"] = "sft"
    """The cross-entropy of every token that `train_on` counts, given all tokens before it."""


class ContinuedPretrainingConfig(Config):
    """Continued pre-training on texts: every token of a decoder, masked tokens of an encoder."""

    kind: Literal["continued_pretraining"] = "continued_pretraining"
    """The next token of every text; for an encoder the tokens that are masked."""
    mask: Annotated[float, Field(gt=0, lt=1, strict=True)] = 0.15
    """For an encoder: share of the tokens that are to be guessed, above 0 and below 1; of these 80 % are masked, 10 %
    replaced by another token and 10 % left (Devlin et al. 2019, section 3.1). Default: theirs. Decoders do not use
    it."""
