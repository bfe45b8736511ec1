"""Whether training rows that were made from others helped, and what they look like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.reporting.view import RunView

STEP = "keep"


@dataclass(frozen=True)
class Augmentation:
    """The two models on the validation rows, and what each method made."""

    facts: Mapping[str, Any]
    methods: tuple[Mapping[str, Any], ...]
    """``method, rows, left_out, examples``."""


def augmentation_of(view: RunView) -> Augmentation | None:
    """What augmentation did, or None where there was none."""
    if STEP not in view.made:
        return None
    facts = view.made[STEP]["augmentation"]
    return Augmentation(facts, tuple(facts["made"]["methods"]))
