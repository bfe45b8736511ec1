"""What turning rows into tokens kept, cut and left out, by source and by split."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tunesmith.training.language.built import Kept, Left

FIELDS = (
    "rows",
    "kept",
    "dropped",
    "untrained_rows",
    "truncated",
    "split",
    "sequences",
    "tokens",
    "trained_tokens",
    "cut_tokens",
    "cut_trained_tokens",
    "unknown_tokens",
    "changed_turns",
    "unlike_asked_turns",
    "unshown_turns",
    "open_turns",
    "control_rows",
    "num_bytes",
)


class Counts:
    """Numbers that add up: rows = kept + dropped + untrained_rows."""

    def __init__(self) -> None:
        self._numbers: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()

    def keep(self, kept: Kept, unknown: int | None) -> None:
        """Count a row that is kept."""
        numbers = self._numbers
        numbers["rows"] += 1
        numbers["kept"] += 1
        numbers["split"] += kept.is_split
        numbers["truncated"] += any(one.num_cut for one in kept.parts)
        if kept.marked is not None:
            numbers["changed_turns"] += kept.marked.num_changed
            numbers["unlike_asked_turns"] += kept.marked.num_unlike_asked
            numbers["unshown_turns"] += kept.marked.num_unshown
            numbers["open_turns"] += kept.marked.num_open
        numbers["control_rows"] += kept.has_control
        numbers["cut_tokens"] += kept.num_left
        for one in kept.parts:
            numbers["sequences"] += 1
            numbers["tokens"] += one.num_tokens
            numbers["trained_tokens"] += one.num_trained
            numbers["cut_tokens"] += one.num_cut
            numbers["cut_trained_tokens"] += one.num_cut_trained
            numbers["num_bytes"] += one.num_bytes
            if unknown is not None:
                numbers["unknown_tokens"] += int((one.tokens_T == unknown).sum())

    def leave(self, left: Left) -> None:
        """Count a row that is left out."""
        self._numbers["rows"] += 1
        self._numbers["untrained_rows" if left.is_untrained else "dropped"] += 1
        self._numbers["cut_tokens"] += left.num_tokens
        self._reasons[left.reason] += 1

    def facts(self) -> dict[str, Any]:
        """The numbers and the reasons, the most frequent first."""
        ordered = sorted(self._reasons.items(), key=lambda item: (-item[1], item[0]))
        return {name: self._numbers[name] for name in FIELDS} | {"reasons": dict(ordered)}
