"""The tune stage on tiny models: pauses change nothing, kills lose nothing, failures end a trial and not the search."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests import tiny

from tunesmith.core.errors import DataError, Interrupted, RecipeError, StepError
from tunesmith.core.search import Choice, Range
from tunesmith.core.stage import Given
from tunesmith.training import step as step_module
from tunesmith.training import trial as trial_module
from tunesmith.training.config import TrainConfig
from tunesmith.training.stage import Train, assemble
from tunesmith.training.trial import TrialContext
from tunesmith.training.tune import Tune
from tunesmith.training.tune_config import TuneStageConfig
from tunesmith.tuning.config import RandomConfig, TpeConfig

LR = "train.optimizer.lr"


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def given(tmp_path: Path) -> Given:
    return {"base": tiny.base(), "splits": tiny.labelled(tmp_path / "splits", 16, 6, 3)}


def phase(**changes: Any) -> TrainConfig:
    settings: dict[str, Any] = {"batch": 8, "epochs": 9, "precision": "float32", "microbatch_tokens": 4096}
    return TrainConfig.model_validate(settings | {"checkpoint_every_s": 1e9} | changes)


def search(**changes: Any) -> TuneStageConfig:
    settings: dict[str, Any] = {
        "task": "classify",
        "train": phase(),
        "space": {LR: Range(low=1e-4, high=1e-2, log=True, whole=False)},
        "searcher": TpeConfig(startup=4),
        "trials": 5,
    }
    return TuneStageConfig(**(settings | changes))


def tune(
    config: TuneStageConfig, given: Given, context: tiny.FakeContext
) -> tuple[Mapping[str, Any], dict[str, bytes]]:
    facts = Tune(config).run(given, context)["settings"]
    return facts, {path.name: path.read_bytes() for path in sorted((context.out / "settings").iterdir())}


@pytest.mark.parametrize("trainable", ["full"])
def test_a_paused_trial_is_bitwise_one_never_paused(given: Given, tmp_path: Path, trainable: str) -> None:
    """Paused after epoch 1 and after epoch 3, each time in a new loop: weights, moments, history and best agree."""
    config = phase(trainable=trainable, optimizer={"kind": "adamw", "lr": 1e-3}).for_task("classify")

    def context(name: str) -> TrialContext:
        return TrialContext(tiny.FakeContext(tmp_path / name), tmp_path / name / "trial", lambda done, total: None)

    whole = assemble(config, given, context("whole")).loop
    whole.advance(whole.total_steps)
    for share in (1 / 9, 1 / 3):
        loop = assemble(config, given, context("paused")).loop
        state = loop.advance(trial_module.look_at(loop, share))
        assert state.step == round(share * 9) * loop.steps_per_epoch
        loop.pause()
    paused = assemble(config, given, context("paused")).loop
    paused.advance(paused.total_steps)
    assert paused.state == whole.state
    for name, tensor in whole._weights().items():
        assert torch.equal(tensor, paused._weights()[name]), name
    assert {n: t.tolist() for n, t in whole.best.items()} == {n: t.tolist() for n, t in paused.best.items()}
    ours, theirs = (loop.optimizers["model"].state_dict()["state"] for loop in (whole, paused))
    assert all(torch.equal(ours[n][m], theirs[n][m]) for n in ours for m in ours[n])


def test_the_winner_trained_is_the_trial_that_won(given: Given, tmp_path: Path) -> None:
    """The train stage reads the settings, and reaches the value the search saw: same seed, same schedule."""
    context = tiny.FakeContext(tmp_path / "tune")
    facts, files = tune(search(), given, context)
    assert facts["best"] != 0 and facts["settings"][LR] != facts["own"][LR]
    settings = tiny.artifact("settings", "settings", context.out / "settings", facts)
    trained = Train(phase().for_task("classify")).run(
        {**given, "settings": settings}, tiny.FakeContext(tmp_path / "train")
    )
    assert trained["model"]["best"] == facts["value"]
    assert json.loads(files["settings.json"])["train"]["optimizer"]["lr"] == facts["settings"][LR]


def test_most_trials_are_paused_and_the_epochs_add_up(given: Given, tmp_path: Path) -> None:
    facts, files = tune(search(trials=9), given, tiny.FakeContext(tmp_path / "a"))
    states = [one["state"] for one in facts["trials"]]
    assert states.count("paused") >= 5 and facts["trials"][0]["state"] == "complete"
    moves = [json.loads(line) for line in files["moves.jsonl"].splitlines()]
    assert sum(one["epochs"] for one in moves) == pytest.approx(facts["epochs_spent"]) == facts["curve"][-1][0]
    looks = {(round(one["share"], 3), one["epochs"]) for one in facts["trials"] for one in one["looks"]}
    assert looks <= {(0.111, 1.0), (0.333, 3.0), (1.0, 9.0)}
    assert facts["value"] == facts["trials"][facts["best"]]["value"] == facts["curve"][-1][1]
    again, same = tune(search(trials=9), given, tiny.FakeContext(tmp_path / "b"))
    assert same == files and again == facts


@pytest.mark.parametrize("stop", [7, 25])
def test_a_stopped_search_goes_on_to_the_same_end(given: Given, tmp_path: Path, stop: int) -> None:
    whole = tune(search(), given, tiny.FakeContext(tmp_path / "whole"))
    with pytest.raises(Interrupted):
        tune(search(), given, tiny.FakeContext(tmp_path / "stopped", stop=tiny.stop_after(stop)))
    journal = tmp_path / "stopped" / "scratch" / "journal.jsonl"
    journal.write_text(journal.read_text() + '{"what": "tol')  # and half a line, as a kill leaves it
    assert tune(search(), given, tiny.FakeContext(tmp_path / "stopped")) == whole


def test_a_loss_that_is_not_finite_ends_a_trial_and_not_the_search(given: Given, tmp_path: Path) -> None:
    space = {LR: Choice(choice=(1e-3, 2e-3, 10.0)), "train.clip": Choice(choice=(1.0, None))}
    train = phase(optimizer={"kind": "sgd", "lr": 1e-3}, epochs=3)
    context = tiny.FakeContext(tmp_path / "a")
    facts, _ = tune(search(space=space, train=train, trials=6, searcher=RandomConfig()), given, context)
    failed = [one for one in facts["trials"] if one["state"] == "failed"]
    assert len(facts["trials"]) == 6
    if failed:
        assert all(one["settings"][LR] == 10.0 and "not a finite number" in one["why"] for one in failed)
    assert facts["settings"][LR] != 10.0 or not failed


def fail_when(wanted: Any, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    real = step_module.take

    def take(*given: Any, **more: Any) -> Any:
        if given[3].param_groups[0]["peak_lr"] in wanted:
            raise error
        return real(*given, **more)

    monkeypatch.setattr("tunesmith.training.loop.take", take)


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory"), StepError("nan", seen="nan")]
)
def test_a_trial_that_fails_is_recorded_and_the_search_goes_on(
    given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    fail_when({2e-3}, error, monkeypatch)
    space = {LR: Choice(choice=(1e-3, 2e-3, 4e-3))}
    context = tiny.FakeContext(tmp_path / "a")
    train = phase(epochs=3, optimizer={"lr": 1e-3})
    facts, _ = tune(search(space=space, train=train, trials=3), given, context)
    states = {one["settings"][LR]: one for one in facts["trials"]}
    assert states[2e-3]["state"] == "failed" and states[2e-3]["why"] in (
        "memory ran out",
        "optimizer step 0: nan (nan)",
    )
    assert states[1e-3]["state"] == "complete" and states[4e-3]["state"] != "failed"
    assert any("failed and was left" in one for one in context.warnings)


def test_another_error_is_the_search_s_own(given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_when({1e-3}, RuntimeError("a defect"), monkeypatch)
    with pytest.raises(RuntimeError, match="a defect"):
        tune(search(train=phase(optimizer={"lr": 1e-3})), given, tiny.FakeContext(tmp_path))


def test_where_every_trial_fails_it_says_why(given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_when({1e-3, 2e-3}, MemoryError(), monkeypatch)
    space = {LR: Choice(choice=(1e-3, 2e-3))}
    with pytest.raises(StepError, match="every trial failed") as caught:
        tune(search(space=space, train=phase(optimizer={"lr": 1e-3})), given, tiny.FakeContext(tmp_path))
    assert caught.value.seen == "memory ran out"


def test_a_trial_whose_process_died_thrice_is_left(given: Given, tmp_path: Path) -> None:
    """Memory that the system takes back kills the process: the journal knows what was begun."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    line = json.dumps({"what": "started", "trial": 0, "share": 1 / 9}) + "\n"
    (scratch / "journal.jsonl").write_text(line * 3)
    facts, _ = tune(search(trials=3), given, tiny.FakeContext(tmp_path))
    assert facts["trials"][0]["state"] == "failed" and "died 3 times" in facts["trials"][0]["why"]
    assert facts["gain"]["verdict"] == "not measured" and facts["best"] != 0


def test_a_budget_too_small_for_one_trial_is_refused(given: Given, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="does not last for a single trial") as caught:
        tune(search(trials=None, budget_s=0.05, train=phase(epochs=200)), given, tiny.FakeContext(tmp_path))
    assert "one trial takes about" in str(caught.value.seen)


def test_a_budget_ends_with_a_trial_trained_to_its_end(given: Given, tmp_path: Path) -> None:
    facts, _ = tune(search(trials=None, budget_s=3.0), given, tiny.FakeContext(tmp_path))
    assert facts["trials"][facts["best"]]["state"] == "complete"
    assert facts["ended"] == "the budget was used up" and len(facts["trials"]) >= 2


def test_without_validation_rows_there_is_nothing_to_tune_by(tmp_path: Path) -> None:
    splits = tiny.labelled(tmp_path / "splits", num_validation=0)
    with pytest.raises(DataError, match="validation rows"):
        tune(search(), {"base": tiny.base(), "splits": splits}, tiny.FakeContext(tmp_path))


def test_checkpoints_of_trials_that_cannot_win_are_let_go(given: Given, tmp_path: Path) -> None:
    calls = itertools.count()
    tune(search(trials=9), given, tiny.FakeContext(tmp_path / "whole", stop=lambda: next(calls) < 0))
    context = tiny.FakeContext(tmp_path / "a", stop=tiny.stop_after(next(calls) - 1))
    with pytest.raises(Interrupted):
        tune(search(trials=9), given, context)
    kept = {path.name for path in (context.scratch / "trials").iterdir()}
    assert 0 < len(kept) < 9


def test_a_tuned_number_is_scored(given: Given, tmp_path: Path) -> None:
    texts = [f"{'very ' * (row % 5)}good {row}" for row in range(30)]
    numbers = [float(row % 5) for row in range(30)]
    rows = {"train": (texts[:20], numbers[:20]), "validation": (texts[20:], numbers[20:])}
    splits = replace(tiny.splits(tmp_path / "numbers", rows, "regress"))
    facts, _ = tune(
        search(task="regress", trials=3), {"base": tiny.base(), "splits": splits}, tiny.FakeContext(tmp_path)
    )
    assert facts["metric"] == "mse" and not facts["higher_is_better"]
    assert facts["value"] <= facts["own_value"]
    assert facts["gain"]["verdict"] in ("better", "within noise", "own")
