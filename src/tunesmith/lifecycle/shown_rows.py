"""Training rows as a language model reads them, for people to look at before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from tunesmith.core.errors import RecipeError
from tunesmith.lifecycle.flows import flow_of
from tunesmith.lifecycle.planned import known_when_planning
from tunesmith.lifecycle.runner import Runner
from tunesmith.models.templates.vocabulary import Vocabulary
from tunesmith.recipe.language import LanguageRecipe
from tunesmith.recipe.sections import AnyRecipe
from tunesmith.training.language.rows import Row, TokenRows
from tunesmith.training.rows import SPLITS


@dataclass(frozen=True)
class ShownRow:
    """A token row as text."""

    row_id: str
    source: str
    num_tokens: int
    num_trained: int
    num_cut: int
    pieces: tuple[tuple[str, float], ...]
    """Parts of the text with their weight; 0: only seen."""


@dataclass(frozen=True)
class ShownRows:
    """Rows of one phase of training and split, and what all of them come to."""

    phase: int
    """Counted from 1."""
    split: str
    num_rows: int
    facts: Mapping[str, Any]
    """Facts of the artifact ``tokens``."""
    rows: tuple[ShownRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """The rows as JSON values."""
        return asdict(self)


def show_rows(
    recipe: AnyRecipe, runner: Runner, *, split: str, first: int, number: int, phase: int | None = None
) -> ShownRows:
    """So many rows of a split from a place (counted from 0) on, as the phase reads them; null: the last phase.

    Raises: RecipeError where the recipe makes no token rows, or has no such split or phase.
    """
    if not isinstance(recipe, LanguageRecipe):
        raise RecipeError(
            "rows are shown as a language model reads them, and this task has another kind of model",
            seen=f"task: {recipe.task}",
            next="tunesmith plan RECIPE shows its rows and lengths",
        )
    if split not in SPLITS:
        raise RecipeError("there is no such split", seen=split, allowed=", ".join(SPLITS))
    specs = flow_of(recipe, runner.store).specs
    runner.keys |= runner.keys_of(specs)
    results = runner.run(known_when_planning(specs))
    phases = [made["tokens"] for made in results.values() if "tokens" in made]
    place = len(phases) if phase is None else phase
    if not 1 <= place <= len(phases):
        raise RecipeError("there is no such phase of training", seen=place, allowed=f"1 to {len(phases)}")
    tokens = phases[place - 1]
    vocabulary = Vocabulary.open(results["base"]["base"].path / "files")
    rows = TokenRows(tokens.path, split)
    about = rows.table[first : first + number].to_dicts()
    shown = tuple(
        ShownRow(
            row_id=one["row_id"],
            source=one["source_id"],
            num_tokens=one["num_tokens"],
            num_trained=one["num_trained"],
            num_cut=one["num_cut"],
            pieces=_pieces(row, vocabulary),
        )
        for one, row in zip(about, rows[first : first + number], strict=True)
    )
    return ShownRows(place, split, len(rows), tokens.facts, shown)


def _pieces(row: Row, vocabulary: Vocabulary) -> tuple[tuple[str, float], ...]:
    """Runs of tokens of one weight as text: what the text up to their end has beyond that up to their beginning."""
    found: list[tuple[str, float]] = []
    done, before = 0, ""
    for weight, run in groupby(row["weights"]):
        done += len(list(run))
        text: str = vocabulary.fast.decode(row["tokens"][:done], skip_special_tokens=False)
        found.append((text[len(before) :] if text.startswith(before) else text, weight))
        before = text
    return tuple(found)
