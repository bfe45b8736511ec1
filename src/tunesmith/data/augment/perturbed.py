"""Texts as people really send them, from the same perturbations that robustness is measured with."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import polars as pl

from tunesmith.data.augment.config import PerturbConfig
from tunesmith.texts.perturb import perturb


class Perturbed:
    """Rows with a perturbed text."""

    def __init__(self, config: PerturbConfig) -> None:
        self.config = config

    def fit(self, train: pl.DataFrame) -> None:
        """Nothing is learned from the training rows."""

    def changed(self, row: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
        """The columns that change."""
        return {"text": perturb(self.config.kind, row["text"], rng, self.config.strength)}
