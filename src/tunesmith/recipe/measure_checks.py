"""What cannot be said together about groups, robustness and latency: each check names the cause and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tunesmith.core.errors import RecipeError
from tunesmith.evaluation.criteria import CRITERIA, Criterion
from tunesmith.metrics import table
from tunesmith.recipe.problems import Problem
from tunesmith.recipe.yaml12 import Path

if TYPE_CHECKING:
    from tunesmith.recipe.recipe import Recipe


def problems(recipe: Recipe) -> Iterator[Problem]:
    """Everything about these measures that does not go together."""
    yield from _metrics(recipe)
    yield from _groups(recipe)
    for name in recipe.gate or {}:
        if name in CRITERIA:
            yield from _asked(recipe, CRITERIA[name])


def _metrics(recipe: Recipe) -> Iterator[Problem]:
    evaluate = recipe.evaluate
    asked: list[tuple[Path, str | None]] = []
    if evaluate.fairness is not None:
        asked.append((("evaluate", "fairness", "metric"), evaluate.fairness.metric))
    if evaluate.robustness:
        asked.append((("evaluate", "robustness", "metric"), evaluate.robustness.metric))
    for path, name in asked:
        if name is None:
            continue
        try:
            table.find(name, recipe.task)
        except RecipeError as error:
            yield Problem(path, error.what, name, str(error.allowed), error.next)


def _groups(recipe: Recipe) -> Iterator[Problem]:
    fairness = recipe.evaluate.fairness
    if fairness is None:
        return
    known = list(dict.fromkeys(left for source in recipe.data.sources for left in source.columns))
    for column in fairness.by if all(source.columns for source in recipe.data.sources) else ():
        if column not in known:
            near = difflib.get_close_matches(column, known, n=1)
            yield Problem(
                ("evaluate", "fairness", "by"),
                f"no source gives a column `{column}`",
                seen=column,
                allowed=", ".join(known),
                next=f"did you mean `{near[0]}`?" if near else f"add it under `columns` of a source: `{column}: …`",
            )
    if fairness.positive is not None and recipe.task != "classify":
        yield Problem(
            ("evaluate", "fairness", "positive"),
            f"a good label is one of `classify`; the task is `{recipe.task}`",
            seen=fairness.positive,
            next="leave `positive` out",
        )
    if fairness.max_gap is not None and "fairness_gap" in (recipe.gate or {}):
        yield Problem(
            ("evaluate", "fairness", "max_gap"),
            "the largest gap that passes is said twice",
            seen=f"max_gap: {fairness.max_gap:g}, and gate.fairness_gap",
            next="keep `gate.fairness_gap`, and leave `max_gap` out",
        )


def _asked(recipe: Recipe, asked: Criterion) -> Iterator[Problem]:
    """A criterion that nothing in this recipe measures."""
    evaluate, path = recipe.evaluate, ("gate", asked.name)
    if asked.measure == "fairness" and evaluate.fairness is None:
        yield Problem(
            path,
            f"the gate asks for `{asked.name}`, and nothing says which groups are meant",
            next="write `evaluate: {fairness: {by: <a column>}}`",
        )
    elif asked.name == "selection_gap" and evaluate.fairness is not None and evaluate.fairness.positive is None:
        yield Problem(
            path,
            "the gate asks how often groups get the good label, and nothing says which label is good",
            next="write `evaluate: {fairness: {positive: <a label>}}`",
        )
    elif asked.measure == "robustness" and evaluate.robustness is False:
        yield Problem(
            path,
            f"the gate asks for `{asked.name}`, and `evaluate.robustness` is off",
            seen="evaluate.robustness: false",
            next="leave `evaluate.robustness` out, or take the criterion out of the gate",
        )
    elif asked.measure == "cost" and evaluate.latency is False:
        yield Problem(
            path,
            f"the gate asks for `{asked.name}`, and `evaluate.latency` is off",
            seen="evaluate.latency: false",
            next="leave `evaluate.latency` out, or take the criterion out of the gate",
        )
