"""One trial of a search: a phase that is trained to a look, put aside, and taken up again as if never paused."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tunesmith.core.artifact import Artifact
from tunesmith.core.config import Config
from tunesmith.core.errors import StepError
from tunesmith.core.method import HasScores
from tunesmith.core.source import Source
from tunesmith.core.stage import Given, StepContext
from tunesmith.training.config import TrainStageConfig
from tunesmith.training.loop import Loop
from tunesmith.training.stage import assemble
from tunesmith.training.step import NoMemory
from tunesmith.training.validation import answers

OUTPUTS = "outputs.npy"
Follow = Callable[[float, float], None]
"""Told the optimizer step a trial is at, and how many it has in all."""


@dataclass(frozen=True)
class Outcome:
    """What came of training a trial to a look."""

    value: float | None
    """The best watched value so far; None where the trial failed."""
    epochs: float
    """Passes over the training rows made in this move."""
    seconds: float
    why: str | None = None
    """Why it failed."""


class TrialContext:
    """A trial's view of the step's context: a scratch folder of its own, and silence."""

    def __init__(self, outer: StepContext, folder: Path, follow: Follow) -> None:
        self.seed, self.project = outer.seed, outer.project
        self.out, self.scratch = folder / "out", folder
        self._outer, self._follow = outer, follow

    def progress(self, done: float, total: float, unit: str, note: str = "") -> None:
        """Tell the search how far the trial is."""
        self._follow(done, total)

    def metric(self, step: int, **values: float) -> None:
        """A trial's curve is not the run's."""

    def warn(self, message: str) -> None:
        """What a trial warns of is told once, when the chosen settings are trained."""

    def check_cancelled(self) -> None:
        """Raise ``Interrupted`` once somebody asked the step to stop; the loop saves the trial first."""
        self._outer.check_cancelled()

    def source(self, config: Config) -> Source:
        """As the step's own context."""
        return self._outer.source(config)

    def subject_key(self) -> bytes:
        """As the step's own context."""
        return self._outer.subject_key()

    def step(self, kind: str, config: Config, given: Given) -> Mapping[str, Artifact]:
        """As the step's own context."""
        return self._outer.step(kind, config, given)


def train_to(
    config: TrainStageConfig,
    since: float,
    share: float,
    given: Given,
    folder: Path,
    context: StepContext,
    follow: Follow,
) -> Outcome:
    """Train a trial from one look, 0 for a new one, to the next; its checkpoint lies in ``folder``.

    Schedules run over the whole length however often it is paused. A loss that is not finite, or memory that runs
    out, ends the trial and not the search.
    """
    started = time.monotonic()
    try:
        loop = assemble(config, given, TrialContext(context, folder, follow)).loop
        before = look_at(loop, since) if since else 0
        state = loop.advance(look_at(loop, share))
        epochs = max(0, state.step - before) / loop.steps_per_epoch
        if share < 1.0:
            loop.pause()
        else:
            _finish(loop, folder)
    except (StepError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error).lower():
            raise
        shutil.rmtree(folder, ignore_errors=True)
        return Outcome(None, 0.0, time.monotonic() - started, _words(error))
    why = None if state.best_value is not None else "no validation gave a finite value"
    return Outcome(state.best_value, epochs, time.monotonic() - started, why)


def look_at(loop: Loop, share: float) -> int:
    """The optimizer step of a look: the validation nearest to that share of the training, the first at least."""
    if share >= 1.0:
        return loop.total_steps
    nearest = round(share * loop.total_steps / loop.validate_steps) * loop.validate_steps
    return min(loop.total_steps, max(loop.validate_steps, nearest))


def difference(
    loop: Loop, metric: str, ours: Path, theirs: Path, samples: int, seed: int
) -> tuple[float, float] | None:
    """The 95 % interval of what one trial's metric has over another's on the same rows, by paired bootstrap.

    None where the metric is not computed from the rows' answers, or has no value on resampled rows.
    """
    method, rows = loop.method, loop.validation_rows
    if not isinstance(method, HasScores) or not (ours / OUTPUTS).is_file() or not (theirs / OUTPUTS).is_file():
        return None
    a, b = (np.load(folder / OUTPUTS, allow_pickle=False) for folder in (ours, theirs))
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(samples):
        places = rng.integers(len(rows), size=len(rows))
        drawn = [rows[place] for place in places]
        first, second = method.scores(a[places], drawn), method.scores(b[places], drawn)
        if metric not in first:
            return None
        found.append(first[metric] - second[metric])
    if not np.isfinite(found).all():
        return None
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def _finish(loop: Loop, folder: Path) -> None:
    """Keep the best weights' answers on the validation rows, and let the checkpoints go."""
    loop.take_best()
    _, outputs = answers(loop.method, loop.networks, loop.validation_rows, loop.settings.budget_tokens)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    if outputs is not None:
        np.save(folder / OUTPUTS, outputs, allow_pickle=False)


def _words(error: Exception) -> str:
    if isinstance(error, StepError) and not isinstance(error, NoMemory):
        return f"{error.what} ({error.seen})" if error.seen else error.what
    return "memory ran out"
