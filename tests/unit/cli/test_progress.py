"""Progress: plain lines elsewhere than on a terminal, and nothing where quiet was asked for."""

from __future__ import annotations

import io
import os
import signal
import threading
from typing import Any

import pytest
from rich.console import Console

from tunesmith.cli import figures
from tunesmith.cli.progress import Bars, Lines, Silent, display
from tunesmith.cli.stop import stoppable


def console(*, is_terminal: bool = False) -> tuple[Console, io.StringIO]:
    """A console that writes into a text."""
    stream = io.StringIO()
    return Console(file=stream, force_terminal=is_terminal, width=120, markup=False, highlight=False), stream


def events(step: str = "train") -> list[dict[str, Any]]:
    """A step's life."""
    return [
        {"event": "step", "step": step, "status": "running"},
        {"event": "progress", "step": step, "done": 5, "total": 20, "unit": "steps", "note": "epoch 1 · loss 2.1"},
        {"event": "progress", "step": step, "done": 10, "total": 20, "unit": "steps", "note": "epoch 2 · loss 1.5"},
        {"event": "warning", "step": step, "message": "3 texts\x1b[31m cut"},
        {"event": "warning", "step": step, "message": "3 texts\x1b[31m cut"},
        {"event": "metric", "step": 3, "values": {"loss": 1.5}},
        {"event": "step", "step": step, "status": "done"},
    ]


def test_plain_lines_at_most_every_ten_seconds() -> None:
    out, stream = console()
    times = iter([0.0, 4.0, 20.0, 20.0, 20.0, 21.0, 25.0])
    shown = Lines(out, lambda: next(times))
    for event in events():
        shown.listen(event)
    assert stream.getvalue().splitlines() == [
        "train …",
        "  train: 10/20 steps · 0.5/s · 20 s left · epoch 2 · loss 1.5",
        "! train: 3 texts [31m cut",
        "✓ train              done  25 s",
    ]


def test_cached_failed_and_interrupted_steps_are_told_apart() -> None:
    out, stream = console()
    shown = Lines(out, lambda: 0.0)
    for status in ("cached", "failed", "interrupted"):
        shown.listen({"event": "step", "step": "train", "status": status})
    assert [line.split() for line in stream.getvalue().splitlines()] == [
        ["✓", "train", "cached"],
        ["✗", "train", "failed", "0.0", "s"],
        ["■", "train", "interrupted", "0.0", "s"],
    ]


def test_a_verb_without_steps_has_progress_too() -> None:
    out, stream = console()
    times = iter([0.0, 12.0])
    shown = Lines(out, lambda: next(times))
    for done in (10, 40):
        shown.listen({"event": "progress", "step": "predict", "done": done, "total": 100, "unit": "rows"})
    assert stream.getvalue() == "  predict: 40/100 rows · 3.3/s · 18 s left\n"


def test_a_terminal_gets_bars_and_the_finished_step_stays() -> None:
    out, stream = console(is_terminal=True)
    with Bars(out) as shown:
        for event in events()[:-1]:
            shown.listen(event)
        shown._bars.refresh()
        assert "10/20 steps" in stream.getvalue()
        assert "epoch 2 · loss 1.5" in stream.getvalue()
        shown.listen(events()[-1])
    assert "✓" in stream.getvalue().splitlines()[-1] or "✓" in stream.getvalue()


def test_which_display() -> None:
    assert type(display(console()[0], is_quiet=False)) is Lines
    assert type(display(console(is_terminal=True)[0], is_quiet=False)) is Bars
    assert type(display(console(is_terminal=True)[0], is_quiet=True)) is Silent


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_stops(number: signal.Signals) -> None:
    cancel, said = threading.Event(), []
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), stoppable(cancel, said.append):
        os.kill(os.getpid(), number)
        assert cancel.is_set()
        assert len(said) == 1
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("value", "words"), [(0.04, "0.0 s"), (9.96, "10.0 s"), (59.4, "59 s"), (154, "2 min 34 s"), (3900, "1 h 05 min")]
)
def test_seconds(value: float, words: str) -> None:
    assert figures.seconds(value) == words


def test_figures_as_people_read_them() -> None:
    assert figures.size(1_380_137_472) == "1.4 GB"
    assert figures.size(512e6) == "512 MB"
    assert figures.count(1, "row") == "1 row"
    assert figures.count(1204, "row") == "1,204 rows"
    assert figures.interval(None) == "–"
    assert figures.p_value(0.00001) == "p < 0.0001"
    assert figures.shown("a\r\nb\x1b[0m", 5) == "a b …"
    assert list(figures.main_metrics({"accuracy": 1, "f1_micro": 1})) == ["accuracy"]
