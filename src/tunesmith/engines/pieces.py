"""An answer in pieces, as it is written, with what is known of it before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tunesmith.engines.writing import Finish, Writing


class Pieces(Iterator[str]):
    """The text of one answer, a piece at a time."""

    def __init__(
        self,
        writing: Writing,
        steps: Iterator[object],
        stops: Sequence[str],
        text_of: Callable[[Sequence[int]], str],
    ) -> None:
        """``steps`` goes on with ``writing`` by a token each time."""
        self._writing, self._steps, self._stops, self._text_of = writing, steps, stops, text_of
        self._told = ""

    @property
    def num_truncated_tokens(self) -> int:
        """Tokens at the start of the prompt that the model's context could not hold."""
        return self._writing.num_cut

    @property
    def num_tokens(self) -> int:
        """Tokens that are written so far."""
        return len(self._writing.ids)

    @property
    def finish(self) -> Finish:
        """How the answer ended; empty while it goes on."""
        return self._writing.finish

    def __next__(self) -> str:
        for _ in self._steps:
            # A character may take several tokens, and the beginning of a stop text may be one: they wait.
            one = self._writing
            text = one.text if one.finish else _settled(self._text_of(one.ids), self._stops)
            if text.startswith(self._told) and len(text) > len(self._told):
                piece, self._told = text[len(self._told) :], text
                return piece
        raise StopIteration


def _settled(text: str, stops: Sequence[str]) -> str:
    """The part of a text that no further token can take back."""
    text = text.rstrip("\ufffd")
    held = max((size for stop in stops for size in range(1, len(stop)) if text.endswith(stop[:size])), default=0)
    return text[: len(text) - held]
