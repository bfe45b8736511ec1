"""Continued pre-training on texts: the next token for a decoder, masked tokens for an encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.core.errors import ModelError
from tunesmith.core.method import Objective, Row
from tunesmith.models.templates.vocabulary import Vocabulary
from tunesmith.numerics.masking import hide
from tunesmith.training.methods.language_config import ContinuedPretrainingConfig
from tunesmith.training.methods.sft import next_token, token_loss

HELD_OUT = 2**32 - 1
"""The "step" that validation rows are masked for: always the same places, whatever is trained."""


@dataclass(frozen=True)
class MaskedTokens:
    """What masking needs to know of an encoder's tokenizer."""

    mask_id: int
    special: frozenset[int]
    num_vocabulary: int
    seed: int


class ContinuedPretraining:
    """The loss of a decoder's every token; of an encoder's, where places are drawn anew in every step."""

    def __init__(self, config: ContinuedPretrainingConfig, about: MaskedTokens | None = None) -> None:
        self.config, self.about = config, about

    def rows(self, example: Mapping[str, Any], render: Callable[[str], Row]) -> Row:
        """Next-token columns; for an encoder the tokens, to be masked when their step comes."""
        if self.about is None:
            return next_token(example)
        return {"tokens": example["tokens"], "target": example["tokens"], "weights": example["weights"]}

    def objectives(self) -> Sequence[Objective]:
        """Cross-entropy on the model."""
        return (Objective("cross_entropy", token_loss),)

    def collect(self, rows: Sequence[Row], step: int) -> Iterable[Row]:
        """The rows of a step, masked by seed, step and place alone: a resumed run masks alike."""
        return rows if self.about is None else [self._masked(row, step, place) for place, row in enumerate(rows)]

    def held_out(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Validation rows, masked at the same places at every look."""
        return list(self.collect(rows, HELD_OUT)) if self.about is not None else rows

    def _masked(self, row: Row, step: int, place: int) -> Row:
        about = self.about
        assert about is not None
        weight_T = np.asarray(row["weights"], np.float32)
        seen_T, chosen_T = hide(
            row["target"],
            (weight_T > 0) & ~np.isin(row["target"], list(about.special)),
            share=self.config.mask,
            mask_id=about.mask_id,
            num_vocabulary=about.num_vocabulary,
            generator=np.random.default_rng([about.seed, step, place]),
        )
        return {"tokens": seen_T, "target": row["target"], "weights": chosen_T * weight_T}


def masked_tokens(vocabulary: Vocabulary, num_vocabulary: int, seed: int) -> MaskedTokens:
    """What masking needs to know of an encoder's tokenizer.

    Raises: ModelError where it has no mask token.
    """
    names = (vocabulary.named.get("mask_token"), "[MASK]", "<mask>")
    mask_id = next((one for name in names if (one := vocabulary.id_of(name)) is not None), None)
    if mask_id is None:
        raise ModelError(
            "an encoder is pre-trained on by guessing masked tokens, and this tokenizer has no mask token",
            allowed="a token [MASK] or <mask>",
            next="choose an encoder that was pre-trained so, such as BERT or RoBERTa",
        )
    special = {vocabulary.id_of(text) for text in vocabulary.control} | {*vocabulary.before, *vocabulary.after}
    return MaskedTokens(mask_id, frozenset(one for one in special if one is not None), num_vocabulary, seed)
