"""The select stage: ranks pinned models on the training rows, and hands on the one that is chosen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import DataError
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.metrics import table
from tunesmith.selection import resources
from tunesmith.selection.choose import Candidate, choose
from tunesmith.selection.config import SelectConfig
from tunesmith.selection.probe import folds, probe

MOST_ROWS = 5_000
"""Training rows a probe is fitted on; of a larger data set so many are drawn."""
FEWEST_ROWS = 10
ANY_MACHINE = resources.Machine(flops=1.0)
"""Memory does not hang on the machine's speed."""


class Select:
    """Ranks candidates by a linear probe, cross-validated on training rows: no validation or test row is read."""

    makes: ClassVar[Mapping[str, str]] = {"base": "base", "activations": "activations", "ranking": "ranking"}

    def __init__(self, config: SelectConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the chosen base, of its activations and of the ranking."""
        places, targets = self._rows(given["splits"], context.seed)
        fold_of = folds(targets, self.config.task, context.seed)
        candidates, penalties = [], []
        for number, name in enumerate(self.config.models, 1):
            context.check_cancelled()
            context.progress(number - 1, len(self.config.models), "models", name)
            base, activations = given[f"base:{number}"], given[f"activations:{number}"]
            probed = probe(_features(activations)[places], targets, self.config.task, fold_of)
            candidates.append(Candidate(name, probed.predicted, _operations(base, activations), _size(base)))
            penalties.append(probed.penalty)
        context.progress(len(candidates), len(candidates), "models")
        metric = table.PRIMARY[self.config.task]
        found = choose(candidates, targets, self.config.task, metric, context.seed)
        chosen = found.chosen + 1
        facts = {
            "metric": metric,
            "num_rows": len(targets),
            "num_folds": int(fold_of.max()) + 1,
            "chosen": self.config.models[found.chosen],
            "reason": found.reason,
            "ranking": [
                {**row, **_cost(given[f"base:{row['candidate'] + 1}"], candidates[row["candidate"]])}
                for row in found.ranking
            ],
            "absent": [dict(one) for one in self.config.absent],
        }
        for name in ("base", "activations"):
            _hand_on(given[f"{name}:{chosen}"], context, name)
        folder = context.out / "ranking"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ranking.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        return {
            "base": dict(given[f"base:{chosen}"].facts),
            "activations": dict(given[f"activations:{chosen}"].facts),
            "ranking": facts,
        }

    def _rows(self, splits: Artifact, seed: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """The training rows that are probed, and their targets."""
        labels = pl.read_parquet(splits.path / "train.parquet", columns=["label"])["label"]
        if len(labels) < FEWEST_ROWS:
            raise DataError(
                "there are too few training rows to tell models apart",
                seen=f"{len(labels)} rows",
                allowed=f"{FEWEST_ROWS} or more",
                next="name one model: `model: embedded`",
            )
        targets = np.asarray(labels.to_list()) if self.config.task == "classify" else labels.to_numpy()
        if targets.ndim != 1:
            raise DataError(
                "models are ranked for one target, and these rows have several",
                next="name one model: `model: embedded`",
            )
        places = np.arange(len(targets))
        if len(targets) > MOST_ROWS:
            places = np.sort(np.random.default_rng(seed).choice(len(targets), MOST_ROWS, replace=False))
        return places, targets[places]


def _features(activations: Artifact) -> NDArray[Any]:
    from safetensors.numpy import load_file

    return np.asarray(load_file(activations.path / "features.safetensors")["train"])


def _hand_on(artifact: Artifact, context: StepContext, name: str) -> None:
    """The same files again: later steps read one base, whatever it was chosen from; the store keeps bytes once."""
    shutil.copytree(artifact.path, context.out / name, dirs_exist_ok=True)


def _operations(base: Artifact, activations: Artifact) -> int:
    """Operations a text takes: two a parameter and token."""
    num_rows = max(1, sum(activations.facts["rows"].values()))
    return int(2 * resources.body_parameters(base.facts) * activations.facts["num_tokens"] // num_rows)


def _size(base: Artifact) -> int:
    return 4 * int(base.facts["num_parameters"])


def _cost(base: Artifact, candidate: Candidate) -> dict[str, Any]:
    """What a model takes, from counts alone: the same on every machine."""
    return {
        "num_parameters": base.facts["num_parameters"],
        "max_tokens": base.facts["max_tokens"],
        "operations": candidate.operations,
        "size_bytes": candidate.size_bytes,
        "training_bytes": resources.forecast_train(base.facts, 0, 0.0, "full", ANY_MACHINE).peak_bytes,
    }
