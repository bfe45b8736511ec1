"""Errors written for the person who must act: what clashed, the value seen, what is allowed, the next command."""

from __future__ import annotations

from typing import Any, ClassVar


class TunesmithError(Exception):
    """A failure with its way out; ``exit_code`` is what the command line ends with."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, seen: object = None, allowed: object = None, next: str | None = None) -> None:
        self.what, self.seen, self.allowed, self.next = what, seen, allowed, next
        self.run_id: str | None = None
        """The run that ended with this error, once there is one to resume."""
        super().__init__(self.render())

    def render(self) -> str:
        """The message as people read it, one line per part that is known."""
        lines = [self.what]
        if self.seen is not None:
            lines.append(f"  seen:    {self.seen}")
        if self.allowed is not None:
            lines.append(f"  allowed: {self.allowed}")
        if self.next is not None:
            lines.append(f"  next:    {self.next}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The error as JSON values, to cross a process boundary or to answer ``--json``."""
        return {
            "error": type(self).__name__,
            "what": self.what,
            "seen": None if self.seen is None else str(self.seen),
            "allowed": None if self.allowed is None else str(self.allowed),
            "next": self.next,
            "run": self.run_id,
        }


class RecipeError(TunesmithError):
    """The recipe, or the way a command was called, is wrong."""

    exit_code = 2


class DataError(TunesmithError):
    """The data cannot be read, or what is left of it cannot be used."""


class ModelError(TunesmithError):
    """A model folder, tokenizer or weight file cannot be used."""


class StoreError(TunesmithError):
    """The workspace or the ledger is damaged, locked or out of reach."""


class LedgerDown(StoreError):
    """The ledger cannot be asked now: the same may work once it is back."""


class StepError(TunesmithError):
    """A step failed, or its process died."""


class Denied(TunesmithError):
    """A gate or a policy said no."""

    exit_code = 3


class Unauthenticated(Denied):
    """Whoever asks showed no key, or none that counts."""


class Interrupted(TunesmithError):
    """The work was stopped from outside and can be resumed."""

    exit_code = 130


_KINDS: dict[str, type[TunesmithError]] = {
    kind.__name__: kind
    for kind in (
        TunesmithError,
        RecipeError,
        DataError,
        ModelError,
        StoreError,
        LedgerDown,
        StepError,
        Denied,
        Unauthenticated,
        Interrupted,
    )
}


def from_dict(data: dict[str, Any]) -> TunesmithError:
    """The error that ``to_dict`` described; an unknown kind comes back as ``StepError``."""
    kind = _KINDS.get(data.get("error", ""), StepError)
    return kind(data["what"], seen=data.get("seen"), allowed=data.get("allowed"), next=data.get("next"))
