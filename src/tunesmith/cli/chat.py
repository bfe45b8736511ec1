"""``tunesmith chat``: a conversation with a language model, in the terminal or a line at a time from a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunesmith.cli import figures
from tunesmith.cli.screen import Screen
from tunesmith.cli.verb import MaxNewTokens, Reference, verb
from tunesmith.core.engine import GenerationOptions
from tunesmith.core.errors import DataError, RecipeError

if TYPE_CHECKING:
    from tunesmith.lifecycle.language_model import LanguageModel

RESET, EXIT = "/reset", "/exit"


@verb
def chat(
    screen: Screen,
    model: Reference,
    system: Annotated[
        str | None, typer.Option("--system", help="What the model is told before the conversation.", show_default=False)
    ] = None,
    max_new_tokens: MaxNewTokens = 256,
    temperature: Annotated[
        float, typer.Option("--temperature", min=0.0, help="0: always the likeliest token; 1: drawn as it learned.")
    ] = 0.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draws.")] = 0,
) -> None:
    """Talk with a language model. /reset begins anew, /exit ends; from a pipe, every line is a turn."""
    from tunesmith import api

    opened = api.load(model, **screen.where)
    if not isinstance(opened, api.LanguageModel):
        opened.close()
        raise RecipeError(
            "this model writes no text",
            seen=f"task: {opened.task}",
            next=screen.command("predict", model, "--text", "TEXT"),
        )
    try:
        talk = Talk(screen, opened, system, GenerationOptions(max_new_tokens, temperature, seed=seed))
        talk.go_on()
    finally:
        opened.close()


class Talk:
    """A conversation on its way."""

    def __init__(self, screen: Screen, model: LanguageModel, system: str | None, options: GenerationOptions) -> None:
        self.screen, self.model, self.options = screen, model, options
        self.is_terminal = sys.stdin.isatty() and not screen.is_json
        self._first: list[dict[str, Any]] = [] if system is None else [{"role": "system", "content": system}]
        self.messages = list(self._first)
        self.told: list[dict[str, Any]] = []

    def go_on(self) -> None:
        """Answer until the user ends it, or there are no more lines."""
        if self.is_terminal:
            self.screen.say(f"{self.model.reference}: {RESET} begins anew, {EXIT} or Ctrl-D ends", "dim")
        for note in self.model.notes:
            self.screen.say(note, "yellow")
        for line in self._lines():
            said = line.strip()
            if said == EXIT:
                break
            if said == RESET:
                self.messages = list(self._first)
                self.screen.say("a new conversation", "dim")
            elif said:
                self._turn(said)
        if self.screen.is_json:
            self.screen.write_json(self.told)

    def _lines(self) -> Iterator[str]:
        while self.is_terminal:
            try:
                yield input("> ")
            except EOFError:
                return
        yield from sys.stdin

    def _turn(self, said: str) -> None:
        """Answer one turn; what cannot be read, or is interrupted, is left out of the conversation."""
        asked = [*self.messages, {"role": "user", "content": said}]
        pieces: list[str] = []
        try:
            writing = self.model.stream(asked, self.options)
            self._tell_lost(writing.num_truncated_tokens)
            for piece in writing:
                pieces.append(piece)
                self._write(figures.printable(piece))
        except DataError as error:
            if not self.is_terminal:
                raise
            self.screen.say(error.render())
            return
        except KeyboardInterrupt:
            if not self.is_terminal:
                raise
            self._write("\n")
            self.screen.say("stopped: this turn is left out of the conversation")
            return
        self._write("\n")
        answer = "".join(pieces)
        if answer.strip():
            self.messages = [*asked, {"role": "assistant", "content": answer}]
        else:  # an empty turn is none that a model has learned from, nor one that can be read
            self.screen.say("an empty answer: this turn is left out of the conversation", "yellow")
        if writing.finish == "length":
            self.screen.say(f"ended after {figures.count(writing.num_tokens, 'token')}", "yellow")
        self.told.append(
            {
                "text": said,
                "answer": answer,
                "finish": writing.finish,
                "num_tokens": writing.num_tokens,
                "num_truncated_tokens": writing.num_truncated_tokens,
            }
        )

    def _tell_lost(self, num_tokens: int) -> None:
        """Say that the model does not see the whole conversation any more."""
        if num_tokens:
            lost = figures.count(num_tokens, "token")
            words = (
                f"the conversation is longer than the model reads: {lost} at its start not read; {RESET} begins anew"
            )
            self.screen.say(words, "yellow")

    def _write(self, text: str) -> None:
        if not self.screen.is_json:
            self.screen.out.file.write(text)
            self.screen.out.file.flush()
