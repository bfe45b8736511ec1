"""An engine that answers as a language model does, by rules that a test can compute."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from tests.unit.data.context import FakeContext

from tunesmith.core.artifact import Artifact, MadeBy
from tunesmith.core.conversation import Conversation, Turn
from tunesmith.core.engine import Answer, Request


@dataclass
class FakeWriter:
    """Writes by a function of the conversation; every byte that is scored costs ``nats``."""

    write: Callable[[Conversation], str]
    nats: float = 1.0
    context: int = 10_000
    """Characters it can read."""
    requests: list[Request] = field(default_factory=list)
    is_closed: bool = False
    notes: tuple[str, ...] = ()

    def submit(self, request: Request) -> FakeStream:
        self.requests.append(request)
        return FakeStream(list(self._answers(request)))

    def close(self) -> None:
        self.is_closed = True

    def _answers(self, request: Request) -> Iterator[Answer]:
        for index, text in enumerate(request.texts):
            size, cut = len(text[: self.context].encode()), max(0, len(text) - self.context)
            yield Answer(index, (-self.nats * size, size / 4, size), len(text) - cut, cut)
        # Backwards: answers may come in any order.
        for index, one in reversed(list(enumerate(request.conversations))):
            cut = max(0, sum(len(turn.content) for turn in one.turns) - self.context)
            if request.capability == "generate":
                yield Answer(index, (), num_truncated_tokens=cut, text=self.write(one), finish="stop")
                continue
            scored = [turn for turn in one.turns if turn.role == "assistant" and turn.weight != 0]
            size = sum(len(turn.content.encode()) for turn in scored)
            yield Answer(index, (-self.nats * size, size / 4, size), num_truncated_tokens=cut)


@dataclass
class FakeStream:
    answers: list[Answer]

    def __iter__(self) -> Iterator[Answer]:
        return iter(self.answers)

    def cancel(self) -> None:
        self.answers = []


def asked(prompt: str, answer: str, system: str | None = None) -> Conversation:
    first = () if system is None else (Turn("system", system),)
    return Conversation((*first, Turn("user", prompt), Turn("assistant", answer)))


def frame(conversations: Sequence[Conversation], name: str = "row", source: str = "crm") -> pl.DataFrame:
    """Rows of a split."""
    return pl.DataFrame(
        {
            "row_id": [f"{name}-{place}" for place in range(len(conversations))],
            "source_id": [source] * len(conversations),
            "messages": [one.messages_json() for one in conversations],
            "tools": [one.tools_json() for one in conversations],
        },
        schema_overrides={"tools": pl.String},
    )


def given(context: FakeContext, train: Sequence[Conversation], test: pl.DataFrame) -> dict[str, Artifact]:
    """The inputs of the stage."""
    for name in ("model", "base", "splits"):
        (context.out / name).mkdir(parents=True, exist_ok=True)
    frame(train, "train").write_parquet(context.out / "splits" / "train.parquet")
    test.write_parquet(context.out / "splits" / "test.parquet")
    return {name: context.artifact(name, name, {}) for name in ("model", "base", "splits")}


def general(folder: Path, texts: Sequence[str]) -> Artifact:
    """A dataset of general text."""
    folder.mkdir(parents=True)
    pl.DataFrame({"text": list(texts)}).write_parquet(folder / "part-00000.parquet")
    (folder / "manifest.json").write_text(json.dumps({"columns": {}, "shards": ["part-00000.parquet"], "rows": 1}))
    return Artifact("dataset", "digest", folder, {}, MadeBy("key", "ingest", 0))
