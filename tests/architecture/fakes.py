"""Six small fakes, each at most 40 lines, for which neither the loop nor the runner was changed (DESIGN section 3).

Whoever must edit the loop or the runner to add a method writes the decision record first.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl

from tunesmith.core.config import Config
from tunesmith.core.engine import Answer, Request
from tunesmith.core.method import Columns, Forward, Loss, Network, Objective, Row
from tunesmith.core.stage import Facts, Given, StepContext


class SplitsConfig(Config):
    """Which rows the fake splits have."""

    num_train: int = 24
    """Training rows."""
    wrong: bool = False
    """Whether every training label is another one than the true one."""


class Splits:
    """Not one of the six: rows for them."""

    makes: ClassVar[Mapping[str, str]] = {"splits": "splits"}

    def __init__(self, config: SplitsConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the splits."""
        from tests import tiny

        texts, labels = tiny.sentences(self.config.num_train)
        turned = {name: tiny.LABELS[place - 1] for place, name in enumerate(tiny.LABELS)}
        rows = {"train": (texts, [turned[label] for label in labels] if self.config.wrong else labels)}
        return {"splits": dict(tiny.splits(context.out / "splits", rows).facts)}


class GanConfig(Config):
    """A method that a recipe could name."""

    kind: Literal["gan"] = "gan"
    """Two networks against each other."""


class Gan:
    """1. Two networks, two objectives: the model invents labels of texts, a critic tells them from true ones."""

    def __init__(self, config: GanConfig, target: Any) -> None:
        self.target = target

    def rows(self, example: Mapping[str, Any], render: Callable[[str], Row]) -> Row:
        """The text's vector and its true label as a unit vector."""
        true = np.eye(len(self.target.names), dtype=np.float32)[self.target.index(example["label"])]
        return {**render(example["text"]), "true": true}

    def networks(self, model: Any) -> Mapping[str, Network]:
        """The critic: how well each label would suit a text (a projection critic, Miyato and Koyama 2018)."""
        from torch import nn

        return {
            "critic": Network(
                nn.Linear(model.head.linear.in_features, model.head.linear.out_features), reads=("features",)
            )
        }

    def objectives(self) -> Sequence[Objective]:
        """Least squares (Mao et al. 2017); the critic learns twice as often as the model."""
        return (Objective("critic", self._critic, trains="critic"), Objective("model", self._model, every=2))

    def _critic(self, forward: Forward, batch: Columns) -> Loss:
        suits_BC, invented_BC = forward("critic", batch), forward("model", batch).softmax(-1).detach()
        loss_B = ((suits_BC * batch["true"]).sum(-1) - 1).square() + (suits_BC * invented_BC).sum(-1).square()
        return Loss(loss_B.sum(), loss_B.new_tensor(len(loss_B)))

    def _model(self, forward: Forward, batch: Columns) -> Loss:
        loss_B = ((forward("critic", batch) * forward("model", batch).softmax(-1)).sum(-1) - 1).square()
        return Loss(loss_B.sum(), loss_B.new_tensor(len(loss_B)))


class RollOutsConfig(Config):
    """A method that a recipe could name."""

    kind: Literal["roll_outs"] = "roll_outs"
    """Learns from an engine's answers."""


class FakeEngine:
    """Answers by a word in the text, last text first: answers may come in any order."""

    capabilities = frozenset({"predict"})

    def submit(self, request: Request) -> Iterator[Answer]:
        """One label for each text: the first whose word it has."""
        for index, text in reversed(list(enumerate(request.texts))):
            yield Answer(index, tuple(float(word in text) for word in ("the", "you", "")))


class RollOuts:
    """2. Roll-outs: each step asks an engine about its texts and trains on what it says; labels are unused."""

    def __init__(self, config: RollOutsConfig, target: Any) -> None:
        self.engine, self.texts = FakeEngine(), list[str]()

    def rows(self, example: Mapping[str, Any], render: Callable[[str], Row]) -> Row:
        """The text's columns and its number."""
        self.texts.append(example["text"])
        return {**render(example["text"]), "prompt": len(self.texts) - 1}

    def collect(self, rows: Sequence[Row], step: int) -> Iterable[Row]:
        """The rows with the engine's answers as their targets."""
        answers = self.engine.submit(Request("predict", [self.texts[row["prompt"]] for row in rows]))
        found = {answer.index: int(np.argmax(answer.values)) for answer in answers}
        return [{**row, "target": found[place]} for place, row in enumerate(rows)]

    def objectives(self) -> Sequence[Objective]:
        """Cross-entropy on the answers."""
        from tunesmith.numerics.losses import cross_entropy

        return (
            Objective("answers", lambda forward, batch: Loss(*cross_entropy(forward("model", batch), batch["target"]))),
        )


class EmptyConfig(Config):
    """Nothing to say."""


class FewShot:
    """3. A builder without weights: a MODEL that is a prompt with the first example of each label."""

    makes: ClassVar[Mapping[str, str]] = {"model": "model"}

    def __init__(self, config: EmptyConfig) -> None:
        pass

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the model: its manifest."""
        rows = pl.read_parquet(given["splits"].path / "train.parquet").unique(
            "label", keep="first", maintain_order=True
        )
        prompt = [f"{text} => {label}" for text, label in rows.select("text", "label").iter_rows()]
        manifest = {"format": 1, "task": "classify", "labels": given["splits"].facts["labels"], "prompt": prompt}
        (context.out / "model" / "model.json").write_text(json.dumps(manifest))
        return {"model": manifest}


class Ensemble:
    """4. A model with members: its payload names them by digest, and they stay where they are."""

    makes: ClassVar[Mapping[str, str]] = {"model": "model"}

    def __init__(self, config: EmptyConfig) -> None:
        pass

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the model: its manifest."""
        first = next(iter(given.values())).facts
        members = [one.digest for _, one in sorted(given.items())]
        manifest = {"format": 1, "task": first["task"], "labels": first["labels"], "members": members}
        (context.out / "model" / "model.json").write_text(json.dumps(manifest))
        return {"model": manifest}


class Elsewhere:
    """5. A step in a second interpreter: says which one runs it and what it was given."""

    makes: ClassVar[Mapping[str, str]] = {"note": "report"}

    def __init__(self, config: EmptyConfig) -> None:
        pass

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """Where it ran."""
        facts = {"prefix": sys.prefix, "rows": given["splits"].facts["splits"]["train"], "seed": context.seed}
        (context.out / "note" / "note.json").write_text(json.dumps(facts))
        context.warn("hello from elsewhere")
        return {"note": facts}
