"""Several labels, several numbers, and texts that are none of the known: real data sets, run by ``make journeys``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.journeys.test_proof import against, csv, recipe, run

import tunesmith
from tunesmith.core.artifact import Artifact
from tunesmith.lifecycle.reports import report_of
from tunesmith.lifecycle.session import open_session

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

NOT_THEMES = ("Labelling not possible", "Not assigned")


@pytest.fixture(autouse=True)
def every_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real models are worth every core; the other tests make do with one."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def test_themes_of_patients_feedback(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "nhs_patient_feedback" / "v6framework_230831.csv"
    frame = pl.read_csv(path, infer_schema=False)
    columns = frame.columns
    themes = [name for name in columns[columns.index("Comment sentiment") + 1 :] if name not in NOT_THEMES]
    assert len(themes) == 48
    source: dict[str, Any] = csv(path, text="FFT answer", subject="Respondent ID")
    source["columns"]["label"] = themes
    source["columns"]["impossible"] = "Labelling not possible"
    given = recipe("nhs", "tag", [source])
    given["data"]["split"] = {"group_by": "subject"}
    given["data"]["rules"] = [{"name": "can be labelled", "column": "impossible", "maximum": 0}]
    result = run(given, tmp_path)
    assert against(result, "tfidf")["low"] > 0


def test_three_emotions_at_once(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "emobank" / "emobank.csv"
    together = csv(path, text="text", split="split")
    together["columns"]["label"] = ["V", "A", "D"]
    train = {"train": {"trainable": {"kind": "top_layers", "layers": 2}}}
    at_once = answers(run(recipe("vad", "regress", [together]) | train, tmp_path), tmp_path)
    for place, target in enumerate("VAD"):
        alone = recipe(target.lower(), "regress", [csv(path, text="text", label=target, split="split")]) | train
        single = answers(run(alone, tmp_path), tmp_path)
        # Rows are named by what is mapped of them, so that they are matched by their place in the test split.
        assert single["text"].equals(at_once["text"])
        truth_N = single["label"].to_numpy()
        assert np.array_equal(truth_N, at_once["label"].list.get(place).to_numpy())
        predicted = at_once["predicted"].list.get(place).to_numpy(), single["predicted"].to_numpy()
        errors_N, alone_N = ((one - truth_N) ** 2 for one in predicted)
        low, high = paired_interval(errors_N - alone_N)
        pearson = [float(np.corrcoef(truth_N, one)[0, 1]) for one in predicted]
        print(f"  {target}: squared error {errors_N.mean():.4f} at once, {alone_N.mean():.4f} alone, difference "
              f"[{low:+.4f}, {high:+.4f}]; Pearson {pearson[0]:.3f} and {pearson[1]:.3f}")  # fmt: skip
        assert low <= 0, f"{target} at once is shown to be worse than {target} alone"


@pytest.mark.parametrize("trainable", ["head", "full"])
def test_ten_intents_that_were_never_trained_on(trainable: str, shared_data: Path, tmp_path: Path) -> None:
    """Every seventh label of banking77 and, of those, half the labels prove what the other half chose."""
    outside = set(sorted(pl.read_csv(shared_data / "banking77" / "train.csv")["category"].unique())[::7][:10])
    sources = []
    for split in ("train", "test"):
        rows = pl.read_csv(shared_data / "banking77" / f"{split}.csv")
        rows = rows.with_columns(
            pl.when(pl.col("category").is_in(outside)).then(pl.lit("other")).otherwise("category").alias("category")
        )
        rows.write_csv(tmp_path / f"{split}.csv")
        sources.append(csv(tmp_path / f"{split}.csv", text="text", label="category") | {"split": split, "name": split})
    given = recipe("scope", "classify", sources)
    given |= {"train": {"trainable": trainable}, "decision": {"reject": {"label": "other"}}}
    result = tunesmith.run(given, home=tmp_path / "home")
    found = report(result.run, tmp_path).facts["rejection"]
    print(f"\n{trainable}: {result.verdict}, {found}")
    assert found["auroc"]["low"] > 0.8
    assert result.to_dict()["metrics"]["test"]["accuracy"]["value"] > 0.85


def answers(result: dict[str, Any], home: Path) -> pl.DataFrame:
    """The test rows of a run with what was predicted for them."""
    return pl.read_parquet(report(result["run"], home).path / "predictions.parquet")


def report(run_id: str, home: Path) -> Artifact:
    """The report of a run."""
    with open_session(home / "home") as session:
        return report_of(session, f"run:{run_id}")


def paired_interval(difference_N: np.ndarray[Any, Any]) -> tuple[float, float]:
    """The 95 % bootstrap interval of a mean over rows."""
    rng = np.random.default_rng(0)
    means = [rng.choice(difference_N, size=len(difference_N)).mean() for _ in range(2000)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
