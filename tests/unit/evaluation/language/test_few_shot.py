"""Examples before a prompt: which, in what order, and as many as fit."""

from __future__ import annotations

from tests.unit.evaluation.language.fakes import asked

from tunesmith.core.conversation import Conversation, Turn
from tunesmith.core.engine import Answer
from tunesmith.evaluation.language.config import FewShotConfig
from tunesmith.evaluation.language.few_shot import choose, fitted, usable, with_examples

ROWS = [
    asked("capital of France", "Paris"),
    asked("colour of grass", "green"),
    asked("capital of Spain", "Madrid"),
    asked("sum of two and two", "four"),
]


def test_the_nearest_example_stands_last() -> None:
    found = choose(FewShotConfig(examples=2), ROWS, [asked("what is the capital of Spain", "").prompt], seed=0)
    assert found.of_prompt == [[0, 2]]
    asked_ = found.before(0, Conversation((Turn("user", "what is the capital of Spain"),)), 2)
    assert [turn.content for turn in asked_.turns][:4] == ["capital of France", "Paris", "capital of Spain", "Madrid"]
    assert [turn.content for turn in found.before(0, asked_, 1).turns][:2] == ["capital of Spain", "Madrid"]
    assert found.before(0, asked_, 0) == asked_


def test_answers_of_examples_are_read_and_not_scored_behind_the_system_turn() -> None:
    found = with_examples(asked("who", "me", system="be brief"), [asked("what", "it", system="be long")])
    assert [(turn.role, turn.content, turn.weight) for turn in found.turns] == [
        ("system", "be brief", None),
        ("user", "what", None),
        ("assistant", "it", 0.0),
        ("user", "who", None),
        ("assistant", "me", None),
    ]


def test_only_rows_with_a_question_and_an_answer_in_words_are_shown() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    calling = Conversation((Turn("user", "look"), Turn("assistant", "", tool_calls=(call,))))
    text = Conversation((Turn("assistant", "a text"),))
    again = asked("capital of France", "Paris!")
    assert usable([*ROWS, calling, text, again], seed=0) == ROWS


def test_random_examples_are_the_same_for_every_prompt_and_seed() -> None:
    config = FewShotConfig(examples=3, choose="random")
    prompts = [one.prompt for one in ROWS]
    found = choose(config, ROWS, prompts, seed=1)
    assert found == choose(config, ROWS, prompts, seed=1)
    assert len(set(map(tuple, found.of_prompt))) == 1 and len(set(found.of_prompt[0])) == 3
    assert any(choose(config, ROWS, prompts, seed=seed).of_prompt != found.of_prompt for seed in range(2, 8))
    # Without a word there is nothing to be near to.
    wordless = [asked("!!!", "?"), asked("…", "?")]
    assert len(choose(FewShotConfig(examples=5), wordless, prompts, seed=1).of_prompt[0]) == 2


def test_examples_that_do_not_fit_are_left_out_one_by_one() -> None:
    room = [3, 1, 0, -1]
    told = []

    def ask(wanted: list[tuple[int, int]]) -> list[Answer]:
        told.append(wanted)
        return [Answer(0, (), num_truncated_tokens=max(0, num - room[at]), text=str(num)) for at, num in wanted]

    answers, shown = fitted([3] * 4, ask)
    assert shown == [3, 1, 0, 0] and [one.text for one in answers] == ["3", "1", "0", "0"]
    assert answers[3].num_truncated_tokens == 1
    assert told == [
        [(0, 3), (1, 3), (2, 3), (3, 3)],
        [(1, 2), (2, 2), (3, 2)],
        [(1, 1), (2, 1), (3, 1)],
        [(2, 0), (3, 0)],
    ]
