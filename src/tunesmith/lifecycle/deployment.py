"""A reference that is being served: its model opened, answering in batches, replaced when the alias moves.

A move loads the new version beside the old one, turns new questions to it, lets the old one answer what it was asked,
and closes it: no question is dropped. Where the new version cannot be opened, the old one goes on, and says so.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal, Protocol

from tunesmith.core.errors import StoreError, TunesmithError
from tunesmith.engines.batching import Batcher, BatchOptions, Closed
from tunesmith.lifecycle.model import Prediction
from tunesmith.lifecycle.staleness import Stale
from tunesmith.models.manifest import Rejection
from tunesmith.store.records import ModelVersion

log = logging.getLogger(__name__)
DRAIN_S = 20.0
"""How long a replaced model may take to answer what it was asked."""
FLUSH_S = 5.0
"""How long what was observed may take to be written at the end."""


class Answers(Protocol):
    """What a deployment needs of an opened model; ``lifecycle.model.Model`` is one."""

    @property
    def task(self) -> str:
        """classify, tag or regress."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels it knows."""

    @property
    def thresholds(self) -> Mapping[str, float]:
        """``tag``: the probability from which on each label is given; empty for any other task."""

    @property
    def rejection(self) -> Rejection | None:
        """When a text is answered at all; None where every text is."""

    def as_learned(self, texts: Sequence[str]) -> list[str]:
        """The texts as the model reads them."""

    def predict_learned(self, texts: Sequence[str]) -> list[Prediction]:
        """A prediction for each text that ``as_learned`` gave."""

    def close(self) -> None:
        """Free the model's memory."""


@dataclass(frozen=True)
class Answered:
    """One text as the model read it, and the answer."""

    learned: str
    prediction: Prediction


class Observer(Protocol):
    """Who is told what was asked and answered; ``lifecycle.capture`` makes one."""

    def record(
        self,
        texts_as_learned: Sequence[str],
        predictions: Sequence[Prediction],
        latency_ms: float,
        subjects: Sequence[str | None] | None,
        key_id: str | None,
    ) -> list[str | None]:
        """The id of each answer, by which feedback names it; None where it is not kept."""

    def count(self, outcome: Literal["answered", "refused", "failed"], latency_ms: float) -> None:
        """Count a request that got no answer."""

    def flush(self, timeout_s: float = 30.0) -> None:
        """Write what waits.

        Raises: StoreError where that cannot be done in time.
        """


@dataclass
class Served:
    """One version of a model, opened."""

    version: ModelVersion
    model: Answers
    batcher: Batcher[str, Answered]
    observer: Observer | None = None
    since: float = field(default_factory=time.time)

    @property
    def reference(self) -> str:
        """``name@version``: which model answered."""
        return f"{self.version.name}@{self.version.version}"

    def close(self, timeout_s: float = DRAIN_S) -> bool:
        """Answer what waits, write what was observed, free the memory; whether all was answered in time."""
        is_done = self.batcher.close(timeout_s=timeout_s)
        if self.observer is not None:
            try:
                self.observer.flush(FLUSH_S)
            except StoreError as error:
                log.error("%s: what was observed last is lost: %s", self.reference, error.render())
        if is_done:  # else the worker still reads the weights
            self.model.close()
        return is_done


Open = Callable[[ModelVersion], tuple[Answers, Observer | None]]
Resolve = Callable[[], ModelVersion]
IsStale = Callable[[ModelVersion], Stale | None]


class Deployment:
    """A served reference of one project; ``submit`` asks whichever version its alias means now."""

    def __init__(
        self,
        project: str,
        reference: str,
        *,
        resolve: Resolve,
        open: Open,
        batching: BatchOptions | None = None,
        on_batch: Callable[[int], None] = lambda rows: None,
        is_stale: IsStale = lambda version: None,
    ) -> None:
        self.project, self.reference = project, reference
        self.problem: TunesmithError | None = None
        """Why the version that the alias means is not the one that answers; None where it is."""
        self.num_swaps = 0
        self._resolve, self._open, self._batching, self._on_batch = resolve, open, batching, on_batch
        self._is_stale = is_stale
        self._refused: str | None = None
        self._current = self._opened(resolve())
        self.stale = is_stale(self._current.version)
        """Why the version that answers is to be trained again; None where it is not. As last asked."""

    @property
    def current(self) -> Served:
        """The version that answers now."""
        return self._current

    def submit(self, texts: Sequence[str]) -> tuple[Served, Future[list[Answered]]]:
        """The version that answers, and the promise of its answers.

        Raises: QueueFull; Closed where the deployment is closed.
        """
        while True:
            served = self._current
            try:
                return served, served.batcher.submit(texts)
            except Closed:
                if served is self._current:
                    raise

    def refresh(self) -> bool:
        """Serve what the alias means now; whether that is another version than before.

        Raises: StoreError where the ledger cannot be asked.
        """
        is_another = self._follow(self._resolve())
        self.stale = self._is_stale(self._current.version)
        return is_another

    def _follow(self, wanted: ModelVersion) -> bool:
        old = self._current
        if wanted.digest == old.version.digest and wanted.version == old.version.version:
            self.problem = self._refused = None
            return False
        if wanted.digest == self._refused:
            return False
        try:
            new = self._opened(wanted)
        except Exception as error:
            self._refused = wanted.digest
            told = error if isinstance(error, TunesmithError) else StoreError("it cannot be opened", seen=error)
            self.problem = told
            log.error("%s stays at version %s: %s", self.reference, old.version.version, told.what, exc_info=error)
            return False
        self._current = new
        self.problem = self._refused = None
        self.num_swaps += 1
        log.info("%s is version %s now", self.reference, wanted.version)
        threading.Thread(target=old.close, name="drain", daemon=True).start()
        return True

    def close(self, timeout_s: float = DRAIN_S) -> bool:
        """Answer what waits and free the memory; whether all was answered in time."""
        return self._current.close(timeout_s)

    def _opened(self, version: ModelVersion) -> Served:
        model, observer = self._open(version)

        def answer(texts: Sequence[str]) -> list[Answered]:
            learned = model.as_learned(texts)
            return [Answered(*one) for one in zip(learned, model.predict_learned(learned), strict=True)]

        batcher = Batcher(answer, self._batching, weight=len, observe=self._on_batch)
        return Served(version, model, batcher, observer)


class Deployments:
    """All that one process serves, watched for moved aliases."""

    def __init__(self, deployments: Sequence[Deployment], *, poll_s: float = 0.5, clock: Callable[[], float]) -> None:
        self._by_project: dict[str, dict[str, Deployment]] = {}
        for one in deployments:
            self._by_project.setdefault(one.project, {})[one.reference] = one
        self._poll_s, self._clock = poll_s, clock
        self._asked_at = clock()
        self._problem: str | None = None
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None

    def of(self, project: str) -> Mapping[str, Deployment]:
        """What is served of a project, by reference."""
        return self._by_project.get(project, {})

    @property
    def all(self) -> list[Deployment]:
        """Everything that is served."""
        return [one for served in self._by_project.values() for one in served.values()]

    @property
    def problem(self) -> str | None:
        """Why the ledger counts as out of reach; None where it has answered lately."""
        if self._problem is not None:
            return self._problem
        silent_s = self._clock() - self._asked_at
        return f"no answer for {silent_s:.1f} s" if self._watcher and silent_s > 3 * self._poll_s else None

    def watch(self, check: Callable[[], None] = lambda: None) -> None:
        """Look for moved aliases until ``close``; ``check`` raises where the ledger is out of reach."""
        self._asked_at = self._clock()
        # Opening a model takes seconds; asking must not wait for it, or the ledger would look silent.
        self._watcher = threading.Thread(target=self._poll, args=(check,), name="ledger watch", daemon=True)
        self._watcher.start()
        threading.Thread(target=self._follow, name="alias watch", daemon=True).start()

    def close(self, timeout_s: float = DRAIN_S) -> bool:
        """Stop watching, answer what waits; whether all was answered in time."""
        self._stop.set()
        until = time.monotonic() + timeout_s
        ended = [one.close(max(0.1, until - time.monotonic())) for one in self.all]
        return all(ended)

    def _poll(self, check: Callable[[], None]) -> None:
        while not self._stop.wait(self._poll_s):
            try:
                check()
            except Exception as error:
                if self._problem is None:
                    log.error("the ledger is out of reach: %s", error)
                self._problem = "the ledger is out of reach"
            else:
                if self._problem is not None:
                    log.info("the ledger is back")
                self._problem, self._asked_at = None, self._clock()

    def _follow(self) -> None:
        while not self._stop.wait(self._poll_s):
            for one in self.all:
                try:
                    one.refresh()
                except StoreError as error:
                    # Out of reach, or the alias was taken away: what was served is served on.
                    one.problem = error
                except Exception as error:
                    log.exception("%s could not be refreshed", one.reference)
                    one.problem = StoreError("it could not be refreshed", seen=type(error).__name__)
