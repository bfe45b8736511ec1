"""Batching across requests: every row its own answer, whatever else is asked, cancelled or broken."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.errors import StepError
from tunesmith.engines.batching import Batcher, BatchOptions, Closed, QueueFull


class Gate:
    """An ``answer`` that waits until it is let go, and keeps the batches it was given."""

    def __init__(self) -> None:
        self.may_go, self.has_begun = threading.Event(), threading.Event()
        self.batches: list[list[str]] = []

    def __call__(self, rows: Sequence[str]) -> list[str]:
        self.batches.append(list(rows))
        self.has_begun.set()
        assert self.may_go.wait(10)
        if "break" in rows:
            raise ValueError("broken")
        return [f"<{row}>" for row in rows]


def held(options: BatchOptions | None = None) -> tuple[Batcher[str, str], Gate, Future[list[str]]]:
    """A batcher whose worker is busy with the row ``first``, so that what comes next has to wait together."""
    gate = Gate()
    batcher: Batcher[str, str] = Batcher(gate, options, weight=len)
    first = batcher.submit(["first"])
    assert gate.has_begun.wait(10)
    return batcher, gate, first


def test_what_waits_is_answered_together_and_each_request_in_its_order() -> None:
    batcher, gate, first = held()
    asked = [["a", "bb"], ["ccc"], [], ["dd", "e", "ffff"]]
    promised = [batcher.submit(rows) for rows in asked]
    assert batcher.num_queued == 6
    gate.may_go.set()
    assert [one.result(10) for one in promised] == [[f"<{row}>" for row in rows] for rows in asked]
    assert first.result(10) == ["<first>"]
    assert [len(one) for one in gate.batches] == [1, 6], "three requests made one batch"
    assert batcher.num_queued == 0
    assert batcher.close(timeout_s=10)


def test_a_batch_is_sorted_by_length_and_cut_where_padding_would_cost_too_much() -> None:
    batcher, gate, _ = held(BatchOptions(max_weight=12))
    promised = batcher.submit(["x" * 12, "a", "b", "c", "yyyyyy", "zzzzzz"])
    gate.may_go.set()
    assert promised.result(10) == ["<" + "x" * 12 + ">", "<a>", "<b>", "<c>", "<yyyyyy>", "<zzzzzz>"]
    assert [sorted(one) for one in gate.batches[1:]] == [["a", "b", "c"], ["yyyyyy", "zzzzzz"], ["x" * 12]]


def test_a_batch_begins_as_soon_as_all_are_back_that_were_answered() -> None:
    batcher, gate, first = held(BatchOptions(max_wait_ms=3_600_000))
    together = [batcher.submit([name]) for name in "ab"]
    gate.may_go.set()
    for _ in range(5):
        assert [one.result(10) for one in together] == [["<a>"], ["<b>"]], "nobody else was waited for"
        together = [batcher.submit([name]) for name in "ab"]
    assert [one.result(10) for one in together] == [["<a>"], ["<b>"]]
    assert first.result(10) == ["<first>"]
    assert {len(one) for one in gate.batches[1:]} == {2}, "each waited for the other"
    assert batcher.close(timeout_s=10)


def test_who_does_not_come_back_is_not_waited_for_longer_than_may_be() -> None:
    batcher, gate, _ = held(BatchOptions(max_wait_ms=20))
    together = [batcher.submit([name]) for name in "ab"]
    gate.may_go.set()
    assert [one.result(10) for one in together] == [["<a>"], ["<b>"]]
    assert batcher.submit(["a"]).result(10) == ["<a>"]


@pytest.mark.parametrize("max_rows", [1, 2, 5])
def test_no_batch_is_larger_than_it_may_be(max_rows: int) -> None:
    batcher, gate, _ = held(BatchOptions(max_rows=max_rows, max_wait_ms=0))
    promised = [batcher.submit([f"{at}-{row}" for row in range(7)]) for at in range(3)]
    gate.may_go.set()
    for at, one in enumerate(promised):
        assert one.result(10) == [f"<{at}-{row}>" for row in range(7)]
    assert max(len(one) for one in gate.batches) == max_rows
    assert sum(len(one) for one in gate.batches) == 22, "no row was computed twice"


def test_a_cancelled_request_is_never_computed_and_leaves_its_place() -> None:
    batcher, gate, _ = held(BatchOptions(max_queued_rows=4))
    kept, left = batcher.submit(["kept"]), batcher.submit(["left", "left too", "left again"])
    with pytest.raises(QueueFull) as caught:
        batcher.submit(["one more"])
    assert caught.value.allowed == 4
    assert left.cancel()
    other = batcher.submit(["one more"])
    gate.may_go.set()
    assert (kept.result(10), other.result(10)) == (["<kept>"], ["<one more>"])
    with pytest.raises(CancelledError):
        left.result(10)
    assert not any("left" in row for one in gate.batches for row in one)
    assert batcher.num_queued == 0


def test_a_row_that_breaks_fails_its_own_request_alone() -> None:
    batcher, gate, _ = held()
    good, bad, other = batcher.submit(["good"]), batcher.submit(["fine", "break"]), batcher.submit(["other"])
    gate.may_go.set()
    assert (good.result(10), other.result(10)) == (["<good>"], ["<other>"])
    with pytest.raises(ValueError, match="broken"):
        bad.result(10)
    assert batcher.submit(["after"]).result(10) == ["<after>"], "the worker lives on"


def test_too_few_answers_are_an_error_and_no_mix_up() -> None:
    batcher: Batcher[str, str] = Batcher(lambda rows: rows[:-1])
    with pytest.raises(StepError, match="did not answer every text"):
        batcher.submit(["a", "b"]).result(10)


def test_work_that_needs_the_model_alone_waits_for_its_turn() -> None:
    batcher, gate, first = held()
    before, alone, after = (
        batcher.submit(["before"]),
        batcher.call(lambda: list(gate.batches)),
        batcher.submit(["after"]),
    )
    failing = batcher.call(lambda: 1 / 0)
    assert not alone.done()
    gate.may_go.set()
    assert alone.result(10) == [["first"], ["before"]], "what came before was answered, what came after was not begun"
    assert (before.result(10), after.result(10), first.result(10)) == (["<before>"], ["<after>"], ["<first>"])
    with pytest.raises(ZeroDivisionError):
        failing.result(10)


def test_closing_answers_what_waits_and_takes_no_more() -> None:
    batcher, gate, first = held()
    waiting = [batcher.submit([str(at)]) for at in range(20)]
    assert not batcher.close(timeout_s=0.01), "the worker is still busy"
    with pytest.raises(Closed):
        batcher.submit(["late"])
    with pytest.raises(Closed):
        batcher.call(lambda: None)
    gate.may_go.set()
    assert batcher.close(timeout_s=10)
    assert [one.result(0) for one in waiting] == [[f"<{at}>"] for at in range(20)]
    assert first.result(0) == ["<first>"]


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_no_answer_goes_astray_among_threads_cancellations_and_errors(data: st.DataObject) -> None:
    options = BatchOptions(
        max_rows=data.draw(st.integers(1, 9)), max_weight=data.draw(st.integers(1, 60)), max_wait_ms=0.2
    )

    def answer(rows: Sequence[str]) -> list[str]:
        if any(row.endswith("!") for row in rows):
            raise ValueError(rows)
        return [f"<{row}>" for row in rows]

    batcher: Batcher[str, str] = Batcher(answer, options, weight=len)
    seeds = data.draw(st.lists(st.integers(0, 2**16), min_size=1, max_size=4))
    wrong: list[object] = []

    def client(number: int, seed: int) -> None:
        rng = random.Random(seed)
        for at in range(20):
            rows = [f"{number}.{at}.{row}" + "x" * rng.randint(0, 20) for row in range(rng.randint(0, 6))]
            is_bad = bool(rows) and rng.random() < 0.1
            asked = [*rows[:-1], rows[-1] + "!"] if is_bad else rows
            promise = batcher.submit(asked)
            if rng.random() < 0.2 and promise.cancel():
                continue
            try:
                if promise.result(10) != [f"<{row}>" for row in asked] or is_bad:
                    wrong.append((asked, promise.result(0)))
            except ValueError:
                if not is_bad:
                    wrong.append(asked)

    threads = [threading.Thread(target=client, args=one) for one in enumerate(seeds)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(20)
    assert batcher.close(timeout_s=10)
    assert wrong == []
    assert batcher.num_queued == 0
