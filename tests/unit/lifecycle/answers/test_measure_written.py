"""A language model measured on a file of questions and answers."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.unit.evaluation.language.fakes import FakeWriter

from tunesmith.core.conversation import Conversation
from tunesmith.core.errors import DataError, Interrupted, RecipeError
from tunesmith.data.formats.config import FormatConfig
from tunesmith.lifecycle.language_model import LanguageModel
from tunesmith.lifecycle.measure_written import measure_written
from tunesmith.lifecycle.reports import learned_format
from tunesmith.lifecycle.session import Session
from tunesmith.models.language_manifest import LanguageManifest


class Writer(FakeWriter):
    """Refuses what says never."""

    capabilities = frozenset({"generate", "score"})

    def refusals(self, conversations: Sequence[Conversation]) -> list[str | None]:
        return ["it says never" if "never" in one.turns[-1].content else None for one in conversations]


def _model(task: str = "generate") -> LanguageModel:
    manifest = {
        "task": task,
        "base": {"name": "fake", "digest": "0" * 64},
        "trainable": "full",
        "template": {"name": "plain", "digest": "0" * 64},
        "tokenizer": "0" * 64,
        "num_vocabulary": 10,
        "length": {"max_tokens": 50, "policy": "drop"},
    }
    engine = Writer(lambda one: f"it is {one.turns[-1].content[-1]}", nats=0.5)
    return LanguageModel("fake@1", LanguageManifest.model_validate(manifest), engine)  # type: ignore[arg-type]


def _file(folder: Path, rows: Sequence[tuple[str, str]]) -> Path:
    path = folder / "asked.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("question", "reply"), *rows])
    return path


COLUMNS = FormatConfig(columns={"prompt": "question", "completion": "reply"})


def test_a_file_is_measured_by_the_prompt(session: Session, tmp_path: Path) -> None:
    rows = [(f"number {at}", f"it is {at}") for at in range(8)]
    path = _file(tmp_path, [*rows, ("number 1", "it is one"), ("never ask", "no"), ("number 3", "")])
    found = measure_written(session, _model(), path, COLUMNS, learned={"user: number 2 assistant: it is 2"})
    assert found.metrics["exact_match"]["value"] == 1.0 and found.metrics["chrf"]["value"] == pytest.approx(100)
    assert found.metrics["bits_per_byte"]["value"] == pytest.approx(0.5 / math.log(2))
    assert found.rows["read"] == 11 and found.rows["measured"] == 9
    assert sum(num for what, num in found.rows.items() if what not in ("read", "measured")) == 2
    assert any("it says never" in what for what in found.rows)
    assert (found.text_column, found.label_column) == ("question", "reply")
    assert found.num_learned == 1 and not found.not_measured
    assert found.to_dict()["task"] == "generate"


def test_messages_of_json_lines_are_their_own_answers(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "asked.jsonl"
    said = [("user", "number {}"), ("assistant", "it is {}")]
    turns = [[{"role": role, "content": text.format(at)} for role, text in said] for at in range(5)]
    path.write_text("".join(json.dumps({"messages": one}) + "\n" for one in turns) + "no json\n", "utf-8")
    found = measure_written(session, _model("chat"), path, FormatConfig())
    assert found.rows == {"read": 6, "measured": 5, "refused": 1}
    assert found.text_column == found.label_column == "messages"
    assert found.metrics["exact_match"]["value"] == 1.0


def test_what_cannot_be_measured_is_said(session: Session, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no row has an answer"):
        measure_written(session, _model(), _file(tmp_path, [("never", "no")]), COLUMNS)
    with pytest.raises(RecipeError, match="named together"):
        learned_format(session, "meals", question="question")
    session.cancel.set()
    with pytest.raises(Interrupted, match="nothing was measured"):
        measure_written(session, _model(), _file(tmp_path, [("number 1", "it is 1")] * 3), COLUMNS)
