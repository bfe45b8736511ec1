"""What a language model wrote for the same rows while it learned."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tunesmith.reporting import wording
from tunesmith.reporting.view import RunView

TEXT_CHARS = 400
MAX_ROWS = 3
MAX_LOOKS = 8


@dataclass(frozen=True)
class SampleRow:
    """A validation row at every look."""

    prompt: str
    reference: str
    looks: tuple[tuple[str, str, bool], ...]
    """Step in words, what was written, and whether this is the checkpoint that was kept."""


def training_samples_of(view: RunView) -> tuple[SampleRow, ...] | None:
    """The samples of the last phase's history; None where it has none."""
    lines = [json.loads(line) for line in view.history.read_text(encoding="utf-8").splitlines() if line.strip()]
    looks = [line for line in lines if line.get("samples")]
    if not looks:
        return None
    if len(looks) > MAX_LOOKS:
        # First and last, and others evenly between.
        looks = [looks[round(at * (len(looks) - 1) / (MAX_LOOKS - 1))] for at in range(MAX_LOOKS)]
    first: list[dict[str, Any]] = looks[0]["samples"][:MAX_ROWS]
    return tuple(
        SampleRow(
            prompt=wording.bounded(sample["prompt"], TEXT_CHARS),
            reference=wording.bounded(sample["reference"], TEXT_CHARS),
            looks=tuple(
                (
                    f"step {line['step']:,}",
                    wording.bounded(line["samples"][place]["generated"], TEXT_CHARS),
                    line["step"] == view.model["best_step"],
                )
                for line in looks
            ),
        )
        for place, sample in enumerate(first)
    )
