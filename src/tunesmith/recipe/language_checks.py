"""What cannot be said together in the recipe of a language model: each check names the cause and the way out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from tunesmith.recipe import adapt_checks, checks, column_checks
from tunesmith.recipe.problems import Problem

if TYPE_CHECKING:
    from tunesmith.recipe.language import LanguageRecipe

TAKEN = ("text", "messages", "tools", "prompt")
"""Columns that the formats write."""


def problems(recipe: LanguageRecipe) -> Iterator[Problem]:
    """Everything in a recipe that does not go together."""
    yield from checks.names_differ(recipe)
    yield from column_checks.problems(recipe)
    yield from _derived(recipe)
    yield from _phases(recipe)
    yield from checks.from_error(("gate",), recipe.for_evaluate)


def _derived(recipe: LanguageRecipe) -> Iterator[Problem]:
    for column in {**recipe.data.derive, **recipe.data.normalise}:
        if column in TAKEN:
            yield Problem(
                ("data", "derive", column),
                f"`{column}` is what the model learns from, and it is written when rows become conversations",
                seen=column,
                next="change the column in its source, for instance in the query, and map it there",
            )
    boilerplate = recipe.data.noise.boilerplate
    if boilerplate is not None and boilerplate.column in TAKEN:
        yield Problem(
            ("data", "noise", "boilerplate"),
            "lines cannot be cut out of conversations: the model would still learn them from `messages`",
            seen=f"column: {boilerplate.column}",
            next="cut the lines in the source, or leave `boilerplate` out",
        )


def _phases(recipe: LanguageRecipe) -> Iterator[Problem]:
    known = [source.name for source in recipe.data.sources]
    for number, phase in enumerate(recipe.train):
        yield from checks.from_error(("train", number), partial(phase.for_task, recipe.task))
        yield from adapt_checks.named_sources(("train", number, "sources"), phase.sources or (), known)
    for index, name in enumerate(known):
        if not recipe.phases_of(name):
            yield Problem(
                ("data", "sources", index),
                f"no phase learns from the source `{name}`",
                seen=name,
                next="name it under `sources` of a phase, or leave it out",
            )
