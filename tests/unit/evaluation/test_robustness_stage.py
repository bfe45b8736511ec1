"""The robustness stage on hand-made splits and an engine that reads letters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.unit.evaluation.evaluation_fakes import FakeContext, artifact, write_splits

from tunesmith.core.engine import Answer, Request
from tunesmith.evaluation.measures_config import RobustnessConfig, RobustnessStageConfig
from tunesmith.evaluation.robustness import Robustness
from tunesmith.models.manifest import BaseReference, LengthPolicy, ModelManifest, NetworkShape, TextRepair

TEST = [(f"my {word} is gone again today", word) for word in ("card", "loan")] * 30


class Reads:
    """Says `card` where the text holds that very word, else `loan`; a regression counts the words."""

    def __init__(self, task: str) -> None:
        self.task, self.labels, self.texts = task, [] if task == "regress" else ["card", "loan"], []

    def open(self, model: Path, base: Path) -> Reads:
        return self

    def submit(self, request: Request) -> list[Answer]:
        self.texts += request.texts
        if self.task == "tag":
            return [Answer(at, (0.9 if "card" in text else 0.1, 0.2)) for at, text in enumerate(request.texts)]
        if self.task == "regress":
            return [Answer(at, (float(len(text.split())),)) for at, text in enumerate(request.texts)]
        return [Answer(at, (0.9, 0.1) if "card" in text else (0.1, 0.9)) for at, text in enumerate(request.texts)]

    def close(self) -> None:
        pass


def run(
    folder: Path, context: FakeContext, task: Any, test: list[tuple[str, Any]] | None, **asked: Any
) -> dict[str, Any]:
    engine = Reads(task)
    (folder / "model").mkdir(parents=True)
    ModelManifest(
        task=task,
        labels=tuple(engine.labels),
        base=BaseReference(name="b", digest="d"),
        trainable="head",
        network=NetworkShape(pooling="mean", hidden=4),
        length=LengthPolicy(max_tokens=32),
        repair=TextRepair(unicode=True, whitespace=True),
    ).write(folder / "model")
    given = {
        "splits": artifact("splits", folder / "splits") if test is None else write_splits(folder / "splits", test=test),
        "model": artifact("model", folder / "model"),
        "base": artifact("base", folder / "base"),
    }
    config = RobustnessStageConfig(task=task, robustness=RobustnessConfig(**asked), bootstrap_samples=200)
    return Robustness(config, engine.open).run(given, context)["robustness"]  # type: ignore[arg-type]


def test_what_each_kind_costs_and_the_rows_behind_it(tmp_path: Path, context: FakeContext) -> None:
    kinds = ("lookalikes", "whitespace", "truncation")
    facts = run(tmp_path, context, "classify", TEST, kinds=kinds, strength=0.5, rows=40)
    assert facts["num_rows"] == 40 and facts["clean"]["value"] == 1 and facts["metric"] == "accuracy"
    # Half of all letters replaced: `card` is hardly ever left; spaces are repaired before the model reads them.
    assert facts["kinds"]["lookalikes"]["drop"]["verdict"] == "shown"
    assert facts["kinds"]["truncation"]["value"] == 1, "`card` is the second of six words"
    assert facts["worst"]["value"] <= facts["average"]["value"] <= 1
    assert facts["kinds"]["lookalikes"]["num_changed"] == 40
    assert json.loads((context.out / "robustness" / "robustness.json").read_text()) == facts
    frame = pl.read_parquet(context.out / "robustness" / "perturbed.parquet")
    assert frame.height == 160 and frame["kind"].unique(maintain_order=True).to_list() == ["as it is", *kinds]
    share = (frame.filter(pl.col("kind") == "lookalikes")["predicted"] == "card").mean()
    assert facts["kinds"]["lookalikes"]["value"] == pytest.approx(0.5 + share)


def test_doubled_spaces_are_repaired_as_at_serving(tmp_path: Path, context: FakeContext) -> None:
    facts = run(tmp_path, context, "regress", [("one  two three", 3.0)] * 20, kinds=("case",))
    assert facts["metric"] == "mae" and facts["kinds"]["case"]["flipped"] == 0
    assert facts["kinds"]["case"]["drop"]["value"] == 0


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    outs = [FakeContext(tmp_path / name) for name in ("one", "two")]
    for name, out in zip(("a", "b"), outs, strict=True):
        run(tmp_path / name, out, "classify", TEST)
    for file in ("robustness.json", "perturbed.parquet"):
        first, second = ((out.out / "robustness" / file).read_bytes() for out in outs)
        assert first == second


def test_without_a_test_row_it_says_so(tmp_path: Path, context: FakeContext) -> None:
    facts = run(tmp_path, context, "classify", [])
    assert facts["not_measured"] == "there is no test row"


def test_of_tags_the_worst_is_the_kind_with_most_wrong_labels(tmp_path: Path, context: FakeContext) -> None:
    folder = tmp_path / "splits"
    rows = [("my card is gone", ["card"]), ("all is well here", []), ("my card is back", ["card", "new"])] * 20
    write_splits(folder)
    ids, texts, labels = [f"r{at}" for at in range(60)], [text for text, _ in rows], [names for _, names in rows]
    frame = pl.DataFrame({"row_id": ids, "text": texts, "label": pl.Series(labels, dtype=pl.List(pl.String))})
    frame.write_parquet(folder / "test.parquet")
    facts = run(tmp_path, context, "tag", None, kinds=("lookalikes",), strength=1.0)
    # Two of three labels asked for are found, none is given wrongly: precision 1, recall 2/3.
    assert facts["metric"] == "f1_micro" and facts["clean"]["value"] == pytest.approx(0.8)
    assert facts["kinds"]["lookalikes"]["value"] == 0 and facts["kinds"]["lookalikes"]["flipped"] == pytest.approx(
        2 / 3
    )
    written = pl.read_parquet(context.out / "robustness" / "perturbed.parquet")
    assert written["predicted"].to_list()[:3] == [["card"], [], ["card"]] and written["predicted"].to_list()[60] == []
