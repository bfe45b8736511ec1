"""Examples before the prompt: what a pre-trained model does without any training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tunesmith.core.conversation import Conversation
from tunesmith.core.engine import Answer
from tunesmith.evaluation.baselines.tfidf import TOKENS
from tunesmith.evaluation.language.config import FewShotConfig
from tunesmith.evaluation.language.prompts import in_words

MAX_CANDIDATES = 100_000
"""Training rows among which examples are sought; of more, so many are drawn by the seed."""
BLOCK_PROMPTS = 256


@dataclass(frozen=True)
class Examples:
    """Rows that can be shown, and which of them stand before each prompt."""

    candidates: Sequence[Conversation]
    of_prompt: Sequence[Sequence[int]]
    """Of each prompt its examples, the nearest last."""

    def before(self, prompt: int, conversation: Conversation, num: int) -> Conversation:
        """The conversation behind the last ``num`` examples of a prompt."""
        places = self.of_prompt[prompt]
        return with_examples(
            conversation, [self.candidates[one] for one in places[len(places) - min(num, len(places)) :]]
        )


def with_examples(conversation: Conversation, examples: Sequence[Conversation]) -> Conversation:
    """A conversation behind examples, whose answers are read and not scored; its system turns stay first."""
    turns = conversation.turns
    num_system = next((at for at, turn in enumerate(turns) if turn.role != "system"), len(turns))
    shown = [
        replace(turn, weight=0.0 if turn.role == "assistant" else turn.weight)
        for example in examples
        for turn in example.turns
        if turn.role != "system"
    ]
    return Conversation((*turns[:num_system], *shown, *turns[num_system:]), conversation.tools)


def usable(train: Sequence[Conversation], seed: int) -> list[Conversation]:
    """The training rows that can be examples: a question, and an answer in words, without tools; each prompt once."""
    by_prompt: dict[str, Conversation] = {}
    for one in train:
        has_tools = any(turn.role == "tool" or turn.tool_calls for turn in one.turns)
        if one.prompt.turns and one.answer.strip() and not has_tools and one.turns[-1].role == "assistant":
            by_prompt.setdefault(in_words(one.prompt), one)
    found = list(by_prompt.values())
    if len(found) <= MAX_CANDIDATES:
        return found
    drawn = np.random.default_rng([seed, 3]).choice(len(found), MAX_CANDIDATES, replace=False)
    return [found[one] for one in sorted(drawn.tolist())]


def choose(
    config: FewShotConfig, candidates: Sequence[Conversation], prompts: Sequence[Conversation], seed: int
) -> Examples:
    """The examples of each prompt."""
    num = min(config.examples, len(candidates))
    if config.choose == "nearest" and num:
        nearest = _nearest([in_words(one.prompt) for one in candidates], [in_words(one) for one in prompts], num)
        if nearest is not None:
            return Examples(candidates, nearest)
    drawn = np.random.default_rng([seed, 4]).permutation(len(candidates))[:num].tolist()
    return Examples(candidates, [drawn] * len(prompts))


def fitted(most: Sequence[int], ask: Callable[[list[tuple[int, int]]], list[Answer]]) -> tuple[list[Answer], list[int]]:
    """Answers to requests, each behind as many examples as fit into the context, and how many those were.

    ``most``: of each request how many may stand before it. ``ask`` answers pairs of a request's place and its number
    of examples.
    """
    shown = list(most)
    answers: dict[int, Answer] = {}
    open_ = list(range(len(shown)))
    while open_:
        for place, answer in zip(open_, ask([(place, shown[place]) for place in open_]), strict=True):
            answers[place] = answer
        open_ = [place for place in open_ if answers[place].num_truncated_tokens and shown[place]]
        for place in open_:
            shown[place] -= 1
    return [answers[place] for place in range(len(shown))], shown


def _nearest(candidates: Sequence[str], prompts: Sequence[str], num: int) -> list[list[int]] | None:
    """The candidates nearest to each prompt by TF-IDF, the nearest last; None where there is no word to compare."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=TOKENS, dtype=np.float64)
    try:
        known = vectorizer.fit_transform(candidates).T.tocsc()
    except ValueError:
        return None
    found: list[list[int]] = []
    for start in range(0, len(prompts), BLOCK_PROMPTS):
        near_PC = (vectorizer.transform(prompts[start : start + BLOCK_PROMPTS]) @ known).toarray()
        # Stable: among equally near ones the first row is nearest.
        found += np.argsort(-near_PC, axis=1, kind="stable")[:, :num][:, ::-1].tolist()
    return found
