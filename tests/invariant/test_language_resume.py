"""A language model's run that was stopped, ran out of memory or met NaN ends as if it had not, or says what it left.

``TUNESMITH_KILLS`` raises the number of processes that are killed (1 here).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests import tiny, token_rows
from tests.killing import NUM_KILLS, killed
from tests.step_process import StepServer

from tunesmith.core.errors import Interrupted, StepError
from tunesmith.core.stage import Given
from tunesmith.training.language.network import LanguageNetwork
from tunesmith.training.loop import Loop

SPOILED = 70
"""The id whose embedding is no number, in a base that is broken."""
torch.set_num_threads(1)


def config(**changes: Any) -> Any:
    settings: dict[str, Any] = {"checkpoint_every_s": 0, "epochs": 3, "validate_every": 0.67, "samples": {"rows": 1}}
    return token_rows.config(**(settings | changes))


def interrupted(settings: Any, given: Given, folder: Path, *stops: int) -> tuple[tiny.Trained, list[str]]:
    for steps in stops:
        with pytest.raises(Interrupted):
            token_rows.train(settings, given, tiny.FakeContext(folder, stop=tiny.stop_after(steps)))
    last = tiny.FakeContext(folder)
    return token_rows.train(settings, given, last), last.warnings


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        pytest.param("gpt2", {}, id="full-with-dropout"),
        pytest.param("qwen2", {"packing": True}, id="tied-and-packed"),
        pytest.param("llama", {"trainable": {"kind": "lora", "rank": 4}, "optimizer": "muon"}, id="lora-muon"),
        pytest.param(
            "llama", {"trainable": {"kind": "lora", "rank": 4, "dora": True, "merge": True}}, id="dora-merged"
        ),
        pytest.param("llama", {"neftune_alpha": 5.0, "trainable": {"kind": "top_layers", "layers": 1}}, id="neftune"),
        pytest.param("llama", {"method": "continued_pretraining", "trainable": "head"}, id="head"),
    ],
)
def test_interrupted_anywhere_is_unbroken(family: Any, changes: dict[str, Any], tmp_path: Path) -> None:
    settings, given = config(**changes), token_rows.given(tmp_path, family)
    unbroken = token_rows.train(settings, given, tiny.FakeContext(tmp_path / "unbroken"))
    assert unbroken.facts["steps"] == 9
    for number, stops in enumerate([(1,), (2, 3, 1)]):
        resumed, warnings = interrupted(settings, given, tmp_path / str(number), *stops)
        assert resumed.files == unbroken.files, stops
        assert resumed.facts == unbroken.facts, stops
        assert warnings == [f"resumed at step {sum(stops)} of 9"]


@pytest.fixture
def spoiled(tmp_path: Path) -> Given:
    """A base with an embedding that is no number, and two training rows that read it."""
    folder = tmp_path / "spoiled"
    shutil.copytree(token_rows.decoder(), folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"][SPOILED] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    members = token_rows.rows(24)
    members[5][0][1] = SPOILED
    return {
        "base": token_rows.base(folder),
        "tokens": token_rows.artifact(
            tmp_path / "tokens", {"train": members, "validation": token_rows.rows(6, seed=1)}, sources=2
        ),
    }


LORA = {"trainable": {"kind": "lora", "rank": 4, "dropout": 0.0}}
"""The spoiled embedding is frozen: the loss of the row that reads it is not finite in every epoch."""


def test_nan_names_its_row_and_layer(spoiled: Given, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="not a finite number") as caught:
        token_rows.train(config(**LORA, on_nan="stop"), spoiled, tiny.FakeContext(tmp_path / "run"))
    assert "rows train-5" in str(caught.value.seen)
    assert "embed_tokens" in str(caught.value.seen)


def test_steps_with_nan_are_left_out_and_counted(spoiled: Given, tmp_path: Path) -> None:
    context = tiny.FakeContext(tmp_path / "run")
    trained = token_rows.train(config(**LORA, on_nan="skip", checkpoint_every_s=1e9), spoiled, context)
    left_out = trained.facts["skipped_steps"]
    assert [one["rows"] for one in left_out] == [["train-5"]] * 3, "once an epoch"
    assert all("embed_tokens" in one["where"] for one in left_out)
    assert len(context.warnings) == 3 and "was left out" in context.warnings[0]
    steps = {line["step"] for line in trained.history if "loss" in line}
    assert steps == set(range(1, 10)) - {one["step"] + 1 for one in left_out}
    assert set(trained.history[-1]["by_source"]) == {"s0", "s1"}


def test_a_run_with_mishaps_is_resumed_alike(spoiled: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short_of_memory(monkeypatch, most=100)
    settings = config(**LORA, on_nan="skip")
    unbroken = token_rows.train(settings, spoiled, tiny.FakeContext(tmp_path / "unbroken"))
    assert unbroken.facts["skipped_steps"] and unbroken.facts["microbatch_tokens"]["lowered"]
    for stop in (2, 5, 8):
        resumed, _ = interrupted(settings, spoiled, tmp_path / str(stop), stop)
        assert resumed.files == unbroken.files and resumed.facts == unbroken.facts


def short_of_memory(monkeypatch: pytest.MonkeyPatch, most: int, error: Callable[[], Exception] | None = None) -> None:
    """As if no batch above so many tokens fitted."""
    real = LanguageNetwork.forward

    def forward(self: LanguageNetwork, tokens: torch.Tensor, *given: Any, **more: Any) -> torch.Tensor:
        if tokens.numel() > most:
            raise error() if error else torch.OutOfMemoryError("CUDA out of memory")
        return real(self, tokens, *given, **more)

    monkeypatch.setattr(LanguageNetwork, "forward", forward)


@pytest.mark.parametrize(
    "error", [None, MemoryError, lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")]
)
def test_memory_that_runs_out_makes_microbatches_smaller(
    error: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = token_rows.given(tmp_path)
    whole = token_rows.train(config(microbatch_tokens=4096), given, tiny.FakeContext(tmp_path / "whole"))
    asked = token_rows.train(config(microbatch_tokens=64), given, tiny.FakeContext(tmp_path / "asked"))
    short_of_memory(monkeypatch, most=100, error=error)
    context = tiny.FakeContext(tmp_path / "short")
    short = token_rows.train(config(microbatch_tokens=4096), given, context)
    assert short.facts["microbatch_tokens"]["used"] == 64
    assert [one["to"] for one in short.facts["microbatch_tokens"]["lowered"]] == [2048, 1024, 512, 256, 128, 64]
    assert short.files == asked.files, "as if it had been asked for"
    assert short.losses == pytest.approx(whole.losses, rel=1e-5), "the same maths"
    assert "microbatches now hold 64 tokens" in context.warnings[-1]


def test_memory_too_small_for_a_row_ends_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short_of_memory(monkeypatch, most=3)
    with pytest.raises(StepError, match="memory ran out with a single row") as caught:
        token_rows.train(config(), token_rows.given(tmp_path), tiny.FakeContext(tmp_path / "run"))
    assert "max_tokens" in str(caught.value.next)


def test_a_step_that_spoils_the_weights_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After step 4 a weight is infinite: back to where it was finite, and on without that step."""
    real = Loop._take

    def spoil(self: Loop, objective: Any, step: int) -> Any:
        taken = real(self, objective, step)
        if step == 4:
            with torch.no_grad():
                next(iter(self.networks.by_role["model"].module.parameters()))[0] = torch.inf
                next(iter(self.networks.by_role["model"].module.parameters()))[:] *= torch.inf
        return taken

    monkeypatch.setattr(Loop, "_take", spoil)
    given, context = token_rows.given(tmp_path), tiny.FakeContext(tmp_path / "run")
    trained = token_rows.train(config(on_nan="skip"), given, context)
    assert [one["step"] for one in trained.facts["skipped_steps"]] == [4]
    assert "step 4 spoiled the weights: back to step 4" in context.warnings[0]
    assert trained.facts["steps"] == 9
    weights = load_file(trained.path / "weights" / "model.safetensors")
    assert all(torch.isfinite(one).all() for one in weights.values())


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        pytest.param("gpt2", {"trainable": {"kind": "lora", "rank": 4}, "packing": True}, id="lora"),
        pytest.param("llama", {"trainable": "full"}, id="full"),
    ],
)
def test_killed_at_random_moments(
    family: Any, changes: dict[str, Any], step_server: StepServer, tmp_path: Path
) -> None:
    """kill -9, again and again: the loss of every step and the weights are, to the byte, those of an unbroken run."""
    settings, given = config(**changes, epochs=5), token_rows.given(tmp_path, family)
    unbroken = token_rows.train(settings, given, tiny.FakeContext(tmp_path / "unbroken"))
    assert len(unbroken.losses) == unbroken.facts["steps"] == 15
    found = killed(step_server, "train_language", settings, given, tmp_path / "killed")
    assert found.num_kills == NUM_KILLS and found.ends
    for files, facts in zip(found.ends, found.facts, strict=True):
        assert files["history/history.jsonl"] == unbroken.files["history/history.jsonl"]
        assert token_rows.digest(files) == token_rows.digest(unbroken.files)
        assert facts == unbroken.facts
    print(
        f"\n{family}: {found.num_kills} kills, {len(found.ends)} runs, {found.num_resumed} resumptions, "
        f"{found.start_s:.2f} s a start, digest {token_rows.digest(unbroken.files)[:12]} every time"
    )
