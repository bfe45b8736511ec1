"""Ctrl-C: the first one lets the work save where it is, the second one stops it at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from tunesmith.core.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stoppable(cancel: threading.Event, say: Callable[[str], None]) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into ``cancel`` for as long as the context lasts.

    The second signal raises KeyboardInterrupt, which still records the run as interrupted; the third ends the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    num_signals = 0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal num_signals
        num_signals += 1
        cancel.set()
        if num_signals == 1:
            say("stopping after saving where it is; press Ctrl-C again to stop at once")
        elif num_signals == 2:
            raise KeyboardInterrupt
        else:
            os._exit(Interrupted.exit_code)

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
