"""Which pre-trained models suit a data set: the catalogue with forecasts for these rows. Trains nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunesmith.core import machine
from tunesmith.core.errors import RecipeError
from tunesmith.data.sources.several import told_kind
from tunesmith.lifecycle import columns
from tunesmith.lifecycle.planned import Plan
from tunesmith.lifecycle.table_file import is_table, open_table, sample
from tunesmith.recipe.recipe import Recipe
from tunesmith.selection import resources
from tunesmith.selection.catalogue import offers


@dataclass(frozen=True)
class Suggestion:
    """A model with what it would take on these rows."""

    name: str
    model: str | None
    """What to write under `model:`; None where it is not on this machine."""
    languages: str
    licence: str
    good_for: str
    parameters_m: float
    max_tokens: int
    too_long_at_most: float
    """The largest share of the training rows that can be longer than it reads, from the lengths' quantiles."""
    train_s: float
    """Seconds that training with the recipe's settings would take here."""
    train_bytes: int
    size_bytes: int
    fits: bool
    """Whether this machine's free memory holds the training."""
    why_not: str | None
    fetch: str | None

    def to_dict(self) -> dict[str, Any]:
        """The suggestion as JSON values."""
        return asdict(self)


def recipe_of(path: Path, task: str | None) -> str | Path | dict[str, Any]:
    """The recipe to plan for a file: itself where it is one, else a plain one for a table with likely columns.

    Raises: RecipeError where no columns are likely, or a task is given for a recipe, which has its own.
    """
    if not is_table(path):
        if task is not None:
            raise RecipeError("a recipe says its task itself", seen=f"--task {task}", next="leave --task out")
        return path
    guess = columns.guess(sample(open_table(path)))
    if guess.text is None or guess.label is None:
        raise RecipeError(
            "no columns of the file look like texts and labels",
            seen=path.name,
            next="write a recipe that names them (`columns: {text: …, label: …}`), and suggest for it",
        )
    source = {
        "kind": told_kind(path),
        "path": str(path.absolute()),
        "columns": {"text": guess.text, "label": guess.label},
    }
    return {
        "task": task or ("regress" if guess.is_numeric else "classify"),
        "name": "suggest",
        "data": {"sources": [source]},
    }


def suggestions(recipe: Recipe, plan: Plan) -> list[Suggestion]:
    """Every encoder of the catalogue for a planned data set: those that are here first, the quickest first.

    Tokens are counted with the planned model's tokenizer; the others cut texts much alike.
    """
    train = recipe.for_train()
    speed = resources.measure_machine(train.precision)
    num_tokens, free = plan.lengths["splits"]["train"]["tokens"], machine.available_bytes()
    found = []
    for offer in offers():
        known = offer.known
        facts = {
            "num_parameters": round(known.parameters_m * 1e6),
            "hidden": known.hidden,
            "num_layers": known.num_layers,
            "vocabulary": known.vocabulary,
        }
        forecast = resources.forecast_train(
            facts, num_tokens, float(plan.settings["epochs"]), train.trainable.kind, speed
        )
        found.append(
            Suggestion(
                name=known.name,
                model=offer.model,
                languages=known.languages,
                licence=known.licence,
                good_for=known.good_for,
                parameters_m=known.parameters_m,
                max_tokens=known.max_tokens,
                too_long_at_most=_too_long(plan.lengths["splits"]["train"]["quantiles"], known.max_tokens),
                train_s=round(forecast.seconds, 1),
                train_bytes=forecast.peak_bytes,
                size_bytes=4 * facts["num_parameters"],
                fits=forecast.peak_bytes <= free,
                why_not=offer.why_not,
                fetch=offer.fetch,
            )
        )
    return sorted(found, key=lambda one: (one.model is None, one.train_s))


def _too_long(quantiles: Mapping[str, int], max_tokens: int) -> float:
    """An upper bound, from the quantiles that a plan keeps."""
    if not quantiles or quantiles["max"] <= max_tokens:
        return 0.0
    if quantiles["p95"] <= max_tokens:
        return 0.05
    return 0.5 if quantiles["median"] <= max_tokens else 1.0
