"""What a language model read and what of it was trained: the template, samples, and what the length policy took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.reporting import wording
from tunesmith.reporting.view import RunView

POLICIES = {
    "truncate_left": "rows that are too long lose their start",
    "truncate_right": "rows that are too long lose their end",
    "drop": "rows that are too long are left out",
    "split": "rows that are too long are cut into several",
    "refuse": "no row may be too long",
}
COLUMNS = {
    "rows": "Rows",
    "kept": "Kept",
    "dropped": "Left out",
    "untrained_rows": "Nothing to train",
    "truncated": "Cut",
    "split": "Cut into several",
    "tokens": "Tokens",
    "trained_tokens": "Trained",
    "cut_tokens": "Lost",
}


@dataclass(frozen=True)
class Piece:
    """A piece of a sample."""

    text: str
    kind: str
    """Class of the style sheet: trained, seen."""


@dataclass(frozen=True)
class TokensPart:
    """The tokens of a phase of training."""

    name: str
    """The phase, where there are several."""
    words: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    """Source → the counts."""
    reasons: tuple[tuple[str, str], ...]
    """Why rows were left out."""
    samples: tuple[tuple[Piece, ...], ...]


def tokens_of(view: RunView) -> tuple[TokensPart, ...] | None:
    """The tokens of every phase; None where no step made any."""
    found = [(step, made["tokens"]) for step, made in view.made.items() if "tokens" in made]
    return (
        tuple(_part(f"Phase {step.partition(':')[2]}" if len(found) > 1 else "", facts) for step, facts in found)
        or None
    )


def _part(name: str, facts: Mapping[str, Any]) -> TokensPart:
    sources: Mapping[str, Mapping[str, Any]] = facts["by_source"]
    # A column that is 0 for every source says nothing, but what was kept and trained is always said.
    shown = [
        key
        for key in COLUMNS
        if key in ("rows", "kept", "tokens", "trained_tokens") or any(one.get(key) for one in sources.values())
    ]
    reasons: dict[str, int] = {}
    for one in sources.values():
        for why, num in one.get("reasons", {}).items():
            reasons[why] = reasons.get(why, 0) + num
    most = sorted(reasons.items(), key=lambda one: -one[1])
    return TokensPart(
        name=name,
        words=_words(facts),
        columns=tuple(COLUMNS[key] for key in shown),
        rows=tuple(
            (source, tuple(wording.count(one.get(key, 0)) for key in shown)) for source, one in sorted(sources.items())
        ),
        reasons=tuple((why, wording.counted(num, "row")) for why, num in most),
        samples=tuple(_pieces(one) for one in facts["samples"]),
    )


def _words(facts: Mapping[str, Any]) -> str:
    template = facts["template"]
    trained = {"assistant": "every answer", "last": "the last answer of each row", "all": "every token"}
    parts = [f"Template: {template['name']} ({template['source']})."]
    if "train_on" in facts:
        parts.append(f"Trained is {trained.get(facts['train_on'], facts['train_on'])}.")
    policy = POLICIES.get(facts["policy"], facts["policy"])
    parts.append(f"A row has at most {wording.counted(facts['max_tokens'], 'token')}; {policy}.")
    return " ".join(parts)


def _pieces(sample: Sequence[Sequence[Any]]) -> tuple[Piece, ...]:
    """The pieces of a sample, neighbours of a kind joined."""
    found: list[Piece] = []
    for text, weight in sample:
        kind = "trained" if weight else "seen"
        if found and found[-1].kind == kind:
            found[-1] = Piece(found[-1].text + text, kind)
        else:
            found.append(Piece(text, kind))
    return tuple(found)
