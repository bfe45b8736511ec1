"""``tunesmith chat``: turns from a pipe and from a terminal, in one conversation until it is begun anew."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tunesmith import api
from tunesmith.cli.main import main
from tunesmith.core.errors import DataError
from tunesmith.lifecycle.language_model import LanguageModel


class Said:
    """An answer in pieces. The model reads four turns, and writes no more than eight letters."""

    def __init__(self, num_turns: int, said: str) -> None:
        self.num_turns, self.said = num_turns, said
        self.num_truncated_tokens = max(0, num_turns - 4)
        self.num_tokens, self.finish = 0, ""

    def __iter__(self) -> Iterator[str]:
        if self.said == "silence":
            self.finish = "stop"
            return
        yield f"{self.num_turns}: "
        if self.said == "interrupt":
            raise KeyboardInterrupt
        for letter in self.said[:8]:
            self.num_tokens += 1
            yield letter
        self.finish = "length" if len(self.said) > 8 else "stop"


class Parrot(LanguageModel):
    """Says how many turns there were and the last one back; letters one by one."""

    def __init__(self) -> None:
        self.reference, self.notes = "parrot@1", ()
        self.asked: list[list[dict[str, Any]]] = []
        self.closed = False

    def stream(self, asked: Any, options: Any = None) -> Any:
        """The answer, or what the last turn asks for."""
        self.asked.append(list(asked))
        if asked[-1]["content"] == "refuse":
            raise DataError("a conversation cannot be read", seen="why")
        return Said(len(asked), asked[-1]["content"])

    def close(self) -> None:
        """Note it."""
        self.closed = True


class Terminal(io.StringIO):
    """Standard input of a person."""

    def isatty(self) -> bool:
        """As a terminal says."""
        return True


@pytest.fixture
def parrot(monkeypatch: pytest.MonkeyPatch) -> Parrot:
    made = Parrot()
    monkeypatch.setattr(api, "load", lambda *_, **__: made)
    return made


def test_every_line_of_a_pipe_is_a_turn(
    parrot: Parrot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("one\n\n two \n/reset\nthree\n/exit\nfour\n"))
    assert main(["chat", "parrot@1", "--system", "be kind"]) == 0
    assert capsys.readouterr().out == "2: one\n4: two\n2: three\n"
    assert parrot.asked[1] == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "2: one"},
        {"role": "user", "content": "two"},
    ]
    assert parrot.closed


def test_json_is_one_value(parrot: Parrot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("one\ntwo\n"))
    assert main(["chat", "parrot@1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"text": "one", "answer": "1: one", "finish": "stop", "num_tokens": 3, "num_truncated_tokens": 0},
        {"text": "two", "answer": "3: two", "finish": "stop", "num_tokens": 3, "num_truncated_tokens": 0},
    ]


def test_what_the_model_does_not_see_or_finish_is_said(
    parrot: Parrot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parrot.notes = ("num_beams 4 is not followed",)
    monkeypatch.setattr("sys.stdin", io.StringIO("one\ntwo\nthree\nfourfour!\n/reset\nfive\n"))
    assert main(["chat", "parrot@1"]) == 0
    told = capsys.readouterr()
    assert told.out == "1: one\n3: two\n5: three\n7: fourfour\n1: five\n"
    assert told.err.splitlines() == [
        "num_beams 4 is not followed",
        "the conversation is longer than the model reads: 1 token at its start not read; /reset begins anew",
        "the conversation is longer than the model reads: 3 tokens at its start not read; /reset begins anew",
        "ended after 8 tokens",
        "a new conversation",
    ]


def test_a_person_may_interrupt_an_answer_and_ask_what_cannot_be_read(
    parrot: Parrot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = iter(["one", "interrupt", "refuse", "two"])

    def ask(prompt: str = "") -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", ask)
    assert main(["chat", "parrot@1"]) == 0
    told = capsys.readouterr()
    assert told.out == "1: one\n3: \n3: two\n"
    assert "left out of the conversation" in told.err and "cannot be read" in told.err
    assert [turn["content"] for turn in parrot.asked[-1]] == ["one", "1: one", "two"]


def test_from_a_pipe_what_cannot_be_read_ends_it(
    parrot: Parrot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("one\nrefuse\ntwo\n"))
    assert main(["chat", "parrot@1"]) == 1
    assert "cannot be read" in capsys.readouterr().err
    assert parrot.closed


def test_an_empty_answer_does_not_end_the_conversation(
    parrot: Parrot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("one\nsilence\ntwo\n"))
    assert main(["chat", "parrot@1"]) == 0
    told = capsys.readouterr()
    assert told.out == "1: one\n\n3: two\n" and "empty answer" in told.err
    assert [turn["content"] for turn in parrot.asked[-1]] == ["one", "1: one", "two"]


def test_what_a_terminal_would_obey_is_not_shown(
    parrot: Parrot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a\x1b[2Jb\tc\n"))
    assert main(["chat", "parrot@1"]) == 0
    assert capsys.readouterr().out == "1: a[2Jb    c\n"


def test_a_head_does_not_talk(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Head:
        task = "classify"

        def close(self) -> None:
            """Nothing to free."""

    monkeypatch.setattr(api, "load", lambda *_, **__: Head())
    assert main(["chat", "desk@1"]) == 2
    told = capsys.readouterr().err
    assert "writes no text" in told and "tunesmith predict desk@1" in told
