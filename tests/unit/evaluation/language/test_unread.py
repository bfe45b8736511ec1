"""Test rows that the template refuses are counted with its words, whichever phase learned from their source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from tests.tiny import write_decoder
from tests.unit.data.context import FakeContext
from tests.unit.evaluation.language.fakes import FakeWriter, asked, frame, given

from tunesmith.core.conversation import Conversation, Turn
from tunesmith.core.errors import DataError
from tunesmith.evaluation.language.config import EvaluateLanguageConfig
from tunesmith.evaluation.language.prompts import NOT_READ
from tunesmith.evaluation.language.stage import EvaluateLanguage
from tunesmith.evaluation.language.unread import unread

STRICT = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
    "{% for one in messages %}{{ one.role }}: {{ one.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
ROWS = [asked("one", "1"), asked("two", "2", "rules"), asked("three", "3"), Conversation((Turn("assistant", "text"),))]


def inputs(folder: Path) -> tuple[FakeContext, dict[str, Any], pl.DataFrame]:
    """What the stage is given: four test rows, of which the template refuses the second."""
    context, test = FakeContext(folder), frame(ROWS)
    found = given(context, [asked(f"q {at}", f"a {at}") for at in range(5)], test)
    write_decoder(context.out / "base" / "files")
    (context.out / "model" / "chat_template.jinja").write_text(STRICT)
    return context, found, test


def test_rows_that_no_phase_has_rendered_are_asked_of_the_template(tmp_path: Path) -> None:
    _, found, test = inputs(tmp_path)
    assert unread(found, "test", test) == {"row-1": "the template says: no system here"}


def test_what_is_known_of_the_last_phase_is_not_asked_again(tmp_path: Path) -> None:
    context, found, test = inputs(tmp_path)
    folder = context.out / "tokens"
    folder.mkdir()
    pl.DataFrame({"row_id": ["row-2"], "reason": ["too long"]}).write_parquet(folder / "test.left_out.parquet")
    pl.DataFrame({"row_id": ["row-0", "row-1"]}).write_parquet(folder / "test.rows.parquet")
    tokens = context.artifact("tokens", "tokens", {"method": "sft"})
    assert unread(found | {"tokens": tokens}, "test", test) == {"row-2": "too long"}
    texts = replace(tokens, facts={"method": "continued_pretraining"})
    assert set(unread(found | {"tokens": texts}, "test", test)) == {"row-1", "row-2"}, "texts are not rendered"


def test_the_evaluation_counts_them_and_goes_on(tmp_path: Path) -> None:
    context, found, _ = inputs(tmp_path)

    class Strict(FakeWriter):
        """Refuses a second question, as some templates do."""

        def submit(self, request: Any) -> Any:
            if any(len(one.turns) > 3 for one in request.conversations):
                raise DataError("a conversation cannot be read", seen="one question only")
            assert not any(one.turns and one.turns[0].role == "system" for one in request.conversations)
            return super().submit(request)

    model, base = (Strict(lambda one: one.turns[-1].content, notes=("num_beams 4",)) for _ in range(2))
    stage = EvaluateLanguage(
        EvaluateLanguageConfig.model_validate({"task": "chat", "bootstrap_samples": 200}),
        lambda *_: model,
        lambda *_: base,
    )
    facts = stage.run(found, context)["report"]
    assert facts["notes"][f"{NOT_READ}: the template says: no system here"] == 1
    assert facts["prompts"]["measured"] == 3
    assert facts["not_measured"]["few_shot"] == "a prompt behind examples cannot be read: one question only"
    assert {one["against"] for one in facts["comparisons"]} == {"base"}
    assert context.warnings == ["num_beams 4"]
