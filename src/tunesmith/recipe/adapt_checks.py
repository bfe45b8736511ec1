"""What cannot be said together about phases that pre-train an encoder on: the cause and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from tunesmith.data.prompts import WRITTEN
from tunesmith.recipe import checks, column_checks
from tunesmith.recipe.problems import Problem
from tunesmith.recipe.yaml12 import Path

if TYPE_CHECKING:
    from tunesmith.recipe.recipe import Recipe


def problems(recipe: Recipe) -> Iterator[Problem]:
    """Everything in the earlier phases, and in the sources that they alone read, that does not go together."""
    known = [source.name for source in recipe.data.sources]
    for number, phase in enumerate(recipe.adapt_phases):
        yield from checks.from_error(("train", number), partial(phase.for_task, recipe.task))
        yield from checks.from_error(("train", number), partial(phase.for_tokens, recipe.task))
        yield from named_sources(("train", number, "sources"), phase.sources or (), known)
        if phase.early_stopping is not None and not checks.has_validation(recipe):
            yield Problem(
                ("train", number, "early_stopping"),
                "early stopping looks at validation rows, and there are none",
                seen="data.split.validation: 0",
                next="write `data: {split: {validation: 0.1}}`, or leave `early_stopping` out",
            )
    if recipe.text_sources and len(recipe.text_sources) == len(known):
        yield Problem(
            ("data", "sources"),
            "no source gives labels: every one is read by phases that pre-train on texts alone",
            seen=", ".join(known),
            next="map the label in the source that has it: `columns: {text: …, label: …}`",
        )
        return
    for index, source in enumerate(recipe.data.sources):
        if source.name in recipe.text_sources:
            yield from _text_source(recipe, index, source)


def named_sources(path: Path, names: Sequence[str], known: Collection[str]) -> Iterator[Problem]:
    """Names of a phase that no source has."""
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            yield Problem(
                path,
                f"there is no source `{name}`",
                seen=name,
                allowed=", ".join(known),
                next=f"did you mean `{near[0]}`?" if near else "name sources as `data.sources` does",
            )


def _text_source(recipe: Recipe, index: int, source: Any) -> Iterator[Problem]:
    path: Path = ("data", "sources", index)
    if column_checks.may_be_made(recipe, "label"):
        yield Problem(
            (*path, "columns"),
            f"whether the source `{source.name}` has labels cannot be told: labels are computed or joined",
            seen=", ".join(source.columns),
            next="leave `sources` out of the phases, which then read the training rows of every source",
        )
    if source.columns and "text" not in source.columns:
        yield Problem(
            (*path, "columns"),
            f"the source `{source.name}` gives texts alone, and none of its columns is the text",
            seen=", ".join(f"{left}: {right}" for left, right in source.columns.items()),
            next="add `text: <the column's name>`; expressions and joins are for rows with labels",
        )
    if source.split is not None or "split" in source.columns:
        yield Problem(
            path,
            f"the source `{source.name}` has no labels, so its rows prove nothing and are all training texts",
            seen=f"split: {source.split or source.columns['split']}",
            next="leave `split` out",
        )
    for column in source.columns:
        if column in WRITTEN:
            yield Problem(
                (*path, "columns", column),
                f"`{column}` is a column of conversations, and this source gives texts",
                seen=column,
                next="leave it out, or map it under another name",
            )
