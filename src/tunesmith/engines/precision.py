"""An engine in half the bytes, where that changes next to nothing.

bfloat16 rounds the encoder's weights and activations to 8 bits; pooling and head stay in float32. On processors that
multiply it natively it is about twice as fast. Whether a model's decisions survive is a question to that model, so it
is asked: on its own rows every probability must stay close to what it was, and labels may turn only among near ties.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.core.engine import Answer, Request
from tunesmith.engines.transformers import TransformersEngine

TOLERANCE = 0.02
"""Largest change of a probability, or of a predicted value over its spread, that still counts as the same."""
MAX_OTHER = 0.01
"""Share of probes that may get another label: with so small a change, only labels that were all but tied can turn."""
MIN_PROBES = 64
"""Fewer texts show too little: the model stays as it was trained."""


@dataclass(frozen=True)
class Reduced:
    """What trying showed."""

    is_used: bool
    num_probes: int
    num_other: int
    """Probes that got another answer."""
    largest_change: float
    """Of a probability, or of a value over its spread."""


def reduce(engine: TransformersEngine, probes: Sequence[str]) -> Reduced:
    """Turn an engine's encoder into bfloat16 where the probes keep their answers; else leave it as it was."""
    import torch

    if len(probes) < MIN_PROBES:
        return Reduced(False, len(probes), 0, 0.0)
    before = _answers(engine, probes)
    whole = engine.network.encoder
    engine.network.encoder = copy.deepcopy(whole).to(torch.bfloat16)
    after = _answers(engine, probes)
    scales = [one.std for one in engine.manifest.scales] or [1.0]
    change = max(
        abs(one - other) / (scales[place] if engine.manifest.task == "regress" else 1.0)
        for old, new in zip(before, after, strict=True)
        for place, (one, other) in enumerate(zip(old.values, new.values, strict=True))
    )
    num_other = sum(_decision(engine, old) != _decision(engine, new) for old, new in zip(before, after, strict=True))
    is_used = num_other <= MAX_OTHER * len(probes) and change <= TOLERANCE
    if not is_used:
        engine.network.encoder = whole
    return Reduced(is_used, len(probes), num_other, change)


def _answers(engine: TransformersEngine, texts: Sequence[str]) -> list[Answer]:
    return sorted(engine.submit(Request("predict", texts)), key=lambda one: one.index)


def _decision(engine: TransformersEngine, answer: Answer) -> object:
    """What is decided by an answer: for a number nothing but the number itself."""
    task, decision = engine.manifest.task, engine.manifest.decision
    if task == "regress":
        return None
    if task == "tag":
        thresholds = decision.thresholds or [0.5] * len(answer.values)
        return tuple(value >= threshold for value, threshold in zip(answer.values, thresholds, strict=True))
    is_rejected = decision.reject is not None and (answer.score or 0.0) < decision.reject.threshold
    return max(range(len(answer.values)), key=answer.values.__getitem__), is_rejected
