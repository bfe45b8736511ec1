"""Draws settings from a space: at random, or near those that did well."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.core import digests
from tunesmith.core.search import Choice, Range, Space, Values

TRIES = 20
"""Draws in which a searcher may come upon settings that were tried already; of so few left one is drawn at random."""
LISTED = 20_000
"""Combinations up to which a space's rest is listed."""


@dataclass(frozen=True)
class Seen:
    """A trial as the sampler sees it."""

    settings: Values
    values: Sequence[float]
    """The best value by each look; empty for a trial that failed."""
    is_complete: bool


class Sampler:
    """New settings, never the same twice; the draw of a trial follows from seed and number alone."""

    def __init__(self, space: Space, *, seed: int, startup: int | None, higher_is_better: bool) -> None:
        self.space, self.seed, self.startup = dict(space), seed, startup
        self.higher_is_better = higher_is_better

    def draw(self, number: int, seen: Sequence[Seen]) -> dict[str, Any] | None:
        """The settings of trial ``number``; None where a finite space has no others left."""
        known = {digests.canonical(dict(one.settings)) for one in seen}
        rest = self._rest(known)
        if rest is not None and len(rest) <= TRIES:
            return random.Random(self._seed(number)).choice(rest) if rest else None
        once = self._at_random(number) if self.startup is None or len(seen) < self.startup else self._near(number, seen)
        for _ in range(TRIES):
            settings = once()
            if digests.canonical(settings) not in known:
                return settings
        return random.Random(self._seed(number)).choice(rest) if rest else None

    def _at_random(self, number: int) -> Callable[[], dict[str, Any]]:
        rng = random.Random(self._seed(number))
        return lambda: {key: _at_random(one, rng) for key, one in self.space.items()}

    def _near(self, number: int, seen: Sequence[Seen]) -> Callable[[], dict[str, Any]]:
        study = self._study(self._seed(number), seen)
        distributions = {key: _distribution(one) for key, one in self.space.items()}

        def once() -> dict[str, Any]:
            asked = study.ask(distributions)
            return {key: _value(one, asked.params[key]) for key, one in self.space.items()}

        return once

    def _study(self, seed: int, seen: Sequence[Seen]) -> Any:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=0, multivariate=True, constant_liar=False)
        study = optuna.create_study(sampler=sampler, direction="maximize" if self.higher_is_better else "minimize")
        study.add_trials([self._frozen(one) for one in seen if self._holds(one.settings)])
        return study

    def _frozen(self, one: Seen) -> Any:
        """A trial in Optuna's form: a paused one counts by its last look, below those that went on."""
        import optuna

        is_complete = one.is_complete and bool(one.values)
        return optuna.trial.create_trial(
            state=optuna.trial.TrialState.COMPLETE if is_complete else optuna.trial.TrialState.PRUNED,
            value=one.values[-1] if is_complete else None,
            params={key: _parameter(dimension, one.settings[key]) for key, dimension in self.space.items()},
            distributions={key: _distribution(dimension) for key, dimension in self.space.items()},
            intermediate_values={} if is_complete else dict(enumerate(one.values)),
        )

    def importance(self, seen: Sequence[Seen]) -> dict[str, float]:
        """The share of the first looks' spread that goes back to each key (PED-ANOVA, Watanabe et al. 2023)."""
        import optuna

        known = [Seen(one.settings, one.values[:1], True) for one in seen if one.values and self._holds(one.settings)]
        if len(known) < FEWEST_TO_WEIGH or len({one.values[0] for one in known}) < 2:
            return {}
        study = self._study(self.seed, known)
        found = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
        )
        total = sum(found.values())
        return {key: value / total for key, value in found.items()} if total > 0 else {}

    def _holds(self, settings: Values) -> bool:
        """Whether settings lie in the space: the recipe's own may not, and then they teach the sampler nothing."""
        return all(key in settings and _inside(one, settings[key]) for key, one in self.space.items())

    def _rest(self, known: set[bytes]) -> list[dict[str, Any]] | None:
        """The settings of a finite space that were not tried; None for one that cannot be listed."""
        axes = [_values(one) for one in self.space.values()]
        if any(one is None for one in axes) or math.prod(len(one or ()) for one in axes) > LISTED:
            return None
        combined = itertools.product(*(one or () for one in axes))
        every = (dict(zip(self.space, values, strict=True)) for values in combined)
        return [one for one in every if digests.canonical(one) not in known]

    def _seed(self, number: int) -> int:
        return int(digests.of_value([self.seed, number])[:8], 16)


FEWEST_TO_WEIGH = 8
"""Trials from which the importance of settings is told."""


def _at_random(dimension: Range | Choice, rng: random.Random) -> Any:
    if isinstance(dimension, Choice):
        return dimension.choice[rng.randrange(len(dimension.choice))]
    low, high = dimension.low, dimension.high
    if dimension.whole:
        if dimension.log:
            return min(int(high), int(math.exp(rng.uniform(math.log(low), math.log(high + 1)))))
        return rng.randint(int(low), int(high))
    if dimension.log:
        return min(high, max(low, math.exp(rng.uniform(math.log(low), math.log(high)))))
    return rng.uniform(low, high)


def _distribution(dimension: Range | Choice) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(dimension, Choice):
        last = len(dimension.choice) - 1
        return IntDistribution(0, last) if dimension.is_ordered else CategoricalDistribution(tuple(range(last + 1)))
    if dimension.whole:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(float(dimension.low), float(dimension.high), log=dimension.log)


def _ordered(dimension: Choice) -> tuple[Any, ...]:
    return tuple(sorted(dimension.choice)) if dimension.is_ordered else dimension.choice


def _value(dimension: Range | Choice, parameter: Any) -> Any:
    """The setting that a parameter of Optuna's stands for; one of a choice is known by its place."""
    return _ordered(dimension)[parameter] if isinstance(dimension, Choice) else parameter


def _parameter(dimension: Range | Choice, value: Any) -> Any:
    return _ordered(dimension).index(value) if isinstance(dimension, Choice) else value


def _inside(dimension: Range | Choice, value: Any) -> bool:
    if isinstance(dimension, Choice):
        return value in dimension.choice
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and dimension.low <= value <= dimension.high and (not dimension.whole or isinstance(value, int))


def _values(dimension: Range | Choice) -> Sequence[Any] | None:
    """Every value of a finite dimension."""
    if isinstance(dimension, Choice):
        return dimension.choice
    return range(int(dimension.low), int(dimension.high) + 1) if dimension.whole else None
