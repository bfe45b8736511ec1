"""Texts that the model does not know: how many are rejected, and how many that it knows are rejected with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.reporting import wording
from tunesmith.reporting.view import RunView

SCORES = {"max_probability": "largest probability", "max_logit": "largest logit", "energy": "energy"}


@dataclass(frozen=True)
class RejectionRow:
    """One figure, in words."""

    what: str
    value: str
    span: str


@dataclass(frozen=True)
class RejectionPart:
    """What the report says of rejection."""

    words: str
    rows: tuple[RejectionRow, ...]


def rejection_of(view: RunView) -> RejectionPart | None:
    """The rejection's figures; None where every text is answered."""
    facts: Mapping[str, Any] | None = view.report.get("rejection")
    if facts is None:
        return None
    score = SCORES[facts["score"]]
    words = (
        f"A text is answered where its {score} is at least {wording.number(facts['threshold'])}: the value that "
        f"{wording.share(facts['keep'])} of the validation rows in scope reach. Measured on "
        f"{wording.counted(facts['num_inside'], 'test row')} in scope and "
        f"{wording.count(facts['num_outside'])} out of it."
    )
    asked = [
        ("in scope and answered", facts["coverage"]),
        ("right, of all in scope", facts["accuracy"]),
        ("right, of those answered", facts["accuracy_of_answered"]),
        ("out of scope and rejected", facts.get("rejected")),
        ("right, of all rows (answered right, or out of scope and rejected)", facts.get("accuracy_of_all")),
    ]
    rows = [_share(what, one) for what, one in asked if one]
    for name, what in (("auroc", "AUROC"), ("fpr_at_95_tpr", "out of scope answered where 95 % in scope are")):
        if name in facts:
            for who, one in ((score, facts[name]), ("largest probability", facts["max_probability"][name])):
                rows.append(RejectionRow(f"{what}, by {who}", wording.number(one["value"]), wording.span(one)))
    return RejectionPart(words, tuple(dict.fromkeys(rows)))


def _share(what: str, one: Mapping[str, Any]) -> RejectionRow:
    return RejectionRow(
        what, wording.share(one["value"]), f"{wording.share(one['low'])} to {wording.share(one['high'])}"
    )
