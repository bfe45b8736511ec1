"""Six fakes through the real runner and the real loop: what the house must carry, before it has to."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from tests import tiny
from tests.architecture import fakes

from tunesmith.core import wiring
from tunesmith.core.engine import Request
from tunesmith.core.method import HasCollect, HasNetworks, Method
from tunesmith.data.config import IngestConfig
from tunesmith.data.sources.csv import CsvConfig
from tunesmith.engines.transformers import TransformersEngine
from tunesmith.lifecycle.runner import Outputs, Runner
from tunesmith.lifecycle.steps import From, StepSpec
from tunesmith.selection.config import BaseConfig
from tunesmith.store.artifacts import ArtifactStore
from tunesmith.store.ledger import Ledger
from tunesmith.store.workspace import Workspace
from tunesmith.training import loop

HERE = "tests.architecture.fakes"
LINES = 40
ADAM = {"kind": "adam", "lr": 1e-2, "betas": [0.5, 0.9]}  # little momentum, as is usual for two networks at odds
torch.set_num_threads(1)


def light(kind: str) -> wiring.Wire:
    """A stage of the table, run in this process: the children are proved elsewhere, and start slowly."""
    wire = wiring.wire("stage", kind)
    return wiring.Wire("stage", kind, wire.make, wire.config)


@pytest.fixture(autouse=True)
def wired() -> Iterator[None]:
    """The fakes' rows: this is all it takes to add them."""
    with wiring.added(
        wiring.Wire("stage", "fake_splits", f"{HERE}:Splits", f"{HERE}:SplitsConfig"),
        wiring.Wire("method", "gan", f"{HERE}:Gan", f"{HERE}:GanConfig"),
        wiring.Wire("method", "roll_outs", f"{HERE}:RollOuts", f"{HERE}:RollOutsConfig"),
        wiring.Wire("stage", "few_shot", f"{HERE}:FewShot", f"{HERE}:EmptyConfig"),
        wiring.Wire("stage", "ensemble", f"{HERE}:Ensemble", f"{HERE}:EmptyConfig"),
        wiring.Wire("stage", "elsewhere", f"{HERE}:Elsewhere", f"{HERE}:EmptyConfig", interpreter="SOME_ENV"),
        light("features"),
    ):
        yield


class Home:
    """A workspace to run steps in."""

    def __init__(self, root: Path, project: str = "default") -> None:
        self.workspace, self.events = Workspace.open(root, project), list[dict[str, Any]]()

    def run(self, *specs: StepSpec) -> dict[str, Outputs]:
        with Ledger.open(self.workspace.ledger_url, self.workspace.project) as ledger:
            return Runner(self.workspace, ledger, seed=0, listener=self.events.append).run(specs)

    def warnings(self) -> list[str]:
        return [one["message"] for one in self.events if one["event"] == "warning"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def steps(**splits: Any) -> list[StepSpec]:
    """A base and rows."""
    base = StepSpec("base", "base", BaseConfig(model=str(tiny.encoder("bert"))), fingerprint="tiny")
    return [base, StepSpec("splits", "fake_splits", fakes.SplitsConfig(**splits))]


def train(config: Any, name: str = "train", kind: str = "train") -> list[StepSpec]:
    """The training of a config, with the features where it needs them."""
    given = {"base": From("base", "base"), "splits": From("splits", "splits")}
    if "activations" not in config.trainable.needs:
        return [StepSpec(name, kind, config, given)]
    features = StepSpec("features", "features", config.features(), given)
    return [features, StepSpec(name, kind, config, {**given, "activations": From("features", "activations")})]


def config(method: str, **changes: Any) -> Any:
    """The train stage's config with a method of the fakes; a recipe offers a task's own methods only."""
    plain = tiny.train_config(**changes)
    return type(plain).model_validate({**plain.model_dump(exclude={"method"}), "method": {"kind": method}})


def answered(model: Any, base: Any, texts: list[str]) -> list[str]:
    engine = TransformersEngine.open(model.path, base.path)
    found = {one.index: one.values for one in engine.submit(Request("predict", texts))}
    return [model.facts["labels"][int(np.argmax(found[place]))] for place in range(len(texts))]


def test_a_method_with_two_networks_and_two_objectives(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[loop.Loop] = []
    started: list[dict[str, torch.Tensor]] = []
    real = loop.Loop.fit

    def fit(self: loop.Loop) -> Any:
        seen.append(self)
        started.append({name: one.clone() for name, one in self._weights().items()})
        return real(self)

    monkeypatch.setattr(loop.Loop, "fit", fit)
    assert isinstance(fakes.Gan(fakes.GanConfig(), None), Method | HasNetworks)
    settings = config("gan", trainable="head", epochs=120, dropout=0.0, optimizer=ADAM)
    with wiring.added(light("train")):
        made = home.run(*steps(), *train(settings))
    (fitted,) = seen
    assert set(fitted.optimizers) == {"model", "critic"}
    moved = {name: float((one - started[0][name]).abs().max()) for name, one in fitted._weights().items()}
    assert {name.split("/")[0] for name in moved} == {"model", "critic"}
    assert min(moved.values()) > 1e-2, moved

    texts, labels = tiny.sentences(24)
    answers = answered(made["train"]["model"], made["base"]["base"], texts)
    right = sum(a == b for a, b in zip(answers, labels, strict=True))
    assert right >= 16, f"the model learned from the critic alone: {right} of 24, by chance 8"
    features_BD = torch.stack([row["features"] for row in fitted.train_rows])
    true_BC = torch.tensor(np.stack([row["true"] for row in fitted.train_rows]))
    with torch.inference_mode():
        suits_BC = fitted.networks("critic", {"features": features_BD})
    is_right_B = (suits_BC * true_BC).sum(-1) > (suits_BC * true_BC.roll(1, dims=-1)).sum(-1)
    assert int(is_right_B.sum()) >= 20, "the critic tells true labels from wrong ones"


def test_a_method_with_roll_outs(home: Home) -> None:
    """In a child, as training is: the labels of the rows are wrong, and what the engine says is learned."""
    assert isinstance(fakes.RollOuts(fakes.RollOutsConfig(), None), HasCollect)
    settings = config("roll_outs", epochs=25, dropout=0.0, optimizer={"kind": "adamw", "lr": 5e-3})
    made = home.run(*steps(wrong=True), *train(settings))
    texts, _ = tiny.sentences(24)
    said = {one.index: int(np.argmax(one.values)) for one in fakes.FakeEngine().submit(Request("predict", texts))}
    order = made["train"]["model"].facts["labels"]
    answers = answered(made["train"]["model"], made["base"]["base"], texts)
    agree = sum(order[said[place]] == answer for place, answer in enumerate(answers))
    assert agree >= 21 and len(set(said.values())) == 3, f"{agree} of 24"


def test_a_builder_without_weights(home: Home) -> None:
    spec = StepSpec("few_shot", "few_shot", fakes.EmptyConfig(), {"splits": From("splits", "splits")})
    made = home.run(*steps()[1:], spec)
    model = made["few_shot"]["model"]
    assert model.kind == "model"
    assert [path.name for path in model.path.iterdir()] == ["model.json"]
    manifest = json.loads((model.path / "model.json").read_text())
    assert len(manifest["prompt"]) == 3 and manifest == dict(model.facts)
    with Ledger.open(home.workspace.ledger_url) as ledger:
        ledger.start_run("run", "fake", "classify", "ab" * 32)
        version = ledger.register_version("few", model.digest, "run", "better")
        assert ledger.resolve("few", str(version)).digest == model.digest


def test_a_model_with_two_members(home: Home) -> None:
    members = [train(tiny.train_config(epochs=1, batch=batch), name=f"train-{batch}")[0] for batch in (8, 12)]
    given = {f"member-{number}": From(one.name, "model") for number, one in enumerate(members)}
    with wiring.added(light("train")):
        made = home.run(*steps(), *members, StepSpec("ensemble", "ensemble", fakes.EmptyConfig(), given))
    model = made["ensemble"]["model"]
    digests = [made[one.name]["model"].digest for one in members]
    assert json.loads((model.path / "model.json").read_text())["members"] == digests and len(set(digests)) == 2
    assert set(digests) <= set(model.parents)
    assert sum(path.stat().st_size for path in model.path.rglob("*")) < 1000, "members are named, not copied"
    with Ledger.open(home.workspace.ledger_url) as ledger:
        store = ArtifactStore(home.workspace, ledger)
        paths = [store.load(digest).path for digest in model.facts["members"]]
    texts, _ = tiny.sentences(4)
    answers = [
        [one.values for one in TransformersEngine.open(p, None).submit(Request("predict", texts))] for p in paths
    ]
    mean_BC = np.mean(answers, axis=0)
    assert mean_BC.sum(-1) == pytest.approx(np.ones(4)) and not np.allclose(answers[0], answers[1])


def test_a_step_in_a_second_interpreter(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(other)], check=True)
    (packages,) = other.glob("lib/python*/site-packages")
    (packages / "ours.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    (packages / "only_there.py").write_text("")
    monkeypatch.setenv("SOME_ENV", str(other / "bin" / "python"))
    spec = StepSpec("elsewhere", "elsewhere", fakes.EmptyConfig(), {"splits": From("splits", "splits")})
    made = home.run(*steps()[1:], spec)
    assert made["elsewhere"]["note"].facts == {"prefix": str(other), "rows": 24, "seed": 0}
    assert str(other) != sys.prefix
    assert home.warnings() == ["hello from elsewhere"]


def test_two_projects_with_equal_rows(tmp_path: Path) -> None:
    table = tmp_path / "tickets.csv"
    table.write_text("message,intent,customer\n" + "".join(f"my card {n},card,c{n % 3}\n" for n in range(9)))
    columns = {"text": "message", "label": "intent", "subject": "customer"}
    source = CsvConfig(name="tickets", path=str(table), columns=columns)
    spec = StepSpec("ingest", "ingest", IngestConfig(source=source), fingerprint="same")
    homes = [Home(tmp_path / "home", project) for project in ("north", "south")]
    frames, digests = [], []
    for one in homes:
        dataset = one.run(spec)["ingest"]["dataset"]
        assert [event["status"] for event in one.events if event["event"] == "step"] == ["running", "done"]
        assert dataset.path.is_relative_to(one.workspace.folder)
        frames.append(pl.read_parquet(sorted(dataset.path.glob("part-*.parquet"))))
        digests.append(dataset.digest)
    assert frames[0].select("text", "label").equals(frames[1].select("text", "label"))
    assert not set(frames[0]["subject"]) & set(frames[1]["subject"]), "nobody can be followed from one to the other"
    assert frames[0]["subject"].n_unique() == frames[1]["subject"].n_unique() == 3
    assert digests[0] != digests[1]

    fake = StepSpec("splits", "fake_splits", fakes.SplitsConfig())
    equal = [one.run(fake)["splits"]["splits"] for one in homes]
    assert equal[0].digest == equal[1].digest, "equal bytes, kept twice"
    assert not equal[0].path.samefile(equal[1].path)
    for one, other in (homes, homes[::-1]):
        with Ledger.open(one.workspace.ledger_url, one.workspace.project) as ledger:
            store = ArtifactStore(one.workspace, ledger)
            assert store.load(equal[0].digest).path.is_relative_to(one.workspace.folder)
            foreign = digests[homes.index(other)]
            with pytest.raises(Exception, match=foreign[:8]):
                store.load(foreign)


def test_each_fake_is_small() -> None:
    """At most 40 lines; a method's with its config and engine."""
    tree = ast.parse(Path(fakes.__file__).read_text())
    lines = {
        node.name: (node.end_lineno or 0) - node.lineno + 1 for node in tree.body if isinstance(node, ast.ClassDef)
    }
    whole = {
        "gan": lines["Gan"],
        "roll-outs": lines["RollOuts"] + lines["FakeEngine"],
        **{name: lines[name] for name in ("FewShot", "Ensemble", "Elsewhere")},
    }
    assert {name: number for name, number in whole.items() if number > LINES} == {}
