"""Patterns as RE2 compiles them: no text makes them take more than linear time."""

from __future__ import annotations

from typing import Any

import re2


def compiled(pattern: str, *, ignores_case: bool = False) -> Any:
    """The pattern, compiled by RE2."""
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not ignores_case
    # Some patterns have long lists of words: RE2 would fall back to a slow matcher when its automaton has no room.
    options.max_mem = 64 << 20
    return re2.compile(pattern, options)
