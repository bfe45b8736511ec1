"""What a recipe says of the model in production that it trains again."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tunesmith.core.config import Config
from tunesmith.recipe.problems import Problem

if TYPE_CHECKING:
    from tunesmith.recipe.recipe import Recipe


FEEDBACK, CORRECTIONS = "feedback", "feedback-corrections"
"""The sources of what people said of answers: texts that the champion has no row of, and those that it has."""


class ChampionConfig(Config):
    """The model in production that this run trains again, and is measured against."""

    model: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*@[a-z0-9][a-z0-9_.-]*$")]
    """`name@alias` or `name@version`. Training starts from its encoder and its head, its rows keep their splits, and it
    is the baseline `champion`."""
    from_weights: bool = True
    """Whether training starts from the champion's encoder and head. False: from the recipe's `model`, as if it were the
    first time, for a champion that learned from rows of people who were erased since. Its rows keep their splits and it
    is measured all the same; the gate does not ask to be better than it, for it is to go. Default: true."""
    without: tuple[str, ...] = ()
    """Sources whose rows may no longer be used: they leave the champion's splits too. Default: none."""
    held: tuple[str, ...] = ()
    """Sources of the recipe that are not read, for their file is gone or is another one now: the champion's rows of
    them are used as it has them. Default: none."""
    corrections: str | None = None
    """The source whose rows say what the label of the champion's rows is, by their text: none of them is a new row. In
    validation and test too the corrected label is the truth, for both models. Null: every row keeps its label."""
    needs_new: bool = True
    """Whether the run is refused where no row is new and none leaves. Of no effect with `from_weights: false`.
    Default: true."""


def problems(recipe: Recipe) -> Iterator[Problem]:
    """What a recipe that trains a champion again cannot say."""
    if recipe.champion is None:
        if "forgetting" in (recipe.gate or {}):
            yield Problem(
                ("gate", "forgetting"),
                "what is forgotten is measured against a model in production, and the recipe names none",
                seen="no `champion`",
                next="tunesmith retrain NAME, or write `champion: {model: name@production}`",
            )
        return
    names = [one.name for one in recipe.data.sources]
    if recipe.champion.corrections not in (None, *names):
        yield Problem(
            ("champion", "corrections"),
            "the corrections are no source of the recipe",
            seen=str(recipe.champion.corrections),
            allowed=", ".join(names),
            next="name the source, with its columns of texts and labels",
        )
    if strange := [one for one in recipe.champion.held if one not in names]:
        near = difflib.get_close_matches(strange[0], names, n=1)
        yield Problem(
            ("champion", "held"),
            "what is not read is no source of the recipe",
            seen=", ".join(strange),
            allowed=", ".join(names),
            next=f"did you mean `{near[0]}`?" if near else "name sources of `data.sources`",
        )
    asked = {
        ("tune",): recipe.tune is not None,
        ("data", "augment"): recipe.data.augment is not None,
        ("train",): bool(recipe.adapt_phases),
    }
    for path, is_asked in asked.items():
        if is_asked:
            yield Problem(
                path,
                f"`{'.'.join(path)}` comes before a head learns, and a champion's head goes on as it is",
                seen=f"champion: {recipe.champion.model}",
                next="leave it out: the champion's settings and encoder are taken over",
            )
