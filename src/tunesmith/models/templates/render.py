"""Conversations as the text a model reads. The template runs in a process of its own, bounded in time and memory."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

from tunesmith.core.conversation import Conversation
from tunesmith.core.errors import DataError, ModelError
from tunesmith.models.templates.template import ChatTemplate
from tunesmith.models.templates.vocabulary import Vocabulary

TrainOn = Literal["assistant", "all", "last"]
Item = tuple[str, str | None]
"""``messages`` and ``tools`` of a conversation, as JSON texts."""

NUM_TOGETHER = 32
"""Conversations that cross to the other process at a time."""
WAIT_S = 60.0
"""Until a process that does not answer is given up; its own bounds are far below, in processor time."""


@dataclass(frozen=True)
class Refused:
    """A conversation that cannot be rendered, or whose trained part cannot be told: why."""

    reason: str


@dataclass(frozen=True)
class Marked:
    """A conversation's text and what of it is trained."""

    text: str
    spans: tuple[tuple[int, int, float], ...]
    """Start, end (exclusive) and weight of parts, in order; what is in none has weight 0, or 1 where all is trained."""
    is_closed: bool
    """The last answer ends with a token that ends turns; if not, the end token has to be put behind it."""
    num_changed: int = 0
    """Turns that the template wrote otherwise than their content is."""
    num_unlike_asked: int = 0
    """Turns before which something else stands than what a model is given when it is asked for them."""
    num_unshown: int = 0
    """Turns of others whose content the template does not show, or rewrites."""
    num_open: int = 0
    """Turns that end with no token, and are not the last."""


class Renderer:
    """Renders with one template until it is closed; a context manager."""

    def __init__(self, template: ChatTemplate, vocabulary: Vocabulary, today: str | None = None) -> None:
        """``today``: the day a template's ``strftime_now`` writes (``2024-07-26``); None: the real one."""
        self.template = template
        self._first = {
            "text": template.text,
            "tools_text": template.tools_text,
            "today": today,
            "named": dict(vocabulary.named),
            "ends": list(vocabulary.control),
        }
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None

    def marked(self, items: Sequence[Item], train_on: TrainOn) -> list[Marked | Refused]:
        """The text of each conversation with what of it is trained, or why not.

        Raises: ModelError where the template is wrong or takes more time or memory than it may.
        """
        found: list[Marked | Refused] = []
        for one in self._answers(items, {"train_on": train_on}):
            if "refused" in one:
                found.append(Refused(one["refused"]))
            else:
                spans = tuple((start, end, weight) for start, end, weight in one["spans"])
                numbers = {name: one[name] for name in ("num_changed", "num_unlike_asked", "num_unshown", "num_open")}
                found.append(Marked(one["text"], spans, one["is_closed"], **numbers))
        return found

    def prompts(self, conversations: Sequence[Conversation], *, is_asked: bool = True) -> list[str | Refused]:
        """The text of each conversation, the request for an answer behind it; or why the template refuses it.

        Raises: ModelError where the template is wrong or takes more time or memory than it may.
        """
        items = [(one.messages_json(), one.tools_json()) for one in conversations]
        answers = self._answers(items, {"train_on": None, "is_asked": is_asked})
        return [Refused(one["refused"]) if "refused" in one else one["text"] for one in answers]

    def prompt(self, conversation: Conversation) -> str:
        """The text of one conversation, the request for an answer behind it.

        Raises: DataError where the template refuses it; ModelError as ``prompts``.
        """
        [found] = self.prompts([conversation])
        if isinstance(found, Refused):
            raise DataError("the chat template refuses this conversation", seen=found.reason)
        return found

    def close(self) -> None:
        """End the process."""
        if self._finalizer is not None:
            self._finalizer()
        self._process = self._finalizer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answers(self, items: Sequence[Item], more: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for first in range(0, len(items), NUM_TOGETHER):
            some = list(items[first : first + NUM_TOGETHER])
            answered = self._ask({"items": some, **more})
            if answered is None and len(some) > 1:
                # The process died of one of them: one by one, to say of which.
                answered = [(self._ask({"items": [one], **more}) or [{"exceeded": DIED}])[0] for one in some[:1]]
                while "exceeded" not in answered[-1] and len(answered) < len(some):
                    one = some[len(answered)]
                    answered.append((self._ask({"items": [one], **more}) or [{"exceeded": DIED}])[0])
            elif answered is None:
                answered = [{"exceeded": DIED}]
            if "exceeded" in answered[-1]:
                self.close()
                raise self._too_much(answered[-1]["exceeded"], some[len(answered) - 1])
            found += answered
        return found

    def _too_much(self, what: str, item: Item) -> ModelError:
        return ModelError(
            "the chat template takes more time or memory than a template may",
            seen=f"{what}, for {item[0][:120]}{'…' if len(item[0]) > 120 else ''}",
            allowed="1 s of processor time, 16 million characters and 512 MB for a conversation",
            next=f"the template is {self.template.source}: mend it, or choose another with `template: chatml`",
        )

    def _ask(self, asked: Any) -> Any:
        """The answer of the process; None where it died. One question at a time, whatever threads ask."""
        with self._lock:
            process = self._process or self._start()
            return self._exchange(process, asked)

    def _exchange(self, process: subprocess.Popen[bytes], asked: Any) -> Any:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(asked, separators=(",", ":")).encode() + b"\n")
            process.stdin.flush()
            ready, _, _ = select.select([process.stdout], [], [], WAIT_S)
            line = process.stdout.readline() if ready else b""
        except OSError:
            line = b""
        if not line.endswith(b"\n"):
            self.close()
            return None
        return json.loads(line)

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tunesmith.models.templates.worker"]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment()
        )
        self._process = process
        self._finalizer = weakref.finalize(self, _end, process)
        answered = self._exchange(process, self._first)
        if answered is None or "wrong" in answered:
            self.close()
            raise ModelError(
                "the chat template cannot be read",
                seen=f"{self.template.source}: {DIED if answered is None else answered['wrong']}",
                next="mend it, or choose another with `template: chatml`",
            )
        return process


DIED = "its process was ended: one operation took longer or more memory than a whole conversation may"


def _environment() -> dict[str, str]:
    """The variables of the process: none of ours, which may hold secrets, but those that find its modules."""
    import os

    paths = [path for path in sys.path if path]
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "SYSTEMROOT") if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUTF8": "1"}


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
