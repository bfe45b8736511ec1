"""Successive halving that goes on with paused trials, over settings drawn by TPE or at random.

A search is told what came of each move and decides the next one from that alone: told the same again, it decides the
same again. So a killed search comes back by telling it its journal, and tests tell it made-up values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tunesmith.core.search import Move, Space, Values
from tunesmith.tuning.config import RandomConfig, TpeConfig
from tunesmith.tuning.draw import Sampler, Seen

FIRST = 0
"""The recipe's own settings are the first trial, always trained to their end: a gain is measured by them."""


def halving(
    config: TpeConfig, space: Space, *, trials: int | None, first: Values | None, seed: int, higher_is_better: bool
) -> Search:
    """TPE with successive halving."""
    sampler = Sampler(space, seed=seed, startup=config.startup, higher_is_better=higher_is_better)
    return Search(sampler, factor=config.factor, looks=config.looks, trials=trials, first=first)


def random(
    config: RandomConfig, space: Space, *, trials: int | None, first: Values | None, seed: int, higher_is_better: bool
) -> Search:
    """Random search: every trial is trained to its end."""
    sampler = Sampler(space, seed=seed, startup=None, higher_is_better=higher_is_better)
    return Search(sampler, factor=2, looks=1, trials=trials, first=first)


@dataclass
class _Trial:
    number: int
    settings: Values
    values: list[float] = field(default_factory=list)
    """The best value by each look so far."""
    is_failed: bool = False


class Search:
    """The one implementation of ``Searcher``; a trial at rung ``k`` has been looked at ``k + 1`` times."""

    def __init__(self, sampler: Sampler, *, factor: int, looks: int, trials: int | None, first: Values | None) -> None:
        self.sampler, self.factor, self.most, self.first = sampler, factor, trials, first
        self.shares = tuple(factor ** -float(looks - 1 - rung) for rung in range(looks))
        self.bracket = factor ** (looks - 1)
        """Trials drawn before the best of them go on: their order is known by then, and the next ones learn of it."""
        self.trials: list[_Trial] = []
        self._is_exhausted = False

    def ask(self, *, is_closing: bool = False) -> Move | None:
        """The next move: go on with a trial that earned it, else a new one, else what is still owed."""
        if is_closing:
            return self._owed(at_once=True)
        return self._promoted() or self._new() or self._owed(at_once=False)

    def tell(self, move: Move, value: float | None) -> None:
        """Record the best value a trial has reached, or that it failed."""
        trial = self.trials[move.trial]
        if value is None:
            trial.is_failed = True
            return
        # A closing move passes looks over: the value stands for them too.
        rung = self.shares.index(move.share)
        trial.values += [value] * (rung + 1 - len(trial.values))

    def best(self) -> int | None:
        """The best of the trials trained furthest."""
        known = [one for one in self.trials if one.values and not one.is_failed]
        furthest = max((len(one.values) for one in known), default=0)
        ranked = self._ranked(furthest - 1)
        return ranked[0].number if ranked else None

    def importance(self) -> Mapping[str, float]:
        """How much of the spread after the first look goes back to each key."""
        return self.sampler.importance(self._seen())

    def can_go_on(self, number: int) -> bool:
        """Whether a paused trial may still be asked for: one that enough others beat already is let go."""
        trial = self.trials[number]
        rung = len(trial.values) - 1
        if trial.is_failed or rung == self._last:
            return False
        if self.most is None or number == FIRST or rung < 0:
            return True
        places = int(self.most // self.factor ** (rung + 1))
        return self._ranked(rung).index(trial) < max(1, places)

    @property
    def _last(self) -> int:
        return len(self.shares) - 1

    def _promoted(self) -> Move | None:
        is_drawn = self._is_full()
        if not is_drawn and len(self.trials) % self.bracket:
            return None
        for rung in reversed(range(self._last)):
            ranked = self._ranked(rung)
            for trial in ranked[: len(ranked) // self.factor]:
                if len(trial.values) == rung + 1:
                    return self._move(trial, rung + 1)
        return None

    def _new(self) -> Move | None:
        if self._is_full():
            return None
        number = len(self.trials)
        is_first = number == FIRST and self.first is not None
        settings = self.first if is_first else self.sampler.draw(number, self._seen())
        if settings is None:
            self._is_exhausted = True
            # What was held back until a bracket is whole may go on now.
            return self._promoted()
        self.trials.append(_Trial(number, settings))
        return self._move(self.trials[-1], 0)

    def _owed(self, *, at_once: bool) -> Move | None:
        """What every search ends with: its best trial and the recipe's own settings, trained to their end."""
        for rung in range(self._last):
            ranked = self._ranked(rung)
            if ranked and not any(len(one.values) > rung + 1 for one in ranked):
                leader = self._best_unfinished() if at_once else ranked[0]
                return None if leader is None else self._move(leader, self._last if at_once else rung + 1)
        own = self.trials[FIRST] if self.trials and self.first is not None else None
        if own is not None and not own.is_failed and len(own.values) <= self._last:
            return self._move(own, self._last)
        return None

    def _best_unfinished(self) -> _Trial | None:
        number = self.best()
        return None if number is None else self.trials[number]

    def _is_full(self) -> bool:
        return self._is_exhausted or (self.most is not None and len(self.trials) >= self.most)

    def _ranked(self, rung: int) -> list[_Trial]:
        """The trials that were looked at there, the best first; equals in the order they were drawn."""
        known = [one for one in self.trials if len(one.values) > rung >= 0 and not one.is_failed]
        sign = -1.0 if self.sampler.higher_is_better else 1.0
        return sorted(known, key=lambda one: (sign * one.values[rung], one.number))

    def _seen(self) -> list[Seen]:
        return [Seen(one.settings, one.values, len(one.values) > self._last) for one in self.trials]

    def _move(self, trial: _Trial, rung: int) -> Move:
        return Move(trial.number, trial.settings, self.shares[rung])
