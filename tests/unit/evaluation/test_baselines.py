"""The baselines one by one, and the stage that runs them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file
from tests.unit.evaluation.evaluation_fakes import FakeContext, artifact, write_splits

from tunesmith.core.errors import DataError, RecipeError
from tunesmith.evaluation.baselines.base_centroid import BaseCentroid
from tunesmith.evaluation.baselines.base_ridge import BaseRidge
from tunesmith.evaluation.baselines.majority import Majority
from tunesmith.evaluation.baselines.mean import Mean
from tunesmith.evaluation.baselines.rows import Rows
from tunesmith.evaluation.baselines.stage import Baselines
from tunesmith.evaluation.baselines.tfidf import Tfidf
from tunesmith.evaluation.config import BaselinesConfig

NONE = Rows([], np.array([], dtype=str))
CARD = [("my card is lost", "card"), ("card stolen yesterday", "card"), ("a new card please", "card")]
LOAN = [("rate of my loan", "loan"), ("the loan is too dear", "loan"), ("repay a loan", "loan")]


def rows(pairs: list[tuple[str, object]], features: object = None) -> Rows:
    texts, targets = zip(*pairs, strict=True)
    return Rows(list(texts), np.array(targets), None if features is None else np.asarray(features, np.float32))


def test_majority_takes_the_first_in_the_alphabet_among_equals() -> None:
    baseline = Majority()
    baseline.fit(rows([("x", "b"), ("y", "a"), ("z", "b"), ("w", "a")]), NONE)
    assert baseline.predict(rows([("q", "b"), ("r", "c")])).tolist() == ["a", "a"]
    assert baseline.settings == {"label": "a"}


def test_mean_predicts_the_mean() -> None:
    baseline = Mean()
    baseline.fit(rows([("x", 1.0), ("y", 4.0)]), NONE)
    assert baseline.predict(rows([("q", 0.0)])).tolist() == [2.5]


def test_the_centroid_takes_the_smallest_angle_not_the_shortest_way() -> None:
    baseline = BaseCentroid()
    baseline.fit(rows([("x", "a"), ("y", "b"), ("z", "b")], [[9, 1], [0, 1], [0, 2]]), NONE)
    assert baseline.predict(rows([("p", "a"), ("q", "a")], [[0.2, 0.01], [0, 0]])).tolist() == ["a", "a"]


def test_ridge_equals_scikit_learn_and_its_penalty_is_chosen_on_validation() -> None:
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 8)).astype(np.float32)
    targets = features @ rng.normal(size=8) + 3 + 8 * rng.normal(size=60)
    train, validation, test = (
        Rows(["t"] * 20, targets[part], features[part]) for part in (slice(20), slice(20, 40), slice(40, 60))
    )
    baseline = BaseRidge()
    baseline.fit(train, validation)
    theirs = Ridge(alpha=baseline.settings["alpha"], solver="svd").fit(train.features_ND.astype(float), train.targets)
    np.testing.assert_allclose(baseline.predict(test), theirs.predict(test.features_ND.astype(float)), atol=1e-9)

    def error(alpha: float) -> float:
        fitted = Ridge(alpha=alpha, solver="svd").fit(train.features_ND, train.targets)
        return float(((fitted.predict(validation.features_ND) - validation.targets) ** 2).mean())

    assert error(baseline.settings["alpha"]) <= min(error(baseline.settings["alpha"] * by) for by in (0.1, 10))


def test_tfidf_learns_words_and_chooses_its_penalty_on_validation() -> None:
    baseline = Tfidf()
    baseline.fit(rows(CARD + LOAN), rows([("lost card", "card"), ("dear loan", "loan")]))
    assert baseline.predict(rows([("where is my card", "?"), ("loan?", "?")])).tolist() == ["card", "loan"]
    assert baseline.settings["chosen_on"] == "validation" and baseline.settings["C"] == 1.0
    without = Tfidf()
    without.fit(rows(CARD + LOAN), NONE)
    assert (without.settings["C"], without.settings["chosen_on"]) == (10.0, "default")


def test_tfidf_predicts_numbers_too() -> None:
    baseline = Tfidf()
    scored = [("very good", 5.0), ("good", 4.0), ("bad", 2.0), ("very bad", 1.0)] * 3
    baseline.fit(rows(scored), rows(scored))
    good, bad = baseline.predict(rows([("good", 0.0), ("bad", 0.0)]))
    assert good > 3 > bad and baseline.settings["alpha"] == 0.1


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ([("one", "a"), ("two", "a")], "a"),
        ([("?!", "a"), ("...", "b"), ("", "b")], "b"),
        ([("?!", 1.0), ("...", 2.0)], 1.5),
    ],
)
def test_tfidf_without_words_or_classes_is_a_constant(train: list[tuple[str, object]], expected: object) -> None:
    baseline = Tfidf()
    baseline.fit(rows(train), NONE)
    assert baseline.predict(rows(train[:1])).tolist() == [expected] and "why" in baseline.settings


def test_tfidf_is_a_strong_baseline_on_real_tickets(shared_data: Path) -> None:
    """Ten of banking77's labels: 0.97 here with scikit-learn's usual setting."""
    frames = [pl.read_csv(shared_data / "banking77" / f"{name}.csv") for name in ("train", "test")]
    labels = sorted(frames[0]["category"].unique())[:10]
    train, test = (frame.filter(pl.col("category").is_in(labels)) for frame in frames)
    both = [Rows(frame["text"].to_list(), frame["category"].to_numpy()) for frame in (train, test)]
    baseline = Tfidf()
    baseline.fit(both[0], NONE)
    assert (baseline.predict(both[1]) == both[1].targets).mean() > 0.94


def features_of(folder: Path, **arrays: object) -> object:
    folder.mkdir(parents=True)
    save_file({name: np.asarray(array, np.float32) for name, array in arrays.items()}, folder / "features.safetensors")
    return artifact("activations", folder)


def test_the_stage_writes_every_prediction_in_the_order_of_the_splits(tmp_path: Path, context: FakeContext) -> None:
    splits = write_splits(tmp_path / "s", train=CARD + LOAN, validation=[CARD[0]], test=[LOAN[0], CARD[1]])
    one, two = [1, 0], [0, 1]
    activations = features_of(tmp_path / "a", train=[one] * 3 + [two] * 3, validation=[one], test=[two, one])
    stage = Baselines(BaselinesConfig(task="classify", names=["majority", "base_centroid", "tfidf"]))
    made = stage.run({"splits": splits, "activations": activations}, context)
    frame = pl.read_parquet(context.out / "baselines" / "predictions.parquet")
    assert frame.columns == ["split", "row_id", "majority", "base_centroid", "tfidf"]
    assert frame["split"].to_list() == ["validation", "test", "test"]
    assert frame["row_id"].to_list() == ["validation-0", "test-0", "test-1"]
    assert frame["base_centroid"].to_list() == frame["tfidf"].to_list() == ["card", "loan", "card"]
    assert frame["majority"].to_list() == ["card"] * 3
    assert made["baselines"]["names"] == ["majority", "base_centroid", "tfidf"]
    assert made["baselines"]["settings"].keys() == set(made["baselines"]["names"])
    assert context.told[-1] == (3, 3, "baselines")


def test_the_stage_gives_the_same_bytes_twice(tmp_path: Path) -> None:
    splits = write_splits(tmp_path / "s", train=CARD + LOAN, validation=[CARD[0]], test=[LOAN[0]])
    outs = [FakeContext(tmp_path / name) for name in ("one", "two")]
    facts = [Baselines(BaselinesConfig(task="classify", names=["tfidf"])).run({"splits": splits}, out) for out in outs]
    first, second = ((out.out / "baselines" / "predictions.parquet").read_bytes() for out in outs)
    assert first == second and facts[0] == facts[1]


def test_the_stage_predicts_numbers_without_validation_rows(tmp_path: Path, context: FakeContext) -> None:
    splits = write_splits(tmp_path / "s", train=[("good", 2.0), ("bad", 1.0)], test=[("good", 2.0)])
    activations = features_of(tmp_path / "a", train=[[1, 0], [0, 1]], validation=np.zeros((0, 2)), test=[[1, 0]])
    stage = Baselines(BaselinesConfig(task="regress", names=["mean", "base_ridge", "tfidf"]))
    stage.run({"splits": splits, "activations": activations}, context)
    frame = pl.read_parquet(context.out / "baselines" / "predictions.parquet")
    assert frame.height == 1 and frame["mean"].dtype == pl.Float64
    assert frame["mean"][0] == 1.5 and 1.5 < frame["base_ridge"][0] <= 2 and 1.5 < frame["tfidf"][0] <= 2


def test_the_stage_refuses_what_it_cannot_use(tmp_path: Path, context: FakeContext) -> None:
    empty = write_splits(tmp_path / "empty", test=[CARD[0]])
    full = write_splits(tmp_path / "full", train=CARD + LOAN, test=[CARD[0]])
    short = features_of(tmp_path / "a", train=[[1.0]], validation=np.zeros((0, 1)), test=[[1.0]])
    stage = Baselines(BaselinesConfig(task="classify", names=["base_centroid"]))
    with pytest.raises(DataError, match="no train row"):
        stage.run({"splits": empty}, context)
    with pytest.raises(RecipeError, match="need the step `features`"):
        stage.run({"splits": full}, context)
    with pytest.raises(DataError, match="not those of these rows"):
        stage.run({"splits": full, "activations": short}, context)
