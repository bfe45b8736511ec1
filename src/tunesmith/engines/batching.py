"""Dynamic batching: rows of many requests are answered together, by one worker, each request in its own order.

The worker is the only thread that touches the model, so whatever else needs the model to itself (an explanation puts
hooks into the network) goes through ``call`` and waits for its turn.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from tunesmith.core.errors import StepError, TunesmithError
from tunesmith.numerics.batching import microbatches

Row = TypeVar("Row")
Reply = TypeVar("Reply")
Result = TypeVar("Result")


class QueueFull(TunesmithError):
    """More rows wait than may; the asker is to come again."""


class Closed(TunesmithError):
    """The batcher takes no more work: its model was replaced, or the process ends."""


@dataclass(frozen=True)
class BatchOptions:
    """How rows of several requests are put together."""

    max_rows: int = 64
    """Rows answered together at most; 1: batching off."""
    max_weight: int = 65_536
    """Padded characters that are given to the model at once at most, for its memory's sake; a batch is sorted by length
    and cut at this. Where passes are best cut for speed, the engine knows (``engines/quick.py``)."""
    max_wait_ms: float = 4.0
    """How long an idle worker waits at most for those it has just answered to ask again; a client that is alone never
    waits."""
    max_queued_rows: int = 4096
    """Rows that may wait; more are refused."""


class _Asked(Generic[Row, Reply]):
    """One request: its rows, the answers so far, and the promise of the rest."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows, self.promise = rows, Future[list[Reply]]()
        self.answers: dict[int, Reply] = {}
        self.num_taken = 0

    def take(self, place: int, answer: Reply) -> None:
        """Keep an answer; the last one fulfils the promise unless it was cancelled."""
        self.answers[place] = answer
        if len(self.answers) == len(self.rows) and self.promise.set_running_or_notify_cancel():
            self.promise.set_result([self.answers[at] for at in range(len(self.rows))])

    def fail(self, error: BaseException) -> None:
        """End with an error, unless it was cancelled or has failed already."""
        if not self.promise.done() and self.promise.set_running_or_notify_cancel():
            self.promise.set_exception(error)


class _Alone:
    """Work that needs the model to itself."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work, self.promise = work, Future[Any]()

    def run(self) -> None:
        """Do it, unless it was cancelled."""
        if self.promise.set_running_or_notify_cancel():
            try:
                self.promise.set_result(self.work())
            except BaseException as error:
                self.promise.set_exception(error)


class Batcher(Generic[Row, Reply]):
    """Answers requests in batches; ``submit`` may be called from any thread, ``answer`` runs in one."""

    def __init__(
        self,
        answer: Callable[[Sequence[Row]], Sequence[Reply]],
        options: BatchOptions | None = None,
        *,
        weight: Callable[[Row], int] = lambda row: 1,
        observe: Callable[[int], None] = lambda rows: None,
    ) -> None:
        """``weight``: how long a row is, for sorting; ``observe`` is told the rows of each batch."""
        self._answer, self._options = answer, options or BatchOptions()
        self._weight, self._observe = weight, observe
        self._queue: deque[_Asked[Row, Reply] | _Alone] = deque()
        self._num_queued = 0
        self._had_company = False
        self._num_expected = 0
        self._is_closed = False
        self._changed = threading.Condition()
        self._worker = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._worker.start()

    @property
    def num_queued(self) -> int:
        """Rows that wait for their batch."""
        return self._num_queued

    def submit(self, rows: Sequence[Row]) -> Future[list[Reply]]:
        """The promise of an answer to each row, in their order; cancelling it takes the rows out of the queue.

        Raises: QueueFull, Closed.
        """
        asked: _Asked[Row, Reply] = _Asked(list(rows))
        if not asked.rows:
            asked.promise.set_result([])
            return asked.promise
        with self._changed:
            self._check_open()
            if self._num_queued + len(asked.rows) > self._options.max_queued_rows:
                self._drop_cancelled()
            if self._num_queued + len(asked.rows) > self._options.max_queued_rows:
                raise QueueFull(
                    "too many texts are waiting",
                    seen=f"{self._num_queued} waiting, {len(asked.rows)} more",
                    allowed=self._options.max_queued_rows,
                    next="ask again in a second, or with fewer texts",
                )
            self._queue.append(asked)
            self._num_queued += len(asked.rows)
            self._changed.notify()
        return asked.promise

    def call(self, work: Callable[[], Result]) -> Future[Result]:
        """The promise of what ``work`` returns, run between two batches with nothing beside it.

        Raises: Closed.
        """
        alone = _Alone(work)
        with self._changed:
            self._check_open()
            self._queue.append(alone)
            self._changed.notify()
        return cast("Future[Result]", alone.promise)

    def close(self, *, timeout_s: float | None = None) -> bool:
        """Take no more, answer what waits, end the worker; whether it ended in time."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._worker.join(timeout_s)
        return not self._worker.is_alive()

    def _check_open(self) -> None:
        if self._is_closed:
            raise Closed("this model takes no more questions", next="ask again")

    def _drop_cancelled(self) -> None:
        kept = deque(one for one in self._queue if not one.promise.cancelled())
        self._queue = kept
        self._num_queued = sum(len(one.rows) - one.num_taken for one in kept if isinstance(one, _Asked))

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._is_closed:
                    self._changed.wait()
                if not self._queue:
                    return
                first = self._queue[0]
                if isinstance(first, _Alone):
                    self._queue.popleft()
                    batch = []
                else:
                    self._wait_for_company()
                    batch = self._gather()
            if isinstance(first, _Alone):
                first.run()
            elif batch:
                self._run(batch)

    def _wait_for_company(self) -> None:
        """Wait for others, where the last batch had some; the lock is held, and let go while waiting.

        Once all are there that were answered last or waited then, nobody else is likely to come: with 32 clients who
        ask again and again, waiting on took a tenth of the time.
        """
        if not self._had_company or self._options.max_rows == 1:
            return
        until = time.monotonic() + self._options.max_wait_ms / 1000
        wanted = min(self._num_expected, self._options.max_rows)
        while self._num_queued < wanted and not self._is_closed:
            left = until - time.monotonic()
            if left <= 0 or not self._changed.wait(left):
                return

    def _gather(self) -> list[tuple[_Asked[Row, Reply], int]]:
        batch: list[tuple[_Asked[Row, Reply], int]] = []
        num_requests = 0
        while self._queue and len(batch) < self._options.max_rows:
            asked = self._queue[0]
            if isinstance(asked, _Alone):
                break
            left = len(asked.rows) - asked.num_taken
            if asked.promise.done():  # cancelled, or an earlier part of it failed
                self._queue.popleft()
                self._num_queued -= left
                continue
            number = min(left, self._options.max_rows - len(batch))
            batch += [(asked, asked.num_taken + at) for at in range(number)]
            asked.num_taken += number
            self._num_queued -= number
            num_requests += 1
            if number == left:
                self._queue.popleft()
        # Whoever still waits, or shares the batch, is company: the next batch is worth a moment of waiting.
        self._had_company = num_requests > 1 or bool(self._queue)
        return batch

    def _run(self, batch: list[tuple[_Asked[Row, Reply], int]]) -> None:
        weights = [max(1, self._weight(asked.rows[place])) for asked, place in batch]
        for part in reversed(microbatches(range(len(batch)), weights, self._options.max_weight)):
            self._answer_part([batch[at] for at in part if not batch[at][0].promise.done()])

    def _answer_part(self, part: list[tuple[_Asked[Row, Reply], int]]) -> None:
        if not part:
            return
        self._observe(len(part))
        try:
            answers = self._answer([asked.rows[place] for asked, place in part])
            if len(answers) != len(part):
                raise StepError("the model did not answer every text", seen=f"{len(answers)} answers to {len(part)}")
        except BaseException as error:
            owners = {id(asked): asked for asked, _ in part}
            if len(owners) == 1:
                part[0][0].fail(error)
                return
            # One request's row must not fail the others': each is answered by itself.
            for owner in owners.values():
                self._answer_part([one for one in part if one[0] is owner and not owner.promise.done()])
            return
        self._num_expected = self._num_queued + len(part)  # before anyone who is answered asks again
        for (asked, place), answer in zip(part, answers, strict=True):
            asked.take(place, answer)
