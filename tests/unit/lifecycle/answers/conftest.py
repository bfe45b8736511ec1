"""A model that answers by rule, and a session over an empty workspace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from tunesmith.core.engine import Answer, Request
from tunesmith.lifecycle.model import Model
from tunesmith.lifecycle.session import Session, open_session
from tunesmith.models.manifest import BaseReference, LengthPolicy, ModelManifest, NetworkShape, TextRepair


class RuleEngine:
    """Says `refund` to texts with `money`, else `greeting`; numbers are the text's length. Reads ten words."""

    capabilities = frozenset({"predict"})

    def __init__(self, task: str) -> None:
        self.task = task
        self.asked: list[list[str]] = []

    def submit(self, request: Request) -> list[Answer]:
        """The answers, backwards: any order is allowed."""
        self.asked.append(list(request.texts))
        return [self._answer(place, text) for place, text in reversed(list(enumerate(request.texts)))]

    def _answer(self, place: int, text: str) -> Answer:
        words = len(text.split())
        values = (
            (float(-len(text)),) if self.task == "regress" else ((0.25, 0.75) if "money" in text else (0.875, 0.125))
        )
        return Answer(place, values, words, max(0, words - 10))

    def close(self) -> None:
        """Nothing to free."""


def rule_manifest(task: Literal["classify", "regress"], labels: tuple[str, ...]) -> ModelManifest:
    """What stands beside a model whose training rows had their white space and letters repaired."""
    return ModelManifest(
        task=task,
        labels=labels,
        base=BaseReference(name="rule", digest="0" * 64),
        trainable="head",
        network=NetworkShape(pooling="mean", hidden=1),
        length=LengthPolicy(max_tokens=10),
        repair=TextRepair(unicode=True, whitespace=True),
    )


def rule_model(task: Literal["classify", "regress"], labels: tuple[str, ...]) -> Model:
    """A model around the rule engine."""
    return Model("rule@1", rule_manifest(task, labels), RuleEngine(task))  # type: ignore[arg-type]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A session that nobody listens to."""
    with open_session(tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def classifier() -> Model:
    """Answers `greeting` or `refund`."""
    return rule_model("classify", ("greeting", "refund"))


@pytest.fixture
def regressor() -> Model:
    """Answers the negative length of the text."""
    return rule_model("regress", ())
