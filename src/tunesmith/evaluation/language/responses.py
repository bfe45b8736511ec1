"""What a language model makes of the test prompts: how it scores their answers, and what it writes itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.conversation import Conversation
from tunesmith.core.engine import Answer, GenerationOptions, Request
from tunesmith.evaluation.answering import Submits, Told, every_answer
from tunesmith.evaluation.language.few_shot import Examples, fitted
from tunesmith.evaluation.language.passages import scored_whole
from tunesmith.evaluation.language.prompts import TestPrompts
from tunesmith.metrics.written import Counts, row


@dataclass(frozen=True)
class Responses:
    """What one predictor made of the measured prompts."""

    scored: dict[int, tuple[float, float, float]]
    """Place of a test row → log-probability, weight and bytes of its answers."""
    texts: tuple[str, ...]
    """Of each prompt that is answered in writing."""
    finishes: tuple[str, ...]
    truncated_rows: int
    """Scored rows that the context could not hold."""
    num_truncated_tokens: int
    """Of them."""
    truncated_prompts: int
    """Answered prompts that the context could not hold."""
    num_truncated_prompt_tokens: int
    """Tokens at their starts that were not read."""
    shown: dict[str, dict[str, int]]
    """few_shot: ``scored`` and ``written`` → number of examples that fitted → requests."""

    def statistics(self, asked: TestPrompts, counts: Counts) -> NDArray[np.float64]:
        """The statistics of each prompt, (prompts, columns)."""
        rows = []
        for place, prompt in enumerate(asked.prompts):
            scored = [sum(parts) for parts in zip(*(self.scored[one] for one in prompt.rows), strict=True)]
            is_written = place < asked.num_written
            rows.append(row(scored, counts.of(self.texts[place], prompt.references) if is_written else None))
        return np.array(rows)


def responses(
    engine: Submits,
    asked: TestPrompts,
    options: GenerationOptions,
    context: Told,
    name: str,
    examples: Examples | None = None,
) -> Responses:
    """What an engine makes of the prompts, behind examples where there are some."""
    # A row that asks nothing is a text as it stands: no template, no example, and no end where the context ends.
    texts = [one for prompt in asked.prompts if not prompt.asked.turns for one in prompt.rows]

    def behind(prompt: int, conversation: Conversation, num: int) -> Conversation:
        return conversation if examples is None else examples.before(prompt, conversation, num)

    def score(rows: Sequence[tuple[int, int]], wanted: Sequence[tuple[int, int]]) -> list[Answer]:
        read = [behind(rows[at][0], asked.conversations[rows[at][1]], num) for at, num in wanted]
        return every_answer(engine, Request("score", conversations=read), context, f"{name} scores the test rows")

    def write(wanted: Sequence[tuple[int, int]]) -> list[Answer]:
        read = [behind(at, asked.prompts[at].asked, num) for at, num in wanted]
        request = Request("generate", conversations=read, options=options)
        return every_answer(engine, request, context, f"{name} answers the test prompts")

    # The longest answer of a prompt says how many examples fit; its others start there.
    longest, others = _longest_first(asked)
    num_examples = 0 if examples is None else max(map(len, examples.of_prompt), default=0)
    scored, shown_scored = fitted([num_examples] * len(longest), partial(score, longest))
    fits = {prompt: num for (prompt, _), num in zip(longest, shown_scored, strict=True)}
    more, shown_more = fitted([fits[prompt] for prompt, _ in others], partial(score, others))
    written, shown_written = fitted([fits[prompt] for prompt in range(asked.num_written)], write)
    whole = scored_whole(engine, [asked.conversations[one].answer for one in texts], context, f"{name} reads the texts")
    every = [*zip(longest, scored, strict=True), *zip(others, more, strict=True)]
    shown = {"scored": _counted([*shown_scored, *shown_more]), "written": _counted(shown_written)} if examples else {}
    return Responses(
        scored={
            **{one: _values(answer) for (_, one), answer in every},
            **dict(zip(texts, whole, strict=True)),
        },
        texts=tuple(one.text for one in written),
        finishes=tuple(one.finish for one in written),
        truncated_rows=sum(answer.num_truncated_tokens > 0 for _, answer in every),
        num_truncated_tokens=sum(answer.num_truncated_tokens for _, answer in every),
        truncated_prompts=sum(one.num_truncated_tokens > 0 for one in written),
        num_truncated_prompt_tokens=sum(one.num_truncated_tokens for one in written),
        shown=shown,
    )


def _longest_first(asked: TestPrompts) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Of each prompt the row with the longest answer, and all other rows: pairs of prompt and row."""
    longest, others = [], []
    for place, prompt in enumerate(asked.prompts):
        if prompt.asked.turns:
            first = max(prompt.rows, key=lambda row: len(asked.conversations[row].answer))
            longest.append((place, first))
            others += [(place, row) for row in prompt.rows if row != first]
    return longest, others


def _values(answer: Answer) -> tuple[float, float, float]:
    log_probability, weight, num_bytes = answer.values
    return log_probability, weight, num_bytes


def _counted(shown: Sequence[int]) -> dict[str, int]:
    return {str(num): count for num, count in sorted(Counter(shown).items())}
