"""The report of a language run: what it writes stands side by side, escaped, and nothing that needs labels is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.evaluation.language.fakes import asked
from tests.unit.reporting.language_views import language_view, meals

from tunesmith.core.conversation import Conversation, Turn
from tunesmith.reporting import wording
from tunesmith.reporting.report import render
from tunesmith.reporting.sections.generations import generations_of
from tunesmith.reporting.sections.language_loss import language_loss_of
from tunesmith.reporting.sections.tokens import tokens_of
from tunesmith.reporting.sections.training_samples import training_samples_of


def test_a_report_shows_answers_side_by_side(tmp_path: Path) -> None:
    page = render(language_view(tmp_path))
    assert "Better than few-shot and base" in page and "chrF" in page and "Bits per byte" in page
    assert page.count('<article class="card written">') == 20
    assert "on 40 test prompts that training never saw" in page
    assert "Once upon a time, there was a little girl named Lily.\n\nShe liked to play." in page
    assert "<script" not in page and "&lt;script&gt;alert(1)&lt;/script&gt;⟨U+202E⟩" in page
    assert 'id="tokens"' in page and 'id="samples"' in page and 'id="loss"' in page
    assert page.count('id="examples"') == 1 and "How far to trust it" not in page
    assert render(language_view(tmp_path / "again")) == page


def test_the_best_and_the_worst_are_told_by_their_own_score(tmp_path: Path) -> None:
    part = generations_of(language_view(tmp_path))
    assert part is not None
    worst, best, others = part.groups
    assert [len(group.prompts) for group in part.groups] == [8, 6, 6]
    assert all("and that is all there is" in one.answers[0][1] for one in worst.prompts)
    assert all(one.answers[0][1] == one.references[0] for one in best.prompts)
    shown = [one.prompt for group in part.groups for one in group.prompts]
    assert len(set(shown)) == 20 and len(others.prompts) == 6
    assert [who for who, _, _ in best.prompts[0].answers] == ["Model", "base", "few-shot"]
    assert part.words.startswith("40 of 60 test prompts answered, always with the likeliest token.")
    assert "3 before 40 prompts" in part.words


def test_few_prompts_stand_once_each(tmp_path: Path) -> None:
    part = generations_of(language_view(tmp_path, test=meals(5)))
    assert part is not None
    shown = [one.prompt for group in part.groups for one in group.prompts]
    assert sorted(shown) == sorted(one.prompt.turns[0].content for one in meals(5))


def test_hostile_texts_do_not_act(tmp_path: Path) -> None:
    hostile = asked("</bdi><img src=x onerror=alert(1)>", "<b>{{ 7 * 7 }}</b>\x1b[31m" + "x" * 5000)
    page = render(language_view(tmp_path, test=[hostile, *meals(2)]))
    assert "<img" not in page and "\x1b" not in page and "more characters)" in page
    assert "{{ 7 * 7 }}" in page


def test_loss_forgetting_and_what_was_left_out_are_said(tmp_path: Path) -> None:
    view = language_view(tmp_path, more=[Conversation((Turn("user", "hello"),))])
    part = language_loss_of(view)
    assert part is not None and part.chart is not None
    assert part.predictors == ("This model", "base", "few-shot")
    assert part.sources[0].source == "meals" and part.sources[0].bits == ("0.894", "1.890", "1.890")
    assert "General text needs 53 % fewer bits than before training" in part.forgetting
    assert part.notes == ("1 row: no turn of an assistant: nothing to measure",)
    not_asked = {**view.report, "forgetting": None, "not_measured": {"forgetting": "the recipe names no general text"}}
    other = language_loss_of(replace(view, report=not_asked))
    assert other is not None and other.chart is None
    assert other.forgetting == "Not measured: the recipe names no general text."


def test_masks_join_neighbours_and_losses_are_counted(tmp_path: Path) -> None:
    found = tokens_of(language_view(tmp_path))
    assert found is not None
    assert [(piece.text, piece.kind) for piece in found[0].samples[0]] == [
        ("<s>name[Aromi], eatType[pub]\n", "seen"),
        ("Aromi is a pub.</s>", "trained"),
    ]
    assert found[0].columns == ("Rows", "Kept", "Left out", "Tokens", "Trained", "Lost")
    assert found[0].name == ""
    view = language_view(tmp_path / "two")
    several = tokens_of(replace(view, made={f"tokens:{phase}": view.made["tokens"] for phase in (1, 2)}))
    assert several is not None and [one.name for one in several] == ["Phase 1", "Phase 2"]
    assert found[0].reasons == (("longer than 512 tokens", "2 rows"),)


def test_samples_of_training_show_every_look(tmp_path: Path) -> None:
    found = training_samples_of(language_view(tmp_path))
    assert found is not None
    assert [(step, is_best) for step, _, is_best in found[0].looks] == [
        ("step 10", False),
        ("step 20", False),
        ("step 30", True),
        ("step 40", False),
    ]


@pytest.mark.parametrize("task", ["chat", "summarise", "translate", "extract"])
def test_every_language_task_has_a_report(tmp_path: Path, task: str) -> None:
    page = render(language_view(tmp_path, task=task))
    assert "What it writes" in page
    assert ("tunesmith</span> <span>chat" in page) == (task == "chat")


def test_texts_that_ask_nothing_have_no_examples(tmp_path: Path) -> None:
    texts = [Conversation((Turn("assistant", f"The committee met {at} times."),)) for at in range(8)]
    view = language_view(tmp_path, test=texts)
    assert generations_of(view) is None
    page = render(view)
    assert "Bits per byte is 0.894" in page and 'href="#examples"' not in page


def test_a_folder_is_spoken_of_by_its_name() -> None:
    names = ["/models/stories260k/", "./here/model", "owner/name", "embedded", "C:\\models\\small"]
    assert [wording.model_name(name) for name in names] == ["stories260k", "model", "owner/name", "embedded", "small"]
