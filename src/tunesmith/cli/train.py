"""``tunesmith train``: a run that stops after the evaluation."""

from __future__ import annotations

from pathlib import Path

from tunesmith.cli.run import start
from tunesmith.cli.screen import Screen
from tunesmith.cli.verb import Overrides, Recipe, verb


@verb
def train(screen: Screen, recipe: Recipe = Path("recipe.yaml"), set: Overrides = None) -> None:
    """Train and evaluate, and release nothing: run --until evaluate."""
    start(screen, recipe, set or [], "evaluate")
