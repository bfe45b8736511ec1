"""Group commit: threads that write at the same time share one transaction, and each is answered once it is durable.

A commit and the anchor after it wait for the disk three times, however many rows they hold. Whoever comes while one is
under way waits for the next, which takes everybody who has come by then: nobody waits for others who have not come.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

Item = TypeVar("Item")
Result = TypeVar("Result")
MOST = 500
"""Items of one transaction."""


@dataclass
class _Waiting(Generic[Item, Result]):
    item: Item
    result: Result | BaseException | None = None
    is_done: bool = False


class GroupCommit(Generic[Item, Result]):
    """Writes items of many threads in the order they came."""

    def __init__(self, write: Callable[[Sequence[Item]], Sequence[Result | Exception]], most: int = MOST) -> None:
        """``write`` makes items durable in one transaction, and gives each its result or why it alone was refused."""
        self._write, self._most = write, most
        self._changed = threading.Condition()
        self._waiting: list[_Waiting[Item, Result]] = []
        self._is_writing = False

    def __call__(self, item: Item) -> Result:
        """The result of an item, once it is durable.

        Raises: what ``write`` raised, or gave as this item's result.
        """
        mine: _Waiting[Item, Result] = _Waiting(item)
        with self._changed:
            self._waiting.append(mine)
            self._changed.wait_for(lambda: mine.is_done or not self._is_writing)
            # Whoever finds nobody writing writes, for all that wait: its own item may be beyond the bound.
            while not mine.is_done:
                group, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                self._is_writing = True
                self._changed.release()
                try:
                    self._answer(group)
                finally:
                    self._changed.acquire()
                    self._is_writing = False
                    self._changed.notify_all()
        if isinstance(mine.result, BaseException):
            raise mine.result
        return cast("Result", mine.result)

    def _answer(self, group: Sequence[_Waiting[Item, Result]]) -> None:
        results: Sequence[Result | BaseException]
        try:
            results = self._write([one.item for one in group])
        except BaseException as error:
            results = [error] * len(group)
        for one, result in zip(group, results, strict=True):
            one.result, one.is_done = result, True
