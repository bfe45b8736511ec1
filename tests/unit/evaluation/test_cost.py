"""The cost of an answer, by a clock that tells what it was told."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from tests.unit.evaluation.evaluation_fakes import FakeContext, artifact, write_splits

from tunesmith.core.engine import Answer, Request
from tunesmith.core.errors import DataError
from tunesmith.evaluation.cost import Cost
from tunesmith.evaluation.measures_config import CostStageConfig


class OneByOne:
    """An engine that counts; every text must come alone."""

    def __init__(self) -> None:
        self.labels, self.seen, self.is_closed = ["a"], [], False

    def open(self, model: Path, base: Path) -> OneByOne:
        return self

    def submit(self, request: Request) -> list[Answer]:
        [text] = request.texts
        self.seen.append(text)
        return [Answer(0, (1.0,))]

    def close(self) -> None:
        self.is_closed = True


def run(
    folder: Path, context: FakeContext, engine: OneByOne, texts: list[str], running: float = 1.0
) -> dict[str, object]:
    given = {
        "splits": write_splits(folder / "splits", test=[(text, "a") for text in texts]),
        "model": artifact("model", folder / "model"),
        "base": artifact("base", folder / "base"),
    }
    for path, size in (("model/head.safetensors", 300), ("base/files/model.safetensors", 5000), ("base/base.json", 7)):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"x" * size)
    # Each answer takes a millisecond more than the last.
    times = itertools.chain.from_iterable((0.0, (place + 1) / 1000) for place in itertools.count())
    cpu = itertools.count(0, running * sum(range(1, 101)) / 1000)
    stage = Cost(CostStageConfig(texts=100, warm_up=3), engine.open, lambda: next(times), lambda: next(cpu))
    return stage.run(given, context)["cost"]  # type: ignore[arg-type, return-value]


def test_answers_are_timed_one_by_one_after_the_warm_up(tmp_path: Path, context: FakeContext) -> None:
    engine = OneByOne()
    facts = run(tmp_path, context, engine, [f"text {place}" for place in range(40)])
    assert len(engine.seen) == 103 and len(set(engine.seen)) == 40 and engine.is_closed
    assert facts["latency_ms"] == {"p50": 50.5, "p95": 95.05, "max": 100.0, "num_answers": 100, "warm_up": 3}
    # The base's files count where the model brings no encoder of its own.
    assert (facts["size_bytes"], facts["weights_bytes"]) == (5300, 5300) and facts["peak_bytes"] > 1e6
    assert facts["machine"]["cores"] >= 1
    assert json.loads((context.out / "cost" / "cost.json").read_text()) == facts


def test_a_model_with_its_own_encoder_needs_no_base(tmp_path: Path, context: FakeContext) -> None:
    (tmp_path / "model" / "encoder").mkdir(parents=True)
    (tmp_path / "model" / "encoder" / "config.json").write_bytes(b"{}")
    facts = run(tmp_path, context, OneByOne(), ["text"])
    assert (facts["size_bytes"], facts["weights_bytes"]) == (302, 300)


def test_without_a_test_text_there_is_nothing_to_time(tmp_path: Path, context: FakeContext) -> None:
    with pytest.raises(DataError, match="no test text"):
        run(tmp_path, context, OneByOne(), [])


def test_a_machine_that_was_busy_is_said(tmp_path: Path, context: FakeContext) -> None:
    said: list[str] = []
    context.warn = said.append  # type: ignore[method-assign, attr-defined]
    assert run(tmp_path, context, OneByOne(), ["text"], running=0.4)["running"] == 0.4
    assert len(said) == 1 and "only 40%" in said[0]
