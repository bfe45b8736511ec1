"""Groups of rows side by side: each with its interval, and the largest gap with one that allows for having looked.

The largest of many differences is large by chance alone. Its interval comes from simultaneous intervals of all
pairwise differences (max-t: Romano & Wolf 2005, the bootstrap within each group), so that the true range lies in it
with the asked confidence however many groups there are; its p-value is that of the range when rows are dealt to the
groups at random. "Shown" needs both, as everywhere (docs/decisions/0003).

Shapes: N rows, G groups, K cells (rows alike in target and prediction), S resamples.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.tasks import Task
from tunesmith.evaluation.significance import CHUNK_ELEMENTS, ENOUGH_DEFINED, wilson
from tunesmith.metrics import table
from tunesmith.metrics.table import Metric

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_GROUPS = 50
"""More groups than this are not compared pair by pair; those with the most rows are."""


@dataclass(frozen=True)
class Group:
    """One group's value; its own interval, at the asked confidence."""

    group: str | None
    """The column's value; None: rows without one."""
    num_rows: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Gap:
    """The largest difference between two groups."""

    value: float
    low: float
    high: float
    p_value: float
    verdict: Literal["shown", "not shown"]
    lowest: str | None
    highest: str | None


@dataclass(frozen=True)
class Spread:
    """A metric over the groups of one column."""

    metric: str
    confidence: float
    groups: tuple[Group, ...]
    """From the lowest value to the highest."""
    gap: Gap | None
    """None where fewer than two groups could be compared."""
    not_compared: tuple[dict[str, Any], ...] = field(default=())
    """Groups left out: ``group``, ``num_rows``, ``why``."""

    def to_facts(self) -> dict[str, Any]:
        """The spread as JSON values."""
        return asdict(self)


def spread(
    metric: Metric,
    task: Task,
    targets_N: NDArray[Any],
    predictions_N: NDArray[Any],
    values_N: list[str | None],
    *,
    min_rows: int,
    confidence: float,
    gap_confidence: float | None = None,
    num_samples: int = 2000,
    seed: int = 0,
) -> Spread:
    """The metric of every group with at least ``min_rows`` rows, and the largest gap between two of them.

    ``gap_confidence`` is higher where several columns are looked at, so that all gaps hold together.
    """
    names, left_out = _comparable(values_N, min_rows)
    place = {name: at for at, name in enumerate(names)}
    group_N = np.array([place.get(value, -1) for value in values_N])
    rows_N = np.flatnonzero(group_N >= 0)
    if not names:
        return Spread(metric.name, confidence, (), None, left_out)
    deal = _Deal(metric, task, targets_N[rows_N], predictions_N[rows_N], group_N[rows_N], len(names))
    value_G = deal.observed()
    draws_SG = deal.draws(deal.resampled, num_samples, np.random.default_rng([seed, 3]))
    is_defined_G = ~np.isnan(value_G) & (np.mean(~np.isnan(draws_SG), axis=0) >= ENOUGH_DEFINED)
    left_out += tuple(
        {"group": names[at], "num_rows": int(deal.size_G[at]), "why": metric.undefined or "the metric has no value"}
        for at in np.flatnonzero(~is_defined_G)
    )
    kept_G = np.flatnonzero(is_defined_G)
    draws_SG = _without_certainty(deal, value_G, draws_SG, np.random.default_rng([seed, 8]))
    groups = _own_intervals(names, deal, value_G, draws_SG, kept_G, confidence)
    gap = None
    if len(kept_G) >= 2:
        gap = _gap(
            [names[at] for at in kept_G],
            value_G[kept_G],
            np.where(np.isnan(draws_SG), value_G, draws_SG)[:, kept_G],
            gap_confidence or confidence,
            lambda: deal.draws(deal.shuffled, num_samples, np.random.default_rng([seed, 4]))[:, kept_G],
        )
    return Spread(metric.name, confidence, tuple(sorted(groups, key=lambda one: one.value)), gap, left_out)


class _Deal:
    """Rows dealt to groups: as they are, drawn again within their group, or shuffled between groups."""

    def __init__(
        self, metric: Metric, task: Task, targets: NDArray[Any], predictions: NDArray[Any], group_N: Ints, num: int
    ) -> None:
        self.metric, self.task, self.group_N, self.num_groups = metric, task, group_N, num
        if task == "classify":
            codes = [np.unique(column, return_inverse=True)[1] for column in (targets, predictions)]
            _, rows_K, cell_N = np.unique(np.stack(codes, 1), axis=0, return_index=True, return_inverse=True)
            self.cell_N: Ints = cell_N.ravel()
        else:
            rows_K = np.arange(len(targets))
            self.cell_N = rows_K
        self.targets_K, self.predictions_K = targets[rows_K], predictions[rows_K]
        self.size_G = np.bincount(group_N, minlength=num)
        self._members = [np.flatnonzero(group_N == at) for at in range(num)]

    def observed(self) -> Floats:
        """The metric of each group."""
        values_1G = self._values(self._counts(self.group_N, self.cell_N)[None])
        return np.asarray(values_1G[0])

    def resampled(self, rng: np.random.Generator) -> Ints:
        """How often each cell is drawn when every group draws from its own rows: (G, K)."""
        drawn = np.concatenate([rows[rng.integers(len(rows), size=len(rows))] for rows in self._members])
        return self._counts(self.group_N[drawn], self.cell_N[drawn])

    def shuffled(self, rng: np.random.Generator) -> Ints:
        """The cells of each group when rows are dealt to the groups at random: (G, K)."""
        return self._counts(rng.permutation(self.group_N), self.cell_N)

    def draws(self, once: Callable[[np.random.Generator], Ints], num_samples: int, rng: np.random.Generator) -> Floats:
        """The metric of each group over many deals: (S, G)."""
        size = max(1, CHUNK_ELEMENTS // (self.num_groups * len(self.targets_K)))
        parts = [
            self._values(np.stack([once(rng) for _ in range(min(size, num_samples - start))]))
            for start in range(0, num_samples, size)
        ]
        return np.concatenate(parts)

    def _counts(self, group_N: Ints, cell_N: Ints) -> Ints:
        num_cells = len(self.targets_K)
        flat = np.bincount(group_N * num_cells + cell_N, minlength=self.num_groups * num_cells)
        return np.asarray(flat.reshape(self.num_groups, num_cells))

    def _values(self, counts_SGK: Ints) -> Floats:
        summary = table.summarize(self.task, self.targets_K, self.predictions_K, counts_SGK.astype(float))
        return np.asarray(self.metric.compute(summary))


def _without_certainty(deal: _Deal, value_G: Floats, draws_SG: Floats, rng: np.random.Generator) -> Floats:
    """The draws, where a group is all right or all wrong from the posterior of a share (Jeffreys' prior).

    Resampling such a group again and again sees no spread, and would call a few lucky rows certain.
    """
    draws_SG = draws_SG.copy()
    for at, (value, num_rows) in enumerate(zip(value_G, deal.size_G, strict=True)):
        if deal.task != "regress" and value in (0.0, 1.0) and np.ptp(draws_SG[:, at]) == 0:
            hits = value * num_rows
            draws_SG[:, at] = rng.beta(hits + 0.5, num_rows - hits + 0.5, size=len(draws_SG))
    return draws_SG


def _own_intervals(
    names: list[str | None], deal: _Deal, value_G: Floats, draws_SG: Floats, kept_G: Ints, confidence: float
) -> list[Group]:
    """Each group with its own interval."""
    groups = []
    for at in kept_G:
        value, num_rows = float(value_G[at]), int(deal.size_G[at])
        low, high = np.nanpercentile(draws_SG[:, at], [50 * (1 - confidence), 50 * (1 + confidence)])
        if deal.task != "regress" and value in (0.0, 1.0) and not low <= value <= high:
            low, high = wilson(round(value * num_rows), num_rows, confidence)
        groups.append(Group(names[at], num_rows, value, float(low), float(high)))
    return groups


def _gap(
    names: list[str | None],
    value_G: Floats,
    draws_SG: Floats,
    confidence: float,
    shuffles: Callable[[], Floats],
) -> Gap:
    lowest, highest = int(value_G.argmin()), len(value_G) - 1 - int(value_G[::-1].argmax())
    value = float(value_G[highest] - value_G[lowest])
    first, second = (np.array(side) for side in zip(*_pairs(len(names)), strict=True))
    difference_P = value_G[first] - value_G[second]
    off_SP = draws_SG[:, first] - draws_SG[:, second] - difference_P
    error_P = np.maximum(np.sqrt((off_SP**2).mean(0)), 1e-12)
    largest_S = np.abs(off_SP / error_P).max(1)
    reach_P = float(np.quantile(largest_S, confidence)) * error_P
    low = float(max(0.0, (np.abs(difference_P) - reach_P).max()))
    high = float((np.abs(difference_P) + reach_P).max())
    ranges_S = np.ptp(shuffles(), axis=1)
    # Written so that a value which is not defined counts as "as large".
    p_value = (1 + int((~(ranges_S < value * (1 - 1e-9))).sum())) / (1 + len(ranges_S))
    is_shown = low > 0 and p_value < 1 - confidence
    return Gap(value, low, high, p_value, "shown" if is_shown else "not shown", names[lowest], names[highest])


def _pairs(num: int) -> Iterator[tuple[int, int]]:
    return itertools.combinations(range(num), 2)


def _comparable(values_N: list[str | None], min_rows: int) -> tuple[list[str | None], tuple[dict[str, Any], ...]]:
    """The groups that are compared, the largest first, and those left out with the reason."""
    counts: dict[str | None, int] = {}
    for value in values_N:
        counts[value] = counts.get(value, 0) + 1
    order = sorted(counts, key=lambda name: (-counts[name], name is None, name or ""))
    kept = [name for name in order if counts[name] >= min_rows][:MAX_GROUPS]
    left_out = tuple(
        {
            "group": name,
            "num_rows": counts[name],
            "why": f"fewer than {min_rows} test rows"
            if counts[name] < min_rows
            else f"only the {MAX_GROUPS} largest groups are compared",
        }
        for name in order
        if name not in kept
    )
    return kept, left_out
