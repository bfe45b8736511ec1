"""Columns on their way through preparation: which there are after each step, and which a step may name."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from tunesmith.data.expressions.parse import columns_of
from tunesmith.recipe.problems import Problem, dotted
from tunesmith.recipe.yaml12 import Path

if TYPE_CHECKING:
    from tunesmith.recipe.sections import AnyRecipe


def added(recipe: AnyRecipe) -> list[str]:
    """The columns that joins, expressions and language identification add to those of the sources, where known."""
    data = recipe.data
    names = [name for join in data.joins for name in join.table.columns]
    names += data.derive
    if data.language is not None and data.language.column is not None:
        names.append(data.language.column)
    return list(dict.fromkeys(names))


def may_be_made(recipe: AnyRecipe, role: str) -> bool:
    """Whether a role may come from a step of preparation instead of from a source."""
    tables = recipe.data.joins
    return role in added(recipe) or (role == "label" and any(not join.table.columns for join in tables))


def problems(recipe: AnyRecipe) -> Iterator[Problem]:
    """Tables whose names are taken, and steps that name a column that is not there yet."""
    counts = Counter(source.name for source in recipe.data.sources)
    counts.update(join.table.name for join in recipe.data.joins)
    for index, join in enumerate(recipe.data.joins):
        if counts[join.table.name] > 1:
            yield Problem(
                ("data", "joins", index, "table", "name"),
                f"a source or another table is called `{join.table.name}` too",
                seen=join.table.name,
                next="give each a name of its own",
            )
    sources = [set(source.columns) for source in recipe.data.sources]
    if all(sources) and all(join.table.columns for join in recipe.data.joins):
        yield from _steps(recipe, list(dict.fromkeys(left for one in recipe.data.sources for left in one.columns)))


def _steps(recipe: AnyRecipe, known: list[str]) -> Iterator[Problem]:
    for index, join in enumerate(recipe.data.joins):
        for key in join.on:
            yield from _known(("data", "joins", index, "on"), key, known)
        known = [*known, *(name for name in join.table.columns if name not in known)]
    for column in recipe.data.normalise:
        yield from _known(("data", "normalise", column), column, known)
    for column, source in recipe.data.derive.items():
        for name in columns_of(source):
            yield from _known(("data", "derive", column), name, [*known, "subject"])
        known = [*known, column]


def _known(path: Path, column: str, known: Collection[str]) -> Iterator[Problem]:
    if column in known:
        return
    near = difflib.get_close_matches(column, list(known), n=1)
    yield Problem(
        path,
        f"`{dotted(path)}` needs the column `{column}`, which is not there at this step",
        seen=column,
        allowed=", ".join(known),
        next=f"did you mean `{near[0]}`?" if near else f"map it under `columns` of a source: `{column}: …`",
    )
