"""What a model answers with: the tasks, and which of them need a language model."""

from __future__ import annotations

from typing import Literal, TypeGuard, get_args

HeadTask = Literal["classify", "tag", "regress"]
"""Answers of a head: one label, any number of labels, one or more numbers."""
LanguageTask = Literal["chat", "generate", "summarise", "translate", "extract"]
"""Answers that are text: of a conversation, a prompt, a document, a sentence, or fields as JSON."""
Task = Literal[HeadTask, LanguageTask]

HEAD_TASKS: tuple[HeadTask, ...] = get_args(HeadTask)
LANGUAGE_TASKS: tuple[LanguageTask, ...] = get_args(LanguageTask)
TASKS: tuple[Task, ...] = (*HEAD_TASKS, *LANGUAGE_TASKS)


def is_language(task: str) -> TypeGuard[LanguageTask]:
    """Whether a task's answers are text."""
    return task in LANGUAGE_TASKS
