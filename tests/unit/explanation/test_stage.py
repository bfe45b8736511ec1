"""The stages over trained models of every task: what they leave, the same bytes each time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.numpy import load_file, save_file
from tests import tiny

from tunesmith.explanation.config import ExplainConfig, ExplainStageConfig, VectorsConfig
from tunesmith.explanation.stage import Explain
from tunesmith.explanation.vectors import Vectors

Task = Literal["classify", "tag", "regress"]
ASKED = ExplainConfig(rows=8, curve_rows=3, random_orders=1, neighbours=2, influences=2, suspects=4, least_rows=1)
FILES = ["attributions", "influences", "neighbours", "suspects", "top_words"]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def rows_of(task: Task, num: int, seed: int) -> tuple[list[str], list[Any]]:
    texts, labels = tiny.sentences(num, seed=seed)
    if task == "tag":
        return texts, [
            sorted({label, "question"} if "why" in text else {label}) for text, label in zip(texts, labels, strict=True)
        ]
    return texts, labels if task == "classify" else [float(len(text)) for text in texts]


def splits_of(folder: Path, task: Task, told: str = "") -> Any:
    """Splits of rows, those of the test ending with ``told``."""
    rows = {
        name: rows_of(task, size, seed)
        for seed, (name, size) in enumerate((("train", 30), ("validation", 9), ("test", 12)))
    }
    rows["test"] = ([text + told for text in rows["test"][0]], rows["test"][1])
    if task != "tag":
        found = tiny.splits(folder, rows, task)
        if task == "regress":
            values = np.array(rows["train"][1])
            target = {"mean": values.mean(), "std": values.std(), "min": values.min(), "max": values.max()}
            return tiny.artifact(
                "splits", "splits", folder, {**found.facts, "target": {k: float(v) for k, v in target.items()}}
            )
        return found
    folder.mkdir(parents=True, exist_ok=True)
    for name, (texts, labels) in rows.items():
        ids = [f"{name}-{row}" for row in range(len(texts))]
        pl.DataFrame(
            {"row_id": ids, "text": texts, "label": pl.Series(labels, dtype=pl.List(pl.String))}
        ).write_parquet(folder / f"{name}.parquet")
    names = sorted({one for _, labels in rows.values() for each in labels for one in each})
    facts = {"task": task, "labels": names, "splits": {name: len(texts) for name, (texts, _) in rows.items()}}
    return tiny.artifact("splits", "splits", folder, facts)


def explained(folder: Path, task: Task, trainable: str = "full", told: str = "") -> tuple[dict[str, Any], Path]:
    """What the stages leave over a model trained for the task."""
    given = {"base": tiny.base(), "splits": splits_of(folder / "splits", task, told)}
    context = tiny.FakeContext(folder / "train")
    config = tiny.train_config(task, trainable=trainable, epochs=1)
    if "layers" in config.trainable.needs:
        given["layers"] = tiny.layers(config, given, folder / "layers")
    tiny.train(config, given, context)
    given = {**given, "model": tiny.artifact("model", "model", context.out / "model", {})}
    context = tiny.FakeContext(folder / "vectors")
    Vectors(VectorsConfig()).run(given, context)
    given["vectors"] = tiny.artifact("vectors", "activations", context.out / "vectors", {})
    context = tiny.FakeContext(folder / "explain")
    facts = Explain(ExplainStageConfig(task=task, explain=ASKED, bootstrap_samples=200)).run(given, context)
    return dict(facts["explanation"]), context.out / "explanation"


@pytest.mark.parametrize(
    ("task", "trainable"), [("classify", "full"), ("classify", "top_layers"), ("tag", "lora"), ("regress", "full")]
)
def test_every_task_is_explained(tmp_path: Path, task: Task, trainable: str) -> None:
    facts, folder = explained(tmp_path, task, trainable)
    assert facts == json.loads((folder / "explanation.json").read_text())
    assert sorted(one.stem for one in folder.glob("*.parquet")) == FILES
    assert (facts["rows"], facts["curves"]["num_rows"]) == (8, 3)
    frame = pl.read_parquet(folder / "attributions.parquet")
    assert frame["method"].value_counts().sort("method").rows() == [("ig", 8), ("occlusion", 8)]
    test = pl.read_parquet(tmp_path / "splits" / "test.parquet")
    texts = dict(test.select("row_id", "text").iter_rows())
    for row in frame.iter_rows(named=True):
        assert row["text"] == texts[row["row_id"]]
        words = [row["text"][start:end] for start, end in zip(row["starts"], row["ends"], strict=True)]
        assert row["unknown"] == [None] * len(words)
        assert words == row["text"].split()
        if row["method"] == "ig":
            assert (
                abs(sum(row["values"]) - (row["full"] - row["baseline"]))
                <= row["error"] * abs(row["full"] - row["baseline"]) + 1e-6
            )
            assert row["error"] <= ASKED.most_error or row["steps"] == ASKED.most_steps
    near = pl.read_parquet(folder / "neighbours.parquet")
    assert near.height == 16
    assert near["train_row_id"].str.starts_with("train-").all()
    off = set(frame.filter("is_off")["row_id"])
    pushed = pl.read_parquet(folder / "influences.parquet")
    assert set(pushed["row_id"]) == off
    assert facts["num_wrong"] == len(off)
    suspects = pl.read_parquet(folder / "suspects.parquet")
    assert suspects["self_influence"].is_sorted(descending=True)
    assert (suspects.height, facts["suspects"]["checked"]) == (4, 30)


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    one, other = explained(tmp_path / "one", "classify"), explained(tmp_path / "other", "classify")
    assert one[0] == other[0]
    for file in one[1].iterdir():
        assert file.read_bytes() == (other[1] / file.name).read_bytes(), file.name


def test_a_head_sees_the_activations_that_it_learned_from(tmp_path: Path) -> None:
    from tunesmith.training.features import Features

    given = {"base": tiny.base(), "splits": tiny.labelled(tmp_path / "splits")}
    config = tiny.train_config(trainable="head", epochs=1)
    context = tiny.FakeContext(tmp_path / "features")
    from tunesmith.training.config import FeaturesConfig

    Features(FeaturesConfig(precision="float32")).run(given, context)
    given["activations"] = tiny.artifact("activations", "activations", context.out / "activations", {})
    trained = tiny.FakeContext(tmp_path / "train")
    tiny.train(config, given, trained)
    given["model"] = tiny.artifact("model", "model", trained.out / "model", {})
    run = tiny.FakeContext(tmp_path / "run")
    Vectors(VectorsConfig()).run({name: one for name, one in given.items() if name != "activations"}, run)
    cached = tiny.FakeContext(tmp_path / "cached")
    Vectors(VectorsConfig()).run(given, cached)
    files = [one.out / "vectors" / "vectors.safetensors" for one in (run, cached)]
    np.testing.assert_allclose(load_file(files[0])["train"], load_file(files[1])["train"], atol=1e-5)
    # They are taken over, not computed again: other activations give other vectors.
    save_file({"train": np.ones((24, tiny.HIDDEN), np.float32)}, given["activations"].path / "features.safetensors")
    Vectors(VectorsConfig()).run(given, cached)
    assert (load_file(files[1])["train"] == 1).all()


def test_no_test_row_is_no_crash(tmp_path: Path) -> None:
    given = {"base": tiny.base(), "splits": tiny.labelled(tmp_path / "splits", num_test=6)}
    context = tiny.FakeContext(tmp_path / "train")
    tiny.train(tiny.train_config(epochs=1), given, context)
    given["model"] = tiny.artifact("model", "model", context.out / "model", {})
    test = tmp_path / "splits" / "test.parquet"
    pl.read_parquet(test).clear().write_parquet(test)
    context = tiny.FakeContext(tmp_path / "vectors")
    Vectors(VectorsConfig()).run(given, context)
    given["vectors"] = tiny.artifact("vectors", "activations", context.out / "vectors", {})
    facts = Explain(ExplainStageConfig(task="classify", explain=ASKED)).run(given, tiny.FakeContext(tmp_path / "e"))
    assert (facts["explanation"]["rows"], facts["explanation"]["curves"]["num_rows"]) == (0, 0)


def test_words_the_model_does_not_know_are_marked_and_counted(tmp_path: Path) -> None:
    told = " 😀 re-ሰላም card😀"
    facts, folder = explained(tmp_path, "classify", told=told)
    for row in pl.read_parquet(folder / "attributions.parquet").iter_rows(named=True):
        assert row["text"].endswith(told)
        # To `ig` the word and the emoji that sticks to it are one, as they have one piece.
        marks = ["whole", "part", "whole", *["whole"][row["method"] == "ig" :]]
        assert row["unknown"][-len(marks) :] == marks
        assert set(row["unknown"][: -len(marks)]) == {None}
    assert (facts["rows"], facts["unknown_words"], facts["unknown_rows"]) == (8, 24, 8)
