"""All tests of a check together: what changed, what did not show, and what there were not enough rows to tell of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tunesmith.monitoring import one_label, statistics
from tunesmith.monitoring.config import DriftConfig
from tunesmith.monitoring.statistics import Tested

Floats = NDArray[np.float64]
Group = Literal["text", "embedding", "labels", "answers", "performance"]
Verdict = Literal["changed", "too small to matter", "not shown", "not enough"]

TEXT = ("characters", "tokens", "unseen_words", "uppercase", "digits", "punctuation", "other_letters", "language")
VECTORS, LABELS, ONE_LABEL, NEAREST = "embedding", "labels", "one_label", "nearest"
WINDOW_VECTORS = 1000
"""Vectors of the window that are compared; a test of so many misses nothing that matters, and costs seconds."""
BINS = 24
MOST_SHOWN = 12
"""Categories that a picture shows; the others are one bar."""
LABEL_CHARS = 60
OTHERS = "(others)"


@dataclass(frozen=True)
class Columns:
    """What was measured of one set of rows, by name; each name has its own number of rows."""

    numbers: Mapping[str, Floats] = field(default_factory=dict)
    categories: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sets: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)
    """Any number of labels a row."""
    vectors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def names(self) -> list[str]:
        """The names in the order that tests are shown."""
        return [*self.numbers, *self.categories, *self.vectors, *self.sets]

    def of(self, name: str) -> Sequence[Any] | NDArray[Any]:
        """The rows of a name."""
        kinds: tuple[Mapping[str, Any], ...] = (self.numbers, self.categories, self.sets, self.vectors)
        found: Sequence[Any] = next(kind[name] for kind in kinds if name in kind)
        return found


@dataclass
class Outcome:
    """One test and what it means."""

    name: str
    group: Group
    method: str
    num_reference: int
    num_window: int
    verdict: Verdict
    is_alert: bool = False
    statistic: float | None = None
    p_value: float | None = None
    adjusted: float | None = None
    """The p-value with all tests of the check taken into account (Holm)."""
    effect: float | None = None
    why: str = ""
    picture: dict[str, Any] | None = None

    def to_facts(self) -> dict[str, Any]:
        """The outcome as JSON values."""
        return asdict(self)


def compared(reference: Columns, window: Columns, config: DriftConfig, rng: np.random.Generator) -> list[Outcome]:
    """Every test that both sides have rows for, not judged yet (``judge`` takes them together)."""
    return list(_compared(reference, window, config, rng))


def judge(outcomes: Sequence[Outcome], config: DriftConfig) -> None:
    """Say of each test what it means, all taken together: adjusted p-value, verdict, alert."""
    tested = [one for one in outcomes if one.p_value is not None]
    for one, adjusted in zip(tested, statistics.holm([one.p_value or 0.0 for one in tested]), strict=True):
        one.adjusted = adjusted
        is_seen, least = adjusted <= config.alert_at, _least(one, config)
        if not is_seen:
            one.verdict, one.why = "not shown", ""
        elif one.effect is not None and one.effect < least:
            one.verdict = "too small to matter"
            asked = f"effect {one.effect:.3f}, at least {least:.3g} is asked for"
            one.why = f"{one.why}; {asked}" if one.why else asked
        else:
            one.verdict, one.is_alert = "changed", True


def _compared(reference: Columns, window: Columns, config: DriftConfig, rng: np.random.Generator) -> Iterator[Outcome]:
    known = set(reference.names())
    for name in window.names():
        if name not in known or name == NEAREST:
            continue
        before, now = reference.of(name), window.of(name)
        outcome = Outcome(name, _group(name), _method(name, window), len(before), len(now), "not enough")
        smaller = min(len(before), len(now))
        if smaller < config.min_rows:
            side = "reference rows" if len(before) < config.min_rows else "texts"
            outcome.why = f"not enough: {smaller} of {config.min_rows} {side}"
            yield outcome
            continue
        found = _tested(name, reference, window, config, rng)
        outcome.statistic, outcome.p_value, outcome.effect = found.statistic, found.p_value, found.effect
        outcome.picture = _picture(name, reference, window)
        yield outcome
        if name == LABELS:
            yield _one_label(outcome, reference, window, config, rng)


def _one_label(
    labels: Outcome, reference: Columns, window: Columns, config: DriftConfig, rng: np.random.Generator
) -> Outcome:
    """The test of the one label that moved most, beside the test of all of them."""
    if LABELS in window.sets:
        found = one_label.of_sets(reference.sets[LABELS], window.sets[LABELS], config.permutations, rng)
    else:
        counts = Counter(reference.categories[LABELS]), Counter(window.categories[LABELS])
        found = one_label.of_categories(*counts, config.permutations, rng)
    outcome = Outcome(
        ONE_LABEL, "labels", "Fisher's exact test, the smallest", labels.num_reference, labels.num_window, "not shown"
    )
    outcome.statistic, outcome.p_value, outcome.effect = found.statistic, found.p_value, found.effect
    outcome.why = f'"{_line(found.label)}": {100 * found.before:.3g} % before, {100 * found.now:.3g} % now'
    return outcome


def _least(one: Outcome, config: DriftConfig) -> float:
    """The smallest effect that may alert."""
    return 1 - 1 / config.min_ratio if one.name == ONE_LABEL else config.min_effect


def _line(label: str) -> str:
    """A label as a part of a sentence."""
    line = " ".join(label.split())
    return line if len(line) <= LABEL_CHARS else f"{line[:LABEL_CHARS]}…"


def _tested(name: str, reference: Columns, window: Columns, config: DriftConfig, rng: np.random.Generator) -> Tested:
    if name in window.numbers:
        return statistics.ks(reference.numbers[name], window.numbers[name])
    if name in window.categories:
        counts = Counter(reference.categories[name]), Counter(window.categories[name])
        return statistics.shares(*counts, config.permutations, rng)
    if name in window.sets:
        labels = sorted({label for side in (reference, window) for row in side.sets[name] for label in row})
        return statistics.rates(
            statistics.membership(reference.sets[name], labels),
            statistics.membership(window.sets[name], labels),
            config.permutations,
            rng,
        )
    vectors = window.vectors[name]
    some = np.sort(rng.permutation(len(vectors))[:WINDOW_VECTORS])
    return statistics.mmd(reference.vectors[name], vectors[some], config.permutations, rng)


def _group(name: str) -> Group:
    if name in TEXT:
        return "text"
    return "embedding" if name == VECTORS else "labels" if name == LABELS else "answers"


def _method(name: str, window: Columns) -> str:
    if name in window.numbers:
        return "Kolmogorov-Smirnov"
    if name in window.vectors:
        return "maximum mean discrepancy, shuffled"
    return "chi-square, shuffled" if name in window.categories else "rates of labels, shuffled"


def _picture(name: str, reference: Columns, window: Columns) -> dict[str, Any] | None:
    """The two distributions as shares: bins of a number, or the most frequent categories."""
    if name == VECTORS:
        name = NEAREST
    if name in window.numbers and name in reference.numbers:
        return _bins(reference.numbers[name], window.numbers[name])
    if name in window.categories:
        return _bars(Counter(reference.categories[name]), Counter(window.categories[name]))
    if name in window.sets:
        before, now = (Counter(label for row in side.sets[name] for label in row) for side in (reference, window))
        return _bars(before, now)
    return None


def _bins(before_N: Floats, now_M: Floats) -> dict[str, Any]:
    both = np.concatenate([before_N, now_M])
    low, high = (float(end) for end in np.quantile(both, [0.005, 0.995]))
    if high <= low:
        low, high = float(both.min()), float(both.max())
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    shares = [np.histogram(np.clip(side, low, high), edges)[0] / len(side) for side in (before_N, now_M)]
    return {
        "edges": [round(float(edge), 6) for edge in edges],
        "reference": [round(float(one), 6) for one in shares[0]],
        "window": [round(float(one), 6) for one in shares[1]],
    }


def _bars(before: Counter[str], now: Counter[str]) -> dict[str, Any]:
    """The categories that moved most."""
    totals = max(1, before.total()), max(1, now.total())
    moved = {name: abs(now[name] / totals[1] - before[name] / totals[0]) for name in (before | now)}
    names = sorted(moved, key=lambda name: (-moved[name], name))[:MOST_SHOWN]
    shares = [
        [round(side[name] / total, 6) for name in names] for side, total in zip((before, now), totals, strict=True)
    ]
    if len(names) < len(moved):
        names = [*names, OTHERS]
        shares = [[*one, round(max(0.0, 1 - sum(one)), 6)] for one in shares]
    return {"names": names, "reference": shares[0], "window": shares[1]}
