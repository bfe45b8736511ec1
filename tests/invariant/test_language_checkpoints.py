"""A language model's checkpoint: every field of it is needed, and no byte of it can change unseen.

The fields are those that the code has: a new one is covered without a change here.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests import tiny, token_rows

from tunesmith.core import digests
from tunesmith.core.errors import Interrupted
from tunesmith.core.stage import Given
from tunesmith.store.files import write_json
from tunesmith.training import loop
from tunesmith.training.checkpoint import FILES, STATE, TENSORS, Checkpoint, Checkpoints
from tunesmith.training.language.network import LanguageNetwork
from tunesmith.training.loop import State
from tunesmith.training.mishaps import Mishaps

NUM_DAMAGES = 40
SPOILED = 70
"""The id whose embedding is no number."""
EMPTY: dict[str, Any] = {**asdict(State()), "mishaps": asdict(Mishaps())}
STOPS = (5, 7, 10)
"""Steps after which the run below is stopped: every field holds more than its start at one of them."""
Loss = Callable[[Checkpoint], Checkpoint]
torch.set_num_threads(1)


def without_state(name: str) -> Loss:
    return lambda one: replace(one, state={**one.state, name: EMPTY[name]})


def without_mishap(name: str) -> Loss:
    return lambda one: replace(
        one, state={**one.state, "mishaps": one.state["mishaps"] | {name: EMPTY["mishaps"][name]}}
    )


def without_tensors(name: str) -> Loss:
    return lambda one: replace(one, **{name: {}})


LOSSES: dict[str, Loss] = {
    **{f"state.{name}": without_state(name) for name in EMPTY},
    **{f"state.mishaps.{name}": without_mishap(name) for name in EMPTY["mishaps"]},
    **{one.name: without_tensors(one.name) for one in fields(Checkpoint) if one.name != "state"},
}


def test_these_are_all_the_fields(eventful: tuple[Any, Given], tmp_path: Path) -> None:
    """What lies in a checkpoint is what the tests below take away."""
    place = stopped_at(5, *eventful, tmp_path / "run")
    assert {path.name for path in place.iterdir()} == {FILES, STATE, *(f"{name}.safetensors" for name in TENSORS)}
    assert {one.name for one in fields(Checkpoint)} == {"state", *TENSORS}
    state = json.loads((place / STATE).read_text())
    assert set(state) == set(EMPTY) and set(state["mishaps"]) == set(EMPTY["mishaps"])


@pytest.fixture
def eventful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Given]:
    """A run in which everything happens: it gets worse, leaves out steps, runs short of memory, and stops early."""
    monkeypatch.setattr(loop, "MAX_POINTS", 4)  # a line of history every third step: sums wait in between
    real = LanguageNetwork.forward

    def forward(self: LanguageNetwork, tokens: torch.Tensor, *given: Any, **more: Any) -> torch.Tensor:
        if tokens.numel() > 100:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, tokens, *given, **more)

    monkeypatch.setattr(LanguageNetwork, "forward", forward)
    folder = tmp_path / "base"
    shutil.copytree(token_rows.decoder(), folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"][SPOILED] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    train, validation = token_rows.rows(24), token_rows.rows(4, seed=1)
    train[5][0][1] = SPOILED
    for tokens, _ in validation:  # answers of words that no training row has: the more is learned, the worse
        answer = tokens.index(3) + 1
        tokens[answer:] = [one + 100 for one in tokens[answer:]]
    tokens = token_rows.artifact(tmp_path / "tokens", {"train": train, "validation": validation}, sources=2)
    settings = token_rows.config(
        trainable={"kind": "lora", "rank": 4, "dropout": 0.1},
        optimizer={"kind": "adamw", "lr": 0.02},
        schedule={"kind": "constant", "warmup": 0},
        early_stopping={"patience": 3},
        validate_every=0.67,
        epochs=4,
        on_nan="skip",
        checkpoint_every_s=1e9,
    )
    return settings, {"base": token_rows.base(folder), "tokens": tokens}


def stopped_at(step: int, settings: Any, given: Given, folder: Path) -> Path:
    """The checkpoint of a run that was stopped there."""
    with pytest.raises(Interrupted):
        token_rows.train(settings, given, tiny.FakeContext(folder, stop=tiny.stop_after(step)))
    (place,) = (folder / "scratch" / "checkpoints").glob("step-*")
    return place


@pytest.fixture
def stops(eventful: tuple[Any, Given], tmp_path: Path) -> Callable[[], Iterator[Path]]:
    """Folders of that run, stopped at each of the stops; each is a fresh one."""

    def each() -> Iterator[Path]:
        for step in STOPS:
            folder = tmp_path / f"stopped-{step}"
            stopped_at(step, *eventful, folder)
            yield folder

    return each


def is_as(unbroken: tiny.Trained, settings: Any, given: Given, folder: Path) -> bool:
    """Whether the resumed run ends, and as the unbroken one."""
    try:
        resumed = token_rows.train(settings, given, tiny.FakeContext(folder))
    except (KeyError, RuntimeError, ValueError, TypeError):
        return False
    return resumed.files == unbroken.files and resumed.facts == unbroken.facts


def test_the_eventful_run_is_unbroken_wherever_it_stops(
    eventful: tuple[Any, Given], stops: Callable[[], Iterator[Path]], tmp_path: Path
) -> None:
    unbroken = token_rows.train(*eventful, tiny.FakeContext(tmp_path / "unbroken"))
    facts = unbroken.facts
    assert facts["stopped"].startswith("early") and (facts["best_step"], facts["steps"]) == (4, 10)
    assert facts["skipped_steps"] and facts["microbatch_tokens"]["lowered"]
    for folder in stops():
        assert is_as(unbroken, *eventful, folder), folder.name


@pytest.mark.parametrize("part", LOSSES)
def test_every_field_is_needed(
    part: str,
    eventful: tuple[Any, Given],
    stops: Callable[[], Iterator[Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Taken up without it, the run ends otherwise or not at all: the test above would see the loss."""
    unbroken = token_rows.train(*eventful, tiny.FakeContext(tmp_path / "unbroken"))
    real = Checkpoints.newest_first

    def without(self: Checkpoints) -> Iterator[Checkpoint]:
        yield from map(LOSSES[part], real(self))

    monkeypatch.setattr(Checkpoints, "newest_first", without)
    assert any(not is_as(unbroken, *eventful, folder) for folder in stops())


def test_every_single_tensor_is_needed(
    eventful: tuple[Any, Given], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One weight, one weight of the best, or the moments of one weight: refused, or another run."""
    unbroken = token_rows.train(*eventful, tiny.FakeContext(tmp_path / "unbroken"))
    place = stopped_at(5, *eventful, tmp_path / "stopped")
    names = [(part, name) for part in TENSORS for name in load_file(place / f"{part}.safetensors")]
    assert {part for part, _ in names} == set(TENSORS)
    real = Checkpoints.newest_first
    for number, (part, name) in enumerate(random.Random(0).sample(names, 12)):

        def without(self: Checkpoints, part: str = part, name: str = name) -> Iterator[Checkpoint]:
            for one in real(self):
                kept = {other: tensor for other, tensor in getattr(one, part).items() if other != name}
                yield replace(one, **{part: kept})

        monkeypatch.setattr(Checkpoints, "newest_first", without)
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "stopped", folder)
        assert not is_as(unbroken, *eventful, folder), name


@pytest.mark.parametrize("field", [*EMPTY, *(f"mishaps.{name}" for name in EMPTY["mishaps"])])
def test_a_checkpoint_that_lacks_a_field_is_not_taken_up(field: str, tmp_path: Path) -> None:
    """One that another version wrote, every byte as it was written: passed over, and said so."""
    warnings: list[str] = []
    checkpoints = Checkpoints(tmp_path, warnings.append, EMPTY)
    for step in (1, 2):
        checkpoints.save(step, Checkpoint({**EMPTY, "step": step}, *({"a": torch.ones(1)} for _ in TENSORS)))
    place = tmp_path / "step-000000002"
    state = json.loads((place / STATE).read_text())
    part, _, name = field.rpartition(".")
    del (state[part] if part else state)[name]
    write_json(place / STATE, state)
    (place / FILES).unlink()
    write_json(place / FILES, digests.of_folder(place))
    found = checkpoints.load()
    assert found is not None and found.state["step"] == 1
    assert len(warnings) == 1 and "step-000000002" in warnings[0] and f"no `{field}`" in warnings[0]


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.choice([0, 1, len(data) - 1, rng.randrange(len(data))])]


def flipped(data: bytes, rng: random.Random) -> bytes:
    place, bit = rng.randrange(len(data)), rng.randrange(8)
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


@pytest.fixture(scope="module")
def two_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoints of steps 3 and 4 of a LoRA's run that was stopped."""
    folder = tmp_path_factory.mktemp("two")
    settings = token_rows.config(trainable={"kind": "lora", "rank": 4}, checkpoint_every_s=0)
    with pytest.raises(Interrupted):
        token_rows.train(settings, token_rows.given(folder), tiny.FakeContext(folder, stop=tiny.stop_after(4)))
    return folder / "scratch" / "checkpoints"


@pytest.mark.parametrize("damage", [cut, flipped])
@pytest.mark.parametrize("name", [FILES, STATE, *(f"{part}.safetensors" for part in TENSORS)])
def test_damage_is_always_seen(name: str, damage: Any, two_checkpoints: Path) -> None:
    """At 40 places of each file: the one before is taken and that is said; without any, that too."""
    newest, before = (two_checkpoints / f"step-00000000{step}" / name for step in (4, 3))
    rng = random.Random(f"{name} {damage.__name__}")
    whole = {path: path.read_bytes() for path in (newest, before)}
    for _ in range(NUM_DAMAGES):
        warnings: list[str] = []
        checkpoints = Checkpoints(two_checkpoints, warnings.append, EMPTY)
        newest.write_bytes(damage(whole[newest], rng))
        found = checkpoints.load()
        assert found is not None and found.state["step"] == 3
        assert len(warnings) == 1 and "step-000000004 is damaged" in warnings[0]
        before.write_bytes(damage(whole[before], rng))
        assert checkpoints.load() is None
        assert "step-000000003 is damaged" in warnings[2]
        assert warnings[3] == "no checkpoint is whole: training starts from the beginning"
        for path, data in whole.items():
            path.write_bytes(data)
    found = checkpoints.load()
    assert found is not None and found.state["step"] == 4


@pytest.mark.parametrize("damage", [cut, flipped, None])
def test_a_run_goes_on_from_what_is_whole(damage: Any, tmp_path: Path) -> None:
    """From the checkpoint before, or from the beginning, to the same bytes; and is stopped and resumed again then."""
    settings = token_rows.config(trainable={"kind": "lora", "rank": 4}, checkpoint_every_s=0)
    given = token_rows.given(tmp_path)
    unbroken = token_rows.train(settings, given, tiny.FakeContext(tmp_path / "unbroken"))
    assert unbroken.facts["steps"] == 6
    with pytest.raises(Interrupted):
        token_rows.train(settings, given, tiny.FakeContext(tmp_path / "stopped", stop=tiny.stop_after(4)))
    rng = random.Random(0)
    for number, places in enumerate([(4,), (4, 3)]):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "stopped", folder)
        for step in places:
            path = folder / "scratch" / "checkpoints" / f"step-00000000{step}" / "weights.safetensors"
            path.unlink() if damage is None else path.write_bytes(damage(path.read_bytes(), rng))
        context = tiny.FakeContext(folder, stop=tiny.stop_after(1))
        with pytest.raises(Interrupted):
            token_rows.train(settings, given, context)
        way = (
            "resumed at step 3 of 6"
            if len(places) == 1
            else "no checkpoint is whole: training starts from the beginning"
        )
        assert [warning.partition(" (")[0] for warning in context.warnings] == [
            *(f"checkpoint step-00000000{step} is damaged" for step in places),
            way,
        ]
        last = tiny.FakeContext(folder)
        resumed = token_rows.train(settings, given, last)
        # What was trained since is kept: the damaged checkpoints of later steps have made room for it.
        assert last.warnings == [f"resumed at step {4 if len(places) == 1 else 1} of 6"]
        assert resumed.files == unbroken.files and resumed.facts == unbroken.facts
