"""Splits: those given are read, those missing are drawn, always the same for the same rows and seed."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence

import polars as pl

from tunesmith.core.errors import DataError
from tunesmith.data.dedupe import GIVEN
from tunesmith.data.prepare_config import SplitName

SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
MIN_LABEL_ROWS = 3
_SPELLINGS: dict[str, SplitName] = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development", "eval"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "holdout", "held-out", "gold"), "test"),
}


def with_given(frame: pl.DataFrame, given: Mapping[str, SplitName]) -> pl.DataFrame:
    """The frame with the split that each row was given: its source's, else that of its column `split`, else null.

    Raises: DataError when a value of the column names no split.
    """
    of_source = pl.col("source_id").replace_strict(dict(given), default=None, return_dtype=pl.String)
    if "split" not in frame.columns:
        return frame.with_columns(of_source.alias(GIVEN))
    written = pl.col("split").cast(pl.String).str.strip_chars().str.to_lowercase()
    read = written.replace_strict(_SPELLINGS, default=None, return_dtype=pl.String)
    strange = frame.filter(of_source.is_null() & read.is_null() & written.is_not_null() & (written != ""))
    if not strange.is_empty():
        values = strange["split"].cast(pl.String).unique().sort().to_list()
        raise DataError(
            f"the column `split` of {strange.height} rows names no split",
            seen=", ".join(f"`{value}`" for value in values[:5]) + (" ..." if len(values) > 5 else ""),
            allowed=", ".join(_SPELLINGS),
            next="map another column to `split`, or none to have the splits drawn",
        )
    return frame.with_columns(pl.coalesce(of_source, read).alias(GIVEN))


def draw(
    labels: Sequence[Hashable], ids: Sequence[str], shares: Mapping[SplitName, float], seed: int, *, rare: bool
) -> list[SplitName]:
    """A split for each row: every label keeps its share (largest remainder), labels of under three rows stay in train
    where `rare` says so. Which rows are drawn depends on their ids and the seed, not on their order."""
    strata: dict[Hashable, list[int]] = defaultdict(list)
    for row, label in enumerate(labels):
        strata[label].append(row)
    if rare:
        strata = {label: rows for label, rows in strata.items() if len(rows) >= MIN_LABEL_ROWS}
    draws = {row: _hash(seed, ids[row]) for rows in strata.values() for row in rows}
    for rows in strata.values():
        rows.sort(key=draws.__getitem__)
    splits: list[SplitName] = ["train"] * len(ids)
    taken: Counter[Hashable] = Counter()
    for split in ("test", "validation"):
        share = shares.get(split, 0.0)
        total = sum(len(rows) for rows in strata.values())
        wanted = max(1, round(share * total)) if share and total else 0
        # One row of each stratum is left to be trained on.
        room = {label: len(rows) - taken[label] - 1 for label, rows in strata.items()}
        sizes = {label: len(rows) * share for label, rows in strata.items()}
        for label, count in _quotas(sizes, room, wanted, seed).items():
            for row in strata[label][taken[label] : taken[label] + count]:
                splits[row] = split
            taken[label] += count
    return splits


def draw_groups(
    label_sets: Sequence[Sequence[Hashable]],
    groups: Sequence[str],
    shares: Mapping[SplitName, float],
    seed: int,
) -> list[SplitName]:
    """A split for each row, the same for all rows of a group: the largest groups first, each to the split that then is
    nearest to its share of every label (greedy)."""
    members: dict[str, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        members[group].append(row)
    all_shares: dict[SplitName, float] = {"train": 1 - sum(shares.values()), **shares}
    parts = {split: share for split, share in all_shares.items() if share > 0}
    totals = Counter(label for labels in label_sets for label in labels)
    target = {split: {label: share * total for label, total in totals.items()} for split, share in parts.items()}
    filled: dict[SplitName, Counter[Hashable]] = {split: Counter() for split in parts}
    chosen: dict[str, SplitName] = {}
    counts = {group: Counter(label for row in rows for label in label_sets[row]) for group, rows in members.items()}
    for group in sorted(members, key=lambda name: (-len(members[name]), _hash(seed, name))):
        count = counts[group]

        def cost(split: SplitName, count: Counter[Hashable] = count) -> float:
            """The growth of the squared distance from the targets, relative to them."""
            return math.fsum(
                n * (2 * (filled[split][label] - target[split][label]) + n) / target[split][label]
                for label, n in count.items()
            )

        split = min(parts, key=cost)
        chosen[group] = split
        filled[split].update(count)
    _fill_empty(chosen, members, [split for split in parts if split != "train"])
    _return_labels(chosen, counts)
    return [chosen[group] for group in groups]


def _fill_empty(chosen: dict[str, SplitName], members: Mapping[str, list[int]], wanted: Sequence[SplitName]) -> None:
    """Give a split that got no group the smallest one of train, as long as train keeps one."""
    for split in wanted:
        train = [group for group, where in chosen.items() if where == "train"]
        if split not in chosen.values() and len(train) > 1:
            chosen[min(train, key=lambda group: (len(members[group]), group))] = split


def _return_labels(chosen: dict[str, SplitName], counts: Mapping[str, Counter[Hashable]]) -> None:
    """Bring a label that is only in validation or test back to train, by the smallest group that has it and whose
    split has others left."""
    seen = {label for group, split in chosen.items() if split == "train" for label in counts[group]}
    every = {label: None for count in counts.values() for label in count}
    sizes = Counter(chosen.values())
    for label in every:
        if label in seen:
            continue
        having = [group for group, count in counts.items() if label in count and sizes[chosen[group]] > 1]
        if having:
            group = min(having, key=lambda name: (counts[name].total(), name))
            sizes[chosen[group]] -= 1
            chosen[group] = "train"
            seen.update(counts[group])


def _quotas(sizes: Mapping[Hashable, float], room: Mapping[Hashable, int], wanted: int, seed: int) -> Counter[Hashable]:
    """How many rows of each stratum, `wanted` in all where there is room: the whole part of its share, then one more
    for those with the largest remainder."""
    quotas = Counter({label: min(int(size), room[label]) for label, size in sizes.items()})
    order = sorted(sizes, key=lambda label: (int(sizes[label]) - sizes[label], _hash(seed, str(label))))
    for label in order:
        if quotas.total() >= wanted:
            break
        if quotas[label] < room[label] and quotas[label] <= sizes[label]:
            quotas[label] += 1
    return quotas


def ranks(seed: int, names: Sequence[str]) -> list[int]:
    """The place of each name in an order that depends on the seed and the names alone; equal names in their order."""
    order = sorted(range(len(names)), key=lambda row: (_hash(seed, names[row]), row))
    places = [0] * len(names)
    for place, row in enumerate(order):
        places[row] = place
    return places


def _hash(seed: int, name: str) -> bytes:
    return hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
