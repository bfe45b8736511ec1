"""What is seen of a language model on the validation rows while it trains: loss by source, and what it writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tunesmith.core.method import Method, Row
from tunesmith.models.templates.vocabulary import Vocabulary
from tunesmith.training.batch import Batching
from tunesmith.training.step import Networks
from tunesmith.training.validation import summed_loss

OPENING = 16
"""Tokens of a text that the model goes on from, where nothing of the row is a prompt."""


@dataclass(frozen=True)
class Sample:
    """A validation row that the model answers at every look."""

    row_id: str
    prompt: Sequence[int]
    reference: Sequence[int]


def sample_of(row_id: str, row: Row) -> Sample:
    """The row's tokens before the first trained one, and from there on."""
    tokens, weights = row["tokens"], row["weights"]
    first = next((place for place, weight in enumerate(weights) if weight > 0), len(tokens))
    cut = first if first > 1 else min(OPENING, max(1, len(tokens) // 2))
    return Sample(row_id, tokens[:cut], tokens[cut:])


@dataclass(frozen=True)
class Looks:
    """Looks at the validation rows of one run."""

    method: Method
    networks: Networks
    rows: Sequence[Row]
    sources: Sequence[str]
    batching: Batching
    samples: Sequence[Sample]
    vocabulary: Vocabulary
    ends: Sequence[int]
    max_new_tokens: int

    def __call__(self, budget_tokens: int) -> tuple[Mapping[str, float], Mapping[str, Any]]:
        """The loss over all rows, and for the history line that of each source, and the samples."""
        by_source: dict[str, list[int]] = {}
        for place, source in enumerate(self.sources):
            by_source.setdefault(source, []).append(place)
        sums = {}
        for source, places in sorted(by_source.items()):
            rows = self.rows if len(by_source) == 1 else [self.rows[place] for place in places]
            sums[source] = summed_loss(self.method, self.networks, rows, budget_tokens, self.batching)
        total, weight = (sum(column) for column in zip(*sums.values(), strict=True))
        more: dict[str, Any] = {"by_source": {source: _mean(*pair) for source, pair in sums.items()}}
        if self.samples:
            more["samples"] = [self._written(one) for one in self.samples]
        return {"loss": _mean(total, weight)}, more

    def _written(self, sample: Sample) -> dict[str, str]:
        ids = write(
            self.networks.by_role["model"].module.model,
            sample.prompt,
            self.max_new_tokens,
            self.ends,
            self.networks.device,
        )
        parts = {"prompt": sample.prompt, "reference": sample.reference, "generated": ids}
        texts = {
            name: self.vocabulary.fast.decode(list(part), skip_special_tokens=False) for name, part in parts.items()
        }
        return {"row_id": sample.row_id, **texts}


def write(
    model: Any, prompt: Sequence[int], max_new_tokens: int, ends: Iterable[int], device: str = "cpu"
) -> list[int]:
    """The most probable tokens one after the other, up to an end or the number asked for; the end is not among them."""
    from transformers import GenerationConfig

    stops = sorted(ends)
    settings = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        eos_token_id=stops or None,
        pad_token_id=stops[0] if stops else 0,
    )
    tokens_1T = torch.tensor([list(prompt)], device=device)
    with torch.inference_mode():
        found = model.generate(
            input_ids=tokens_1T, attention_mask=torch.ones_like(tokens_1T), generation_config=settings
        )
    is_continued = not getattr(model.config, "is_encoder_decoder", False)
    ids: list[int] = found[0, tokens_1T.shape[1] if is_continued else 1 :].tolist()
    return ids[:-1] if ids and ids[-1] in stops else ids


def _mean(total: float, weight: float) -> float:
    return total / weight if weight else 0.0
