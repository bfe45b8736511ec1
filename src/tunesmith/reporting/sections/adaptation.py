"""How the encoder was pre-trained on with texts before the head learned: what it read, and what it guesses since."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tunesmith.reporting import wording
from tunesmith.reporting.charts.curves import Curve, curve_chart
from tunesmith.reporting.view import RunView

STAGE = "adapt"
GUESSED = {"masked_tokens": "the masked tokens", "next_token": "the next token"}
TEXTS = "prepare:texts/splits"


@dataclass(frozen=True)
class AdaptedPhase:
    """One phase."""

    name: str
    words: str
    loss: Markup | None
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Adaptation:
    """The phases before the head's."""

    phases: tuple[AdaptedPhase, ...]
    lost: tuple[tuple[str, str], ...]
    """Reason → texts that were not read for it."""
    num_test: str


def adaptation_of(view: RunView) -> Adaptation | None:
    """The phases before the head's; None where there were none."""
    steps = [step.name for step in view.steps if step.stage == STAGE]
    if not steps:
        return None
    step, _, output = TEXTS.partition("/")
    texts = view.made[step][output]
    lost = {**texts["removed"], **texts["quarantined"]}
    return Adaptation(
        phases=tuple(
            _phase(f"Phase {number}" if len(steps) > 1 else "", view.made[name], view.files[f"{name}/history"])
            for number, name in enumerate(steps, 1)
        ),
        lost=tuple((wording.counted(number, "text"), why) for why, number in lost.items()),
        num_test=wording.counted(texts["splits"]["test"], "test row"),
    )


def _phase(name: str, made: Mapping[str, Mapping[str, Any]], history: Path) -> AdaptedPhase:
    facts = made["base"]["adapted"][-1]
    lines = [json.loads(line) for line in (history / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    looks = [(line["epoch"], line["validation"]["loss"]) for line in lines if "loss" in line.get("validation", {})]
    best = next((line["epoch"] for line in lines if line["step"] == facts["best_step"] and "validation" in line), None)
    losses = [
        Curve("training loss", "train", [(line["epoch"], line["loss"]) for line in lines if "loss" in line]),
        Curve("validation loss", "valid", looks),
    ]
    label = "Loss of guessing tokens over epochs, on training and validation texts"
    return AdaptedPhase(
        name=name,
        words=_words(facts),
        loss=curve_chart(losses, label=label, best=None if best is None else (best, facts["best"])),
        facts=(
            ("Rows of text", wording.count(facts["rows"])),
            ("Tokens", wording.count(facts["tokens"])),
            ("From", ", ".join(facts["sources"] or ["every source"])),
            ("Trained", str(facts["trainable"])),
            ("Steps", f"{wording.count(facts['steps'])} in {facts['epochs']:g} epochs"),
            ("Peak learning rate", f"{facts['lr']:.3g}"),
        ),
    )


def _words(facts: Mapping[str, Any]) -> str:
    before, after = facts["before"], facts["best"]
    if before is None or after is None:
        return "There were no validation texts to measure on."
    words = (
        f"Guessing {GUESSED[facts['objective']]} of validation texts cost {wording.number(before)} before and "
        f"{wording.number(after)} after (cross-entropy, lower is better)."
    )
    if facts["starts_new"]:
        words += (
            " The base came without the layer that guesses: it was new, so much of this is what that layer learned, "
            "not the encoder."
        )
    return words
