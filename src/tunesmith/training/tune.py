"""The tune stage: carries out a search's moves in one process, and says what came of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from tunesmith.core import wiring
from tunesmith.core.errors import DataError, Interrupted, RecipeError, StepError
from tunesmith.core.search import Move, Searcher
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.store.files import write_json
from tunesmith.training.config import TrainStageConfig
from tunesmith.training.findings import OWN, findings
from tunesmith.training.journal import Journal
from tunesmith.training.loop import Loop
from tunesmith.training.stage import assemble
from tunesmith.training.trial import Follow, Outcome, TrialContext, difference, train_to
from tunesmith.training.tune_config import SECTION, TuneStageConfig, overridden, own_settings

SAMPLES = 400
"""Resamples behind the interval of the gain."""
STEPS_TO_JUDGE = 5
"""Optimizer steps after which the first trial's length is known well enough to hold it against the budget."""


class Tune:
    """Searches for settings on the validation rows; test rows are never read."""

    makes: ClassVar[Mapping[str, str]] = {"settings": "settings"}

    def __init__(self, config: TuneStageConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the chosen settings: every trial, the curve, and the gain over the recipe's own."""
        if not given["splits"].facts["splits"]["validation"]:
            raise DataError(
                "tuning looks at validation rows, and there are none",
                next="write `data: {split: {validation: 0.1}}`, or leave `tune` out",
            )
        return {"settings": Study(self.config, given, context).run()}


class Study:
    """One search, from its journal where it was stopped before."""

    def __init__(self, config: TuneStageConfig, given: Given, context: StepContext) -> None:
        self.config, self.given, self.context = config, given, context
        self.own = self._own_settings()
        self.probe: Loop = assemble(self._phase(self.own), given, self._quiet()).loop
        self.watch = self.probe.settings.watch
        wire = wiring.wire("searcher", config.searcher.kind)
        self.search: Searcher = wiring.load(wire.make)(
            config.searcher,
            config.space,
            trials=config.trials,
            first=self.own,
            seed=context.seed,
            higher_is_better=self.watch.higher_is_better,
        )
        self.journal = Journal(context.scratch / "journal.jsonl")
        self.moves: list[tuple[Move, Outcome]] = []
        self.is_closing = any(told.is_closing for told in self.journal.told())

    def run(self) -> Facts:
        """Carry out every move the search asks for and the budget allows, then say what came of it."""
        for told in self.journal.told():
            move = self.search.ask(is_closing=told.is_closing)
            assert move is not None and (move.trial, move.share) == (told.trial, told.share), (
                "a search follows its past"
            )
            self._took(move, told.outcome)
        while (asked := self._next()) is not None:
            move, is_closing = asked
            self._took(move, self._carry_out(move, is_closing))
        best = self.search.best()
        if best is None:
            why = next((outcome.why for _, outcome in self.moves if outcome.why), "no trial was run")
            raise StepError(
                "every trial failed", seen=why, next="narrow `tune.space`: lower learning rates, smaller batches"
            )
        return self._write(best)

    def _next(self) -> tuple[Move, bool] | None:
        """The next move, and whether the search is closing: towards the budget's end only the best trial goes on."""
        if not self.is_closing:
            move = self.search.ask()
            if move is None or self._fits(move):
                return None if move is None else (move, False)
            self.is_closing = True
        move = self.search.ask(is_closing=True)
        is_due = move is not None and (move.trial == self.search.best() or self._fits(move))
        return (move, True) if move is not None and is_due else None

    def _fits(self, move: Move) -> bool:
        """Whether the budget holds a move and, after it, the rest of the best trial."""
        if self.config.budget_s is None or not self.moves:
            return True
        best, whole_s = self.search.best(), self._whole_seconds()
        rest = 0.0 if best in (None, move.trial) else 1.0 - self._share(best)
        return (move.share - self._share(move.trial) + rest) * whole_s <= self.config.budget_s - self.journal.spent_s()

    def _whole_seconds(self) -> float:
        """What a trial takes from its start to its end, by those so far."""
        seconds: dict[int, float] = {}
        for move, outcome in self.moves:
            seconds[move.trial] = seconds.get(move.trial, 0.0) + outcome.seconds
        shares = {number: self._share(number) for number in seconds}
        known = [seconds[number] / share for number, share in shares.items() if share > 0]
        return sum(known) / len(known) if known else 0.0

    def _share(self, number: int | None) -> float:
        """How much of its training a trial has had."""
        return max((move.share for move, outcome in self.moves if move.trial == number), default=0.0)

    def _carry_out(self, move: Move, is_closing: bool) -> Outcome:
        if self.journal.num_started() >= self.journal.MOST_STARTS:
            why = f"its process died {self.journal.MOST_STARTS} times, most likely because memory ran out"
            outcome = Outcome(None, 0.0, 0.0, why)
        else:
            self.journal.start(move)
            try:
                phase = self._phase(move.settings)
                since, folder = self._share(move.trial), self._folder(move.trial)
                outcome = train_to(phase, since, move.share, self.given, folder, self.context, self._follower(move))
            except Interrupted:
                self.journal.interrupted()
                raise
        self.journal.tell(move, is_closing, outcome)
        if outcome.why:
            self.context.warn(f"trial {move.trial} failed and was left: {outcome.why}")
        return outcome

    def _took(self, move: Move, outcome: Outcome) -> None:
        self.search.tell(move, outcome.value)
        self.moves.append((move, outcome))
        for number in {one.trial for one, _ in self.moves}:
            if self._share(number) < 1.0 and not self.search.can_go_on(number):
                shutil.rmtree(self._folder(number), ignore_errors=True)

    def _follower(self, move: Move) -> Follow:
        """What follows a trial step by step: progress, and whether the budget can hold one trial at all."""
        is_first = not self.moves
        num_done = len({one.trial for one, _ in self.moves} - {move.trial})
        began: tuple[float, float] | None = None

        def follow(step: float, total: float) -> None:
            nonlocal began
            running_s = self.journal.running_s()
            began = began or (step, running_s)
            note = f"trial {num_done + 1} · {100 * step / total:.0f} % of its training"
            if self.config.trials is not None:
                self.context.progress(num_done + step / total, self.config.trials, "trials", note)
            elif self.config.budget_s is not None:
                spent_s = min(self.journal.spent_s() + running_s, self.config.budget_s)
                self.context.progress(spent_s, self.config.budget_s, "s", note)
            # What came before the first step, opening the model, is no part of the training's pace.
            if is_first and step - began[0] >= STEPS_TO_JUDGE:
                self._hold_against_budget((running_s - began[1]) / (step - began[0]) * total)

        return follow

    def _hold_against_budget(self, needed_s: float) -> None:
        budget_s = self.config.budget_s
        if budget_s is not None and needed_s > budget_s:
            raise RecipeError(
                "`tune.budget` does not last for a single trial",
                seen=f"{budget_s:g} s; one trial takes about {needed_s:.0f} s here",
                next=f"give it {max(1, round(needed_s * 8 / 60))}m or more, or fewer `train.epochs`",
            )

    def _phase(self, settings: Mapping[str, Any]) -> TrainStageConfig:
        config = self.config
        return overridden(config.train, settings, config.task).for_task(config.task, config.decision)

    def _own_settings(self) -> dict[str, Any]:
        found = own_settings(self.config.train, self.config.task, self.config.space)
        epochs = f"{SECTION}.epochs"
        if epochs in found and found[epochs] is None:
            num_rows = int(self.given["splits"].facts["splits"]["train"])
            found[epochs] = self.config.train.for_task(self.config.task).num_epochs(num_rows)
        return found

    def _folder(self, number: int) -> Path:
        return self.context.scratch / "trials" / f"{number:05d}"

    def _quiet(self) -> StepContext:
        return TrialContext(self.context, self.context.scratch / "probe", lambda done, total: None)

    def _write(self, best: int) -> Facts:
        settings = next(move.settings for move, _ in self.moves if move.trial == best)
        gain = None
        if best != OWN:
            gain = difference(
                self.probe, self.watch.metric, self._folder(best), self._folder(OWN), SAMPLES, self.context.seed
            )
        facts = {
            "searcher": self.config.searcher.kind,
            "metric": self.watch.metric,
            "higher_is_better": self.watch.higher_is_better,
            "space": {key: one.model_dump(mode="json") for key, one in self.config.space.items()},
            "own": self.own,
            "settings": dict(settings),
            "importance": dict(self.search.importance()),
            "ended": "the budget was used up" if self.is_closing else "every trial was done",
            "num_validation_rows": len(self.probe.validation_rows),
            **findings(self.moves, best, self.watch.higher_is_better, gain),
        }
        folder = self.context.out / "settings"
        folder.mkdir(parents=True, exist_ok=True)
        train = self._phase(settings).model_dump(mode="json")
        write_json(folder / "settings.json", {"settings": dict(settings), "train": train})
        lines = [json.dumps(_line(move, outcome), sort_keys=True) + "\n" for move, outcome in self.moves]
        (folder / "moves.jsonl").write_text("".join(lines), encoding="utf-8")
        return facts


def _line(move: Move, outcome: Outcome) -> dict[str, Any]:
    """A move without its time: equal searches leave equal bytes."""
    return asdict(move) | {"value": outcome.value, "epochs": outcome.epochs, "why": outcome.why}
