"""Threads that share transactions: each gets its own result, nobody waits for ever, nothing is written twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tunesmith.store.group_commit import GroupCommit


class Disk:
    """Squares numbers, one group at a time; each group is held until the gate is open."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.gate = threading.Event()
        self.num_writing = 0

    def write(self, items: Sequence[int]) -> list[int | Exception]:
        self.num_writing += 1
        assert self.num_writing == 1, "one transaction at a time"
        self.groups.append(list(items))
        assert self.gate.wait(10)
        self.num_writing -= 1
        if 13 in items:
            raise OSError("the disk is full")
        return [ValueError(f"{one}") if one < 0 else one * one for one in items]


def together(disk: Disk, items: Sequence[int], most: int = 500) -> list[int | BaseException]:
    """What each item's thread got: the first is being written while all others come."""
    commit = GroupCommit(disk.write, most)

    def result(item: int) -> int | BaseException:
        try:
            return commit(item)
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(items)) as threads:
        futures = [threads.submit(result, items[0])]
        until = time.monotonic() + 10
        while not disk.groups:
            assert time.monotonic() < until
        for item in items[1:]:
            futures.append(threads.submit(result, item))
            while len(commit._waiting) < len(futures) - 1:
                assert time.monotonic() < until
        disk.gate.set()
        return [one.result(10) for one in futures]


def test_those_that_come_while_one_is_written_share_the_next_in_their_order() -> None:
    disk = Disk()
    assert together(disk, range(20, 40)) == [one * one for one in range(20, 40)]
    assert disk.groups == [[20], list(range(21, 40))]


def test_a_group_is_bounded() -> None:
    disk = Disk()
    assert together(disk, range(1, 9), most=3) == [one * one for one in range(1, 9)]
    assert disk.groups == [[1], [2, 3, 4], [5, 6, 7], [8]]


def test_one_that_is_refused_is_refused_alone() -> None:
    disk = Disk()
    first, second, third = together(disk, [1, -2, 3])
    assert (first, third) == (1, 9) and isinstance(second, ValueError)


def test_a_transaction_that_fails_fails_for_all_in_it_and_the_next_one_works() -> None:
    disk = Disk()
    commit = GroupCommit(disk.write)
    disk.gate.set()
    with pytest.raises(OSError, match="full"):
        commit(13)
    assert commit(2) == 4
    first, *failed = together(Disk(), [1, 13, 3])
    assert first == 1 and all(isinstance(one, OSError) for one in failed)


def test_many_threads_again_and_again() -> None:
    disk = Disk()
    disk.gate.set()
    commit = GroupCommit(disk.write, most=7)
    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(commit, range(100, 2100))) == [one * one for one in range(100, 2100)]
    assert sorted(one for group in disk.groups for one in group) == list(range(100, 2100))
    assert max(map(len, disk.groups)) <= 7
