"""Splits in which every label of rows with several keeps its share: iterative stratification."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence

from tunesmith.data.prepare_config import SplitName
from tunesmith.data.split import MIN_LABEL_ROWS, ranks

NO_LABEL = None


def draw_tags(
    label_sets: Sequence[Sequence[str]], ids: Sequence[str], shares: Mapping[SplitName, float], seed: int
) -> list[SplitName]:
    """A split for each row, so that every label, and having none, keeps its share; rows of a label that fewer than
    three rows have stay in train.

    The rarest label goes first: its rows go, one after the other, to the split that still wants most of it, among
    equals to the one that wants most rows. Which rows are drawn depends on ids and seed, not on their order.
    Source: Sechidis, Tsoumakas and Vlahavas 2011, algorithm 1; ties by the seed's order instead of at random.
    """
    train: SplitName = "train"
    parts: dict[SplitName, float] = {train: 1 - sum(shares.values()), **{s: n for s, n in shares.items() if n > 0}}
    place = ranks(seed, ids)
    rows_of: dict[Hashable, set[int]] = defaultdict(set)
    for row, labels in enumerate(label_sets):
        for one in labels or (NO_LABEL,):
            rows_of[one].add(row)
    splits: list[SplitName] = [train] * len(ids)
    rare = {row for label, rows in rows_of.items() if label is not NO_LABEL and len(rows) < MIN_LABEL_ROWS
            for row in rows}  # fmt: skip
    wanted_rows = {split: share * len(ids) for split, share in parts.items()}
    wanted = {split: {label: share * len(rows) for label, rows in rows_of.items()} for split, share in parts.items()}

    def put(row: int, split: SplitName) -> None:
        splits[row] = split
        wanted_rows[split] -= 1
        for one in label_sets[row] or (NO_LABEL,):
            wanted[split][one] -= 1
            left[one] -= 1
            rows_of[one].discard(row)

    left: Counter[Hashable] = Counter({label: len(rows) for label, rows in rows_of.items()})
    for row in sorted(rare, key=place.__getitem__):
        put(row, train)
    while open_labels := [label for label, count in left.items() if count > 0]:
        label = min(open_labels, key=lambda one: (left[one], str(one)))
        for row in sorted(rows_of[label], key=place.__getitem__):
            put(row, max(parts, key=lambda split: (wanted[split][label], wanted_rows[split])))
    _fill_empty(splits, [split for split in parts if split != train], place, rare)
    return splits


def _fill_empty(splits: list[SplitName], needed: Sequence[SplitName], place: Sequence[int], rare: set[int]) -> None:
    """Give a split that got no row one of train, as long as train keeps one."""
    for split in needed:
        free = [row for row, where in enumerate(splits) if where == "train" and row not in rare]
        if split not in splits and len(free) > 1:
            splits[min(free, key=place.__getitem__)] = split
