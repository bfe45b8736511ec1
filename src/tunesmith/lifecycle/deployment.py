"""A reference that is being served: its model opened, answering in batches, replaced when the alias moves.

A move loads the new version beside the old one, turns new questions to it, lets the old one answer what it was asked,
and closes it: no question is dropped. Where the new version cannot be opened, the old one goes on, and says so.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal, Protocol

from tunesmith.core.errors import RecipeError, StoreError, TunesmithError
from tunesmith.engines.batching import Batcher, BatchOptions, Closed
from tunesmith.lifecycle.model import Model, Prediction
from tunesmith.lifecycle.session import Session
from tunesmith.lifecycle.staleness import Stale, Staleness
from tunesmith.store.records import ModelVersion

log = logging.getLogger(__name__)
DRAIN_S = 20.0
"""How long a replaced model may take to answer what it was asked."""
FLUSH_S = 5.0
"""How long what was observed may take to be written at the end."""


NUM_PROBES = 512
"""Rows on which bfloat16 is tried."""
MAX_LANES = 4
"""Parts of one batch at most: of a batch of 32, parts of eight texts."""
WARM_ROWS = 1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 32, 64
"""Rows of the batches that a model answers before it is asked."""
WARM_S = 2.0
"""How long it does so: no larger batch is begun after. Of short texts all of them take half a second; of long ones, or
by a large model, they would take a minute."""


class Answers(Protocol):
    """What a deployment needs of an opened model; ``lifecycle.model.Model`` is one."""

    @property
    def task(self) -> str:
        """classify, tag or regress."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels it knows."""

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


Precision = Literal["float32", "bfloat16"]
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


def resolve_reference(session: Session, reference: str) -> ModelVersion:
    """The version that ``name@alias``, ``name@version`` or ``name`` (the newest) means now.

    Raises: RecipeError for what was not released, StoreError naming the nearest known.
    """
    if reference.startswith("run:"):
        raise RecipeError(
            "a run's model is served once it is released", seen=reference, allowed="name@alias, name@version or name"
        )
    name, _, which = reference.partition("@")
    if not which:
        numbers = [one.version for one in session.ledger.models() if one.name == name]
        which = str(max(numbers, default=1))
    return session.ledger.resolve(name, which)


def deploy(
    session: Session,
    reference: str,
    *,
    batching: BatchOptions | None = None,
    on_batch: Callable[[int], None] = lambda rows: None,
    observe: Callable[[ModelVersion], Observer | None] = lambda version: None,
    precision: Precision = "float32",
) -> Deployment:
    """A released model of the session's project, opened and followed.

    ``precision`` bfloat16: where the model's validation and test rows keep their answers (``engines/precision.py``).
    Raises: RecipeError for a language model, StoreError for what is not on record.
    """

    def open(version: ModelVersion) -> tuple[Answers, Observer | None]:
        from tunesmith.lifecycle.model import open_head

        shared = _share_cores()
        reference = f"{version.name}@{version.version}"
        model: Model = open_head(session, reference)
        probes = _probes(session, reference)
        _quicken(reference, model, probes if precision == "bfloat16" else None, shared)
        warm(model, probes)
        return model, observe(version)

    def resolve() -> ModelVersion:
        return resolve_reference(session, reference)

    return Deployment(
        session.workspace.project,
        reference,
        resolve=resolve,
        open=open,
        batching=batching,
        on_batch=on_batch,
        is_stale=Staleness(session).of,
    )


def _share_cores() -> tuple[int, int]:
    """How many parts of a batch are answered side by side, and by how many threads each; the environment may decide.

    A text that comes alone is computed on all cores but one, which reads and writes requests. Threads of one product
    wait for each other spinning: where one of them has to share its core, all of them lose. On two busy cores an answer
    took 20 times as long with two threads as with one (docs/serving.md). Lanes do not wait for each other.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return 1, 1
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(max(1, cores - 1))
    lanes = min(cores, MAX_LANES)
    return lanes, cores // lanes


def warm(model: Answers, texts: Sequence[str]) -> None:
    """Let a model answer batches of every size before it is asked: the first of a size takes up to twice as long.

    Kernels are made for the numbers of tokens that come, and memory is taken that later batches use again.
    """
    texts, until = texts or ["warm"], time.monotonic() + WARM_S
    for rows in WARM_ROWS:
        model.predict_learned(model.as_learned([texts[at % len(texts)] for at in range(rows)]))
        if time.monotonic() > until:
            return


def _quicken(reference: str, model: Model, probes: Sequence[str] | None, shared: tuple[int, int]) -> None:
    """Let a model answer as fast as it can without other answers, and log what was tried."""
    tried = model.quicken(probes, *shared)
    if tried is None:
        return
    words = "answers in bfloat16" if tried.is_used else "stays in float32"
    log.warning(
        "%s %s: %s of %s rows got another answer, the largest change is %.3g",
        *(reference, words, tried.num_other, tried.num_probes, tried.largest_change),
    )


def _probes(session: Session, reference: str) -> list[str]:
    """Texts that a model did not learn from, as it reads them: of its validation and test rows, where present."""
    import polars as pl

    from tunesmith.lifecycle.reports import splits_of

    try:
        folder = splits_of(session, reference).path
        tables = [pl.scan_parquet(folder / f"{name}.parquet") for name in ("validation", "test")]
        return pl.concat([one.select("text") for one in tables]).head(NUM_PROBES).collect()["text"].to_list()
    except (TunesmithError, OSError, pl.exceptions.PolarsError) as error:
        log.info("%s: its validation and test rows cannot be read, so none is tried: %s", reference, error)
        return []
