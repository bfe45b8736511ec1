"""Resumed is as if never stopped: the same bytes, wherever it was stopped and whatever happened to its checkpoints.

``TUNESMITH_KILLS`` raises the number of processes that are killed (1 here).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import tiny
from tests.killing import NUM_KILLS, killed
from tests.step_process import StepServer

from tunesmith.core.errors import Interrupted
from tunesmith.core.stage import Given
from tunesmith.training import loop
from tunesmith.training.checkpoint import Checkpoint, Checkpoints
from tunesmith.training.loop import State

torch.set_num_threads(1)


@pytest.fixture
def given(tmp_path: Path) -> Given:
    """24 rows, 3 steps an epoch: with dropout in the encoder and the head, so that a lost random state would show."""
    return {"base": tiny.base(), "splits": tiny.labelled(tmp_path / "splits")}


def config(**changes: Any) -> Any:
    settings: dict[str, Any] = {"checkpoint_every_s": 0, "epochs": 3, "dropout": 0.2, "validate_every": 0.67}
    return tiny.train_config(**(settings | changes))


def interrupted(settings: Any, given: Given, folder: Path, *stops: int) -> tuple[tiny.Trained, list[str]]:
    """The run, stopped after each of these numbers of steps and resumed; also the warnings of the last resumption."""
    for steps in stops:
        with pytest.raises(Interrupted):
            tiny.train(settings, given, tiny.FakeContext(folder, stop=tiny.stop_after(steps)))
    last = tiny.FakeContext(folder)
    return tiny.train(settings, given, last), last.warnings


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="adamw"),
        pytest.param({"checkpoint_every_s": 1e9}, id="saved-only-when-stopped"),
        pytest.param({"optimizer": {"kind": "adam", "lr": 1e-3, "weight_decay": 0.1}}, id="adam"),
        pytest.param({"optimizer": {"kind": "sgd", "lr": 0.05, "nesterov": True}}, id="sgd"),
        pytest.param({"optimizer": {"kind": "sgd", "lr": 0.05, "momentum": 0.0}}, id="sgd-without-momentum"),
        pytest.param({"optimizer": {"kind": "rmsprop", "lr": 1e-3, "momentum": 0.5}}, id="rmsprop"),
        pytest.param({"optimizer": {"kind": "adafactor", "lr": 1e-2}}, id="adafactor"),
        pytest.param({"optimizer": {"kind": "lion", "lr": 1e-4}}, id="lion"),
        pytest.param({"trainable": {"kind": "lora", "rank": 4}}, id="lora"),
        pytest.param({"trainable": {"kind": "lora", "rank": 4, "merge": True}}, id="lora-merged"),
        pytest.param({"rdrop": {"alpha": 1.0}, "head": {"layers": [8]}}, id="rdrop-and-a-deeper-head"),
        pytest.param({"mixup": {}, "penalty": {"l1": 1e-3, "on": "all", "towards": "base"}}, id="mixup-and-penalty"),
    ],
)
def test_interrupted_anywhere_is_unbroken(changes: dict[str, Any], given: Given, tmp_path: Path) -> None:
    settings = config(**changes)
    unbroken = tiny.train(settings, given, tiny.FakeContext(tmp_path / "unbroken"))
    assert unbroken.facts["steps"] == 9
    for number, stops in enumerate([(1,), (9,), (2, 3, 1)]):
        resumed, warnings = interrupted(settings, given, tmp_path / str(number), *stops)
        assert resumed.files == unbroken.files, stops
        assert resumed.facts == unbroken.facts, stops
        assert warnings == [f"resumed at step {sum(stops)} of 9"]


def test_a_head_is_resumed_as_well(tmp_path: Path) -> None:
    from tunesmith.training.features import Features

    given = {"base": tiny.base(), "splits": tiny.labelled(tmp_path / "splits")}
    settings = config(trainable="head")
    features = tiny.FakeContext(tmp_path / "features")
    facts = Features(settings.features()).run(given, features)["activations"]
    given["activations"] = tiny.artifact("activations", "activations", features.out / "activations", facts)
    unbroken = tiny.train(settings, given, tiny.FakeContext(tmp_path / "unbroken"))
    assert interrupted(settings, given, tmp_path / "stopped", 4)[0].files == unbroken.files


def test_top_layers_are_resumed_as_well(tmp_path: Path) -> None:
    settings = config(trainable={"kind": "top_layers", "layers": 1})
    base = {"base": tiny.base(), "splits": tiny.labelled(tmp_path / "splits")}
    given = {**base, "layers": tiny.layers(settings, base, tmp_path / "layers")}
    unbroken = tiny.train(settings, given, tiny.FakeContext(tmp_path / "unbroken"))
    for stop in (1, 4, 9):
        assert interrupted(settings, given, tmp_path / str(stop), stop)[0].files == unbroken.files


@pytest.mark.parametrize("stop", [40, 100, 104])
def test_a_range_test_is_resumed_as_well(stop: int, given: Given, tmp_path: Path) -> None:
    """Stopped within the test of 100 steps, at its end, and in the training after it."""
    settings = config(optimizer={"kind": "adamw", "lr": "auto"}, head_lr=None)
    unbroken = tiny.train(settings, given, tiny.FakeContext(tmp_path / "unbroken"))
    resumed, _ = interrupted(settings, given, tmp_path / "stopped", stop)
    assert resumed.files == unbroken.files
    assert resumed.facts == unbroken.facts
    assert unbroken.facts["range_test"]["steps"] == 100


def lost_field(name: str) -> Callable[[Checkpoint], Checkpoint]:
    return lambda one: replace(one, state={**one.state, name: asdict(State())[name]})


def fewer_moments(one: Checkpoint) -> Checkpoint:
    return replace(one, optimizer={name: m for name, m in one.optimizer.items() if not name.endswith("exp_avg_sq")})


LOSSES: dict[str, Callable[[Checkpoint], Checkpoint]] = {
    **{f"state.{name}": lost_field(name) for name in asdict(State())},
    "weights": lambda one: replace(one, weights={name: torch.zeros_like(t) for name, t in one.weights.items()}),
    "best": lambda one: replace(one, best={}),
    "optimizer": lambda one: replace(one, optimizer={}),
    "optimizer.exp_avg_sq": fewer_moments,
    "optimizer.step": lambda one: replace(
        one, optimizer={n: torch.zeros_like(t) if n.endswith("/step") else t for n, t in one.optimizer.items()}
    ),
}


STOPS = (1, 3, 5, 8)
STOP_THAT_TELLS = {"state.pending": 1, "state.num_worse": 5, "state.is_stopped": 8}


@pytest.fixture
def stopping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Given]:
    """A run in which every part of a checkpoint matters: it gets worse, stops early, and logs every third step."""
    monkeypatch.setattr(loop, "MAX_POINTS", 4)
    texts, labels = tiny.sentences(9, seed=1)
    wrong = [*labels[1:], labels[0]]  # the more is learned of the words, the worse the loss on these rows
    splits = tiny.splits(tmp_path / "splits", {"train": tiny.sentences(24), "validation": (texts, wrong)})
    settings = config(
        early_stopping={"patience": 3, "metric": "loss"},
        optimizer={"kind": "adamw", "lr": 0.01},
        schedule={"warmup": 0},
        epochs=4,
        checkpoint_every_s=1e9,
    )
    return settings, {"base": tiny.base(), "splits": splits}


def changed(settings: Any, given: Given, folder: Path, stops: tuple[int, ...] = STOPS) -> list[int]:
    """The stops after which the resumed run ended otherwise than the unbroken one, or not at all."""
    unbroken = tiny.train(settings, given, tiny.FakeContext(folder / "unbroken"))
    assert unbroken.facts["stopped"].startswith("early")
    assert (unbroken.facts["best_step"], unbroken.facts["steps"]) == (2, 8)
    found = []
    for stop in stops:
        try:
            resumed, _ = interrupted(settings, given, folder / str(stop), stop)
            is_same = resumed.files == unbroken.files and resumed.facts == unbroken.facts
        except (KeyError, RuntimeError, ValueError):
            is_same = False
        if not is_same:
            found.append(stop)
    return found


def test_a_run_that_stops_early_is_unbroken_too(stopping: tuple[Any, Given], tmp_path: Path) -> None:
    assert changed(*stopping, tmp_path) == []


@pytest.mark.parametrize("part", LOSSES)
def test_every_part_of_a_checkpoint_is_needed(
    part: str, stopping: tuple[Any, Given], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it a resumed run differs: the tests above would see the loss."""
    real = Checkpoints.load

    def without(self: Checkpoints) -> Checkpoint | None:
        found = real(self)
        return None if found is None else LOSSES[part](found)

    monkeypatch.setattr(Checkpoints, "load", without)
    assert changed(*stopping, tmp_path, (STOP_THAT_TELLS.get(part, 3),))


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(bytes(data))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_damaged_checkpoint_is_passed_over(given: Given, tmp_path: Path) -> None:
    """Each of its files, with a bit flipped, cut or gone: the one before it is taken, and the bytes are the same."""
    settings = config(epochs=2)
    unbroken = tiny.train(settings, given, tiny.FakeContext(tmp_path / "unbroken"))
    stopped = tmp_path / "stopped"
    with pytest.raises(Interrupted):
        tiny.train(settings, given, tiny.FakeContext(stopped, stop=tiny.stop_after(4)))
    files = sorted(path.name for path in (stopped / "scratch" / "checkpoints" / "step-000000004").iterdir())
    assert files == ["best.safetensors", "files.json", "optimizer.safetensors", "state.json", "weights.safetensors"]
    for name in files:
        for damage in (flip_a_bit, cut, Path.unlink):
            folder = tmp_path / f"{name}-{damage.__name__}"
            shutil.copytree(stopped, folder)
            damage(folder / "scratch" / "checkpoints" / "step-000000004" / name)
            resumed, warnings = interrupted(settings.model_copy(update={"checkpoint_every_s": 1e9}), given, folder)
            assert resumed.files == unbroken.files, folder.name
            assert "step-000000004 is damaged" in warnings[0]
            assert warnings[1] == "resumed at step 3 of 6"


def test_without_any_whole_checkpoint_it_starts_again(given: Given, tmp_path: Path) -> None:
    settings = config(epochs=2)
    unbroken = tiny.train(settings, given, tiny.FakeContext(tmp_path / "unbroken"))
    with pytest.raises(Interrupted):
        tiny.train(settings, given, tiny.FakeContext(tmp_path / "stopped", stop=tiny.stop_after(4)))
    for place in (tmp_path / "stopped" / "scratch" / "checkpoints").iterdir():
        flip_a_bit(place / "weights.safetensors")
    resumed, warnings = interrupted(settings, given, tmp_path / "stopped")
    assert resumed.files == unbroken.files
    assert len(warnings) == 3 and all("damaged" in warning for warning in warnings[:2])
    assert warnings[2] == "no checkpoint is whole: training starts from the beginning"


def test_two_checkpoints_are_kept(given: Given, tmp_path: Path) -> None:
    tiny.train(config(epochs=2), given, tiny.FakeContext(tmp_path / "run"))
    kept = sorted(path.name for path in (tmp_path / "run" / "scratch" / "checkpoints").iterdir())
    assert kept == ["step-000000005", "step-000000006"]


def test_killed_at_random_moments(given: Given, step_server: StepServer, tmp_path: Path) -> None:
    """kill -9, again and again: the bytes of a run that stayed in one."""
    settings = config(epochs=5)
    unbroken = tiny.train(settings, given, tiny.FakeContext(tmp_path / "unbroken"))
    found = killed(step_server, "train", settings, given, tmp_path / "killed")
    assert found.num_kills == NUM_KILLS and found.ends
    for files, facts in zip(found.ends, found.facts, strict=True):
        assert files == unbroken.files and facts == unbroken.facts
