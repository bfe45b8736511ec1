"""Values in a text replaced by other values of the same kind: what a model should not learn by heart."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import polars as pl

from tunesmith.core.errors import DataError
from tunesmith.data.augment.config import SlotsConfig

ONE_KIND = "value"


class Slots:
    """Rows in which one value stands for another of its kind."""

    def __init__(self, config: SlotsConfig) -> None:
        self.config = config
        self._values: dict[str, tuple[str, ...]] = {
            slot: tuple(dict.fromkeys(values)) for slot, values in config.values.items()
        }

    def fit(self, train: pl.DataFrame) -> None:
        """Take the values that the training rows hold.

        Raises: DataError where a column that holds them is not there.
        """
        column, slot_column = self.config.value_column, self.config.slot_column
        if column is None:
            return
        for name in filter(None, (column, slot_column)):
            if name not in train.columns:
                raise DataError(
                    f"augmentation by slots reads a column `{name}`, which the rows do not have",
                    seen=name,
                    allowed=", ".join(train.columns),
                    next=f"map it in the source: `columns: {{{name}: its name in the source}}`",
                )
        found: dict[str, dict[str, None]] = defaultdict(dict)
        for row in train.select(filter(None, (column, slot_column))).iter_rows(named=True):
            if row[column]:
                found[self._slot(row)][str(row[column])] = None
        for slot, values in found.items():
            self._values[slot] = tuple(dict.fromkeys((*self._values.get(slot, ()), *values)))

    def changed(self, row: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
        """The columns that change; none where the text holds no value, or only one of its kind is known."""
        text, column = row["text"], self.config.value_column
        value = None if column is None else row[column]
        if value:
            others = [one for one in self._values[self._slot(row)] if one != str(value)]
            where = _place(text, str(value))
            if others and where is not None:
                new = rng.choice(others)
                return {"text": text[: where[0]] + new + text[where[1] :], str(column): new}
        found = [
            (where, values, seen)
            for slot, values in self._values.items()
            if slot in self.config.values
            for seen in values
            if (where := _place(text, seen)) is not None
        ]
        if not found:
            return {}
        # The longest value that fits: `New York` and not `York`.
        where, values, seen = max(found, key=lambda one: (one[0][1] - one[0][0], -one[0][0]))
        new = rng.choice([one for one in values if one != seen])
        return {"text": text[: where[0]] + new + text[where[1] :]}

    def _slot(self, row: Mapping[str, Any]) -> str:
        return ONE_KIND if self.config.slot_column is None else str(row[self.config.slot_column])


def _place(text: str, value: str) -> tuple[int, int] | None:
    """Where a value stands in a text as a word or phrase of its own, whatever its letter case."""
    found = re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text, re.IGNORECASE)
    return None if found is None else found.span()
