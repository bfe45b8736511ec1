"""Texts explained one part after the other: what is told meanwhile, and how it is stopped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tunesmith.core.errors import Interrupted
from tunesmith.core.events import Event
from tunesmith.explanation.attribution import Attribution
from tunesmith.lifecycle import explain as explaining
from tunesmith.lifecycle.model import Model
from tunesmith.lifecycle.session import Session


def attributed(model: Model, texts: Sequence[str], method: Any, label: str | None) -> list[Attribution]:
    """An attribution without words for each text."""
    return [Attribution(method, "refund", text, (), "probability", 0.5, 0.25) for text in texts]


@pytest.fixture(autouse=True)
def by_rule(classifier: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model of every reference answers by rule, and its network is not looked into."""
    monkeypatch.setattr(explaining, "open_model", lambda session, reference: classifier)
    monkeypatch.setattr(explaining, "explain_learned", attributed)


def test_it_tells_how_far_it_is_before_the_model_is_open_and_after_each_part(session: Session) -> None:
    told: list[Event] = []
    texts = [f"text {number}" for number in range(20)]
    found = explaining.explain(Session(session.workspace, session.ledger, told.append), "rule@1", texts, "occlusion")
    assert [one.text for one in found] == texts
    assert [one.attribution.text for one in found] == texts
    assert {one.prediction.label for one in found} == {"greeting"}
    assert [(one["done"], one["total"], one["note"]) for one in told] == [
        (0, 20, "opening the model"),
        (0, 20, "occlusion"),
        (4, 20, "occlusion"),
        (8, 20, "occlusion"),
        (12, 20, "occlusion"),
        (16, 20, "occlusion"),
        (20, 20, "occlusion"),
    ]
    assert {one["step"] for one in told} == {"explain"}


def test_it_stops_between_two_parts(session: Session) -> None:
    told: list[Event] = []

    def listen(event: Event) -> None:
        told.append(event)
        if event["done"]:
            session.cancel.set()

    watched = Session(session.workspace, session.ledger, listen, session.cancel)
    with pytest.raises(Interrupted, match="nothing was explained"):
        explaining.explain(watched, "rule@1", ["text"] * 40, "occlusion")
    assert [one["done"] for one in told] == [0, 0, 4]
