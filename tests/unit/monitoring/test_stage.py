"""The stages `reference` and `drift`, with a model whose vectors and answers are known."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.unit.data.context import FakeContext

from tunesmith.core.artifact import Artifact, MadeBy
from tunesmith.core.engine import Answer, Request
from tunesmith.models.manifest import ModelManifest
from tunesmith.monitoring.config import DriftConfig, DriftStageConfig, ReferenceConfig
from tunesmith.monitoring.reference import Reference
from tunesmith.monitoring.stage import Drift

LABELS = ("card", "refund")


class Known:
    """Answers by the text: its first word is the label, its length a direction."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def submit(self, request: Request) -> Iterator[Answer]:
        self.asked.append(request.capability)
        for place, text in reversed(list(enumerate(request.texts))):
            if request.capability == "embed":
                rng = np.random.default_rng(sum(map(ord, text)))
                vector = rng.normal(size=4) + (6 if "invoice" in text else 0)
                yield Answer(place, tuple(vector / np.linalg.norm(vector)), len(text.split()))
            else:
                sure = 0.9 if text.startswith("card") else 0.2
                yield Answer(place, (sure, 1 - sure))

    def close(self) -> None: ...


def texts(num: int, seed: int, word: str = "") -> list[str]:
    rng = np.random.default_rng(seed)
    words = ["please", "help", "now", "today", "my", "the"]
    return [
        " ".join([("card", "refund")[at % 2], *rng.choice(words, rng.integers(2, 9)), *([word] if word else [])])
        for at in range(num)
    ]


class Here:
    """The artifacts of a model, and its stages."""

    def __init__(self, root: Path, trainable: str = "head", task: str = "classify") -> None:
        self.root = root
        self.engine = Known()
        splits = root / "splits"
        splits.mkdir()
        for seed, (name, num) in enumerate((("train", 400), ("validation", 150), ("test", 150))):
            rows = texts(num, seed)
            pl.DataFrame(
                {
                    "row_id": [f"{name}{at}" for at in range(num)],
                    "text": rows,
                    "label": [one.split()[0] for one in rows],
                }
            ).write_parquet(splits / f"{name}.parquet")
        test = pl.read_parquet(splits / "test.parquet")
        (root / "report").mkdir()
        test.with_columns(predicted=pl.col("label")).write_parquet(root / "report" / "predictions.parquet")
        (root / "model").mkdir()
        manifest: dict[str, Any] = {
            "task": task,
            "labels": LABELS,
            "base": {"name": "b", "digest": "d"},
            "trainable": trainable,
            "network": {"pooling": "mean", "hidden": 4},
            "length": {"max_tokens": 64},
        }
        ModelManifest.model_validate(manifest).write(root / "model")
        self.given = {name: self.artifact(name, name) for name in ("splits", "report", "model")}
        self.given["base"] = self.given["model"]
        context = FakeContext(root / "reference-step")
        facts = Reference(ReferenceConfig(task="classify"), lambda *_: self.engine).run(self.given, context)[
            "reference"
        ]
        self.given["reference"] = Artifact(
            "reference", "r", context.out / "reference", facts, MadeBy("k", "reference", 0)
        )
        self.facts = facts

    def artifact(self, kind: str, folder: str) -> Artifact:
        return Artifact(kind, folder, self.root / folder, {}, MadeBy("k", kind, 0))

    def observed(
        self, rows: Sequence[str], answers: Sequence[Any] | None = None, truths: Sequence[Any] | None = None
    ) -> dict[str, Any]:
        """The facts of a drift report of these rows."""
        folder = self.root / f"observations{len(list(self.root.iterdir()))}"
        folder.mkdir()
        num = len(rows)
        pl.DataFrame(
            {
                "row_id": [str(at) for at in range(num)],
                "text": list(rows),
                "answer": [None if one is None else json.dumps(one) for one in answers or [None] * num],
                "truth": [None if one is None else json.dumps(one) for one in truths or [None] * num],
            },
            schema_overrides={"answer": pl.String, "truth": pl.String},
        ).write_parquet(folder / "part-00000.parquet")
        (folder / "manifest.json").write_text(json.dumps({"shards": ["part-00000.parquet"]}))
        context = FakeContext(folder / "step")
        config = DriftStageConfig(task="classify", drift=DriftConfig(permutations=2000), metric="accuracy")
        given = {**self.given, "observations": self.artifact("dataset", folder.name)}
        facts: Any = Drift(config, lambda *_: self.engine).run(given, context)["report"]
        self.strangest = pl.read_parquet(context.out / "report" / "strangest.parquet")
        assert json.loads((context.out / "report" / "metrics.json").read_text()) == facts
        return dict(facts)


def alerts(facts: dict[str, Any]) -> set[str]:
    return {one["name"] for one in facts["tests"] if one["is_alert"]}


def test_equal_texts_give_no_alert_and_others_do(tmp_path: Path) -> None:
    here = Here(tmp_path)
    assert here.facts["texts_from"] == "train" and here.facts["rows"] == {"texts": 400, "answers": 300, "train": 400}
    assert alerts(here.observed(texts(200, 9))) == set()
    facts = here.observed(texts(200, 9, word="invoice"))
    assert {"embedding", "unseen_words"} <= alerts(facts) and facts["is_alert"]
    assert "labels" not in alerts(facts)
    assert "invoice" in here.strangest["text"][0] and "invoice" not in here.strangest["nearest_text"][0]


def test_captured_answers_are_tested_as_they_were_given(tmp_path: Path) -> None:
    here = Here(tmp_path)
    here.engine.asked.clear()
    answers = [{"label": "refund", "probability": 0.55}] * 100
    facts = here.observed([""] * 100, answers)
    assert alerts(facts) == {"labels", "one_label", "confidence"} and here.engine.asked == []
    assert "100 of 100 observations hold no text" in facts["notes"][0]
    assert {one["group"] for one in facts["tests"]} == {"labels", "answers"}


def test_scores_once_labels_arrive(tmp_path: Path) -> None:
    here = Here(tmp_path)
    rows = texts(120, 9)
    right = [one.split()[0] for one in rows]
    facts = here.observed(rows, truths=right)
    assert facts["performance"]["primary"]["value"] == 1.0 and alerts(facts) == set()
    facts = here.observed(rows, truths=["loan" if at % 3 == 0 else one for at, one in enumerate(right)])
    assert facts["performance"]["primary"]["verdict"] == "worse" and alerts(facts) == {"accuracy"}
    assert facts["performance"]["unknown_labels"] == 40
    few = here.observed(rows, truths=[*right[:30], *[None] * 90])
    assert few["performance"]["why"] == "not enough: 30 of 50 rows with a true label"
    assert next(one for one in few["tests"] if one["group"] == "performance")["verdict"] == "not enough"


def test_an_encoder_that_learned_is_compared_on_held_out_rows(tmp_path: Path) -> None:
    facts = Here(tmp_path, trainable="full").facts
    assert facts["texts_from"] == "validation and test" and facts["rows"]["texts"] == 300


def test_few_texts_are_not_judged(tmp_path: Path) -> None:
    facts = Here(tmp_path).observed(texts(10, 9, word="invoice"))
    assert {one["verdict"] for one in facts["tests"]} == {"not enough"} and not facts["is_alert"]


def test_equal_windows_give_equal_facts(tmp_path: Path) -> None:
    here = Here(tmp_path)
    assert here.observed(texts(80, 9)) == here.observed(texts(80, 9))


@pytest.mark.parametrize("is_rejected", [True, False])
def test_rejected_texts_are_a_label_of_their_own(tmp_path: Path, is_rejected: bool) -> None:
    answers = [
        {"label": None, "probability": 0.4, "is_rejected": True}
        if is_rejected
        else {"label": "card", "probability": 0.9}
    ] * 60
    facts = Here(tmp_path).observed(["card"] * 60, answers, ["card"] * 60)
    names = next(one for one in facts["tests"] if one["name"] == "labels")["picture"]["names"]
    assert ("(rejected)" in names) == is_rejected
    assert facts["performance"]["rejected"] == (60 if is_rejected else 0)
