"""Lanes answer as their engine does, each text once and at its place; what fails in a lane fails the request."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.core.engine import Answer, Capability, Request
from tunesmith.engines.lanes import LANE_ROWS, Lanes, dealt


class Echo:
    """Answers each text with its length; notes who asked with how many threads; ``break`` breaks it."""

    capabilities: frozenset[Capability] = frozenset({"predict"})

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []
        self.is_closed = False

    def submit(self, request: Request) -> Echo:
        if "break" in request.texts:
            raise RuntimeError("broken")
        self.asked.append((threading.current_thread().name, torch.get_num_threads(), len(request.texts)))
        made = Echo()
        made._texts = request.texts
        return made

    def __iter__(self) -> Iterator[Answer]:
        for place in reversed(range(len(self._texts))):
            yield Answer(place, (float(len(self._texts[place])),))

    def cancel(self) -> None: ...

    def close(self) -> None:
        self.is_closed = True


@given(st.lists(st.text(max_size=30), max_size=70), st.integers(1, 5))
def test_every_text_is_dealt_once_and_lanes_are_alike(texts: Sequence[str], number: int) -> None:
    parts = dealt(texts, number)
    assert sorted(place for part in parts for place in part) == list(range(len(texts)))
    assert 1 <= len(parts) <= number and max(map(len, parts)) - min(map(len, parts)) <= 1
    assert len(parts) == 1 or min(map(len, parts)) >= LANE_ROWS


def test_answers_are_those_of_the_engine_by_threads_of_their_own() -> None:
    own, engine = torch.get_num_threads(), Echo()
    lanes = Lanes(engine, 3, threads_each=1)
    assert torch.get_num_threads() == own
    texts = ["x" * number for number in range(31)]
    found = sorted(lanes.submit(Request("predict", texts)), key=lambda one: one.index)
    assert [(one.index, one.values) for one in found] == [(place, (float(place),)) for place in range(31)]
    assert sorted(rows for _, _, rows in engine.asked) == [10, 10, 11]
    assert all(name.startswith("lane") and threads == 1 for name, threads, _ in engine.asked)
    engine.asked.clear()
    list(lanes.submit(Request("predict", texts[: 2 * LANE_ROWS - 1])))
    assert engine.asked == [(threading.current_thread().name, own, 2 * LANE_ROWS - 1)], "few texts need no lane"
    lanes.close()
    assert engine.is_closed and not [one for one in threading.enumerate() if one.name.startswith("lane")]


def test_what_breaks_in_a_lane_breaks_the_request_and_the_next_is_answered() -> None:
    lanes = Lanes(Echo(), 2)
    with pytest.raises(RuntimeError, match="broken"):
        list(lanes.submit(Request("predict", [*"abcdefgh", "break"])))
    assert len(list(lanes.submit(Request("predict", list("abcdefgh"))))) == 8
    stream = lanes.submit(Request("predict", list("abcdefgh")))
    stream.cancel()
    assert list(stream) == []
    lanes.close()


def test_a_quick_engine_in_lanes_answers_the_same(tmp_path: object) -> None:
    from pathlib import Path

    from tests import tiny

    from tunesmith.engines import quick
    from tunesmith.engines.transformers import TransformersEngine

    torch.set_num_threads(1)
    place = Path(str(tmp_path))
    context = tiny.FakeContext(place / "model")
    tiny.train(tiny.train_config(epochs=1), {"base": tiny.base(), "splits": tiny.labelled(place / "splits")}, context)
    engine = TransformersEngine.open(context.out / "model", None)
    alone, side = quick.quicken(engine, None)[0], quick.quicken(engine, None, 2, 1)[0]
    texts = tiny.sentences(60)[0]

    def answers(one: quick.QuickEngine) -> list[tuple[float, ...]]:
        return [each.values for each in sorted(one.submit(Request("predict", texts)), key=lambda each: each.index)]

    for _ in range(5):
        for old, new in zip(answers(alone), answers(side), strict=True):
            assert new == pytest.approx(old, abs=1e-6)
