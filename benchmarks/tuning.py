"""Tuning: how much compute our search needs to reach what random search ends with, replayed over tables.

``python -m benchmarks.tuning table NAME`` trains every setting of a grid once, with the product's own loop, and writes
the validation score after each epoch to ``tuning_table_NAME.json``. ``python -m benchmarks.tuning replay`` runs the
product's searchers (``tunesmith.tuning.search``, ask and tell) over the tables with 100 seeds: ``tuning.json``.

Tabulated: a new head on the cached features of the embedded encoder (``trainable: head``), 3,000 training and 1,000
validation rows of banking77's train split drawn with seed 0, 9 epochs, AdamW, seed 0, 64 settings. ``wide``: 16
learning rates from 1e-5 to 1, three a decade, x 4 batches, what somebody writes who does not know the rate. ``narrow``:
8 learning rates from 1e-4 to 0.3 x 4 batches x 2 dropouts; three in four of its settings end within 0.03 of the best,
less than a 95 % interval of 1,000 rows is wide, so that finding the very best of them is luck. Full fine-tuning of 64
settings would take hours on two cores. Compute is counted in epochs. A search's score is the best validation macro F1
of any trial so far; random search's final one is that of its trials, all trained to their end. Another table would give
another ratio.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
from benchmarks.silent import Silent

from tunesmith.core.artifact import Artifact, MadeBy
from tunesmith.core.machine import hardware, versions
from tunesmith.core.search import Choice, Space, Values
from tunesmith.tuning.config import RandomConfig, TpeConfig
from tunesmith.tuning.search import Search, halving, random

HERE = Path(__file__).parent
DATA = HERE.resolve().parents[1] / "shared" / "data" / "banking77"
EPOCHS = 9
SEEDS = 100
NUM_TRAIN, NUM_VALIDATION = 3000, 1000
SPACES: dict[str, Space] = {
    "wide": {
        "train.head_lr": Choice(choice=tuple(float(f"{10 ** (-5 + third / 3):.3g}") for third in range(16))),
        "train.batch": Choice(choice=(16, 32, 64, 128)),
    },
    "narrow": {
        "train.head_lr": Choice(choice=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)),
        "train.batch": Choice(choice=(16, 32, 64, 128)),
        "train.dropout": Choice(choice=(0.1, 0.5)),
    },
}
VETTED = {"train.head_lr": 1e-3, "train.batch": 32, "train.dropout": 0.1}
"""The vetted settings, which lie in both grids."""


def key(settings: Values) -> str:
    """A setting as the table names it."""
    return json.dumps(list(settings.values()))


def grid(space: Space) -> list[dict[str, Any]]:
    """Every setting of a space."""
    found: list[dict[str, Any]] = [{}]
    for name, one in space.items():
        assert isinstance(one, Choice)
        found = [{**before, name: value} for before in found for value in one.choice]
    return found


def artifact(name: str, path: Path, facts: dict[str, Any]) -> Artifact:
    """What an earlier step would have left."""
    return Artifact(name, name, path, facts, MadeBy(name, name, 0))


def inputs(folder: Path) -> dict[str, Artifact]:
    """Base, splits and activations, made by the product's own stages."""
    from tunesmith.selection.config import BaseConfig
    from tunesmith.selection.pin import Base
    from tunesmith.training.config import FeaturesConfig
    from tunesmith.training.features import Features

    rows = (
        pl.read_csv(DATA / "train.csv")
        .rename({"category": "label"}, strict=False)
        .sample(fraction=1.0, shuffle=True, seed=0)
    )
    parts = {"train": rows[:NUM_TRAIN], "validation": rows[NUM_TRAIN : NUM_TRAIN + NUM_VALIDATION], "test": rows[:0]}
    splits = folder / "splits"
    splits.mkdir(parents=True)
    for name, part in parts.items():
        part.select("text", "label").write_parquet(splits / f"{name}.parquet")
    labels = sorted(rows["label"].unique())
    facts = {"task": "classify", "labels": labels, "splits": {name: part.height for name, part in parts.items()}}
    given = {"splits": artifact("splits", splits, facts)}
    context: Any = Silent(folder / "base")
    given["base"] = artifact("base", context.out / "base", Base(BaseConfig()).run({}, context)["base"])
    context = Silent(folder / "features")
    made = Features(FeaturesConfig()).run(given, context)["activations"]
    given["activations"] = artifact("activations", context.out / "activations", made)
    return given


def make_table(space: Space) -> dict[str, Any]:
    """The validation macro F1 after each epoch of every setting."""
    from tunesmith.training.config import TrainConfig
    from tunesmith.training.stage import assemble
    from tunesmith.training.tune_config import overridden

    table: dict[str, list[float]] = {}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = inputs(folder)
        phase = TrainConfig.model_validate({"trainable": "head", "epochs": EPOCHS, "checkpoint_every_s": 1e9})
        for number, settings in enumerate(grid(space)):
            config = overridden(phase, settings, "classify").for_task("classify")
            context: Any = Silent(folder / f"{number}")
            loop = assemble(config, given, context).loop
            state = loop.advance(loop.total_steps)
            table[key(settings)] = [line["validation"]["f1_macro"] for line in state.history if "validation" in line]
            print(f"{number + 1:3d} {key(settings):28s} {max(table[key(settings)]):.4f}", flush=True)
    seconds = round(time.perf_counter() - started)
    return {
        "what": (__doc__ or "").split("Tabulated: ")[1],
        "epochs": EPOCHS,
        "keys": list(space),
        "seconds": seconds,
        "hardware": hardware(),
        "versions": versions(),
        "table": table,
    }


def replay(search: Search, table: dict[str, list[float]], goal: float | None) -> tuple[float, float]:
    """Epochs spent and best score of a search, run to its end or until it reaches a goal (then the epochs to there)."""
    best, epochs = 0.0, 0
    spent: dict[int, int] = {}
    while (move := search.ask()) is not None:
        until = max(1, round(move.share * EPOCHS))
        value = max(table[key(move.settings)][:until])
        search.tell(move, value)
        epochs += until - spent.get(move.trial, 0)
        spent[move.trial] = until
        best = max(best, value)
        if goal is not None and best >= goal:
            break
    return epochs, best


def ratios(space: Space, table: dict[str, list[float]], trials: int, *, knows_vetted: bool) -> dict[str, Any]:
    """For each seed, our epochs to random search's final score as a share of its epochs."""
    found, misses = [], 0
    first = {name: VETTED[name] for name in space} if knows_vetted else None
    for seed in range(SEEDS):
        more: dict[str, Any] = {"seed": seed, "higher_is_better": True}
        epochs, goal = replay(random(RandomConfig(), space, trials=trials, first=None, **more), table, None)
        ours, best = replay(halving(TpeConfig(), space, trials=None, first=first, **more), table, goal)
        misses += best < goal
        found.append(ours / epochs)
    quarters = statistics.quantiles(found, n=4)
    return {
        "random_trials": trials,
        "first_trial": "the vetted settings" if knows_vetted else "drawn at random",
        "median_share": round(statistics.median(found), 3),
        "quartiles": [round(quarters[0], 3), round(quarters[2], 3)],
        "within_a_quarter": sum(one <= 0.25 for one in found),
        "never_reached": misses,
        "seeds": SEEDS,
    }


def main() -> None:
    """Make a table, or replay searches over the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["table", "replay"])
    parser.add_argument("name", nargs="?", choices=list(SPACES), default="wide")
    given = parser.parse_args()
    if given.what == "table":
        made = make_table(SPACES[given.name])
        (HERE / f"tuning_table_{given.name}.json").write_text(json.dumps(made, indent=1) + "\n")
        return
    report: dict[str, Any] = {}
    for name, space in SPACES.items():
        table = json.loads((HERE / f"tuning_table_{name}.json").read_text())["table"]
        scores = sorted((max(row) for row in table.values()), reverse=True)
        results = []
        for trials, knows_vetted in itertools.product((20, 32, 64), (True, False)):
            results.append(ratios(space, table, trials, knows_vetted=knows_vetted))
            print(name, results[-1], flush=True)
        within = sum(one >= scores[0] - 0.03 for one in scores)
        report[name] = {"best": round(scores[0], 4), "settings_within_0.03_of_it": within, "results": results}
    (HERE / "tuning.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
