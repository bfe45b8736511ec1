"""The fate of every row of extended splits: read now or carried over, and kept, removed or in quarantine, once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl

from tunesmith.core.artifact import Artifact
from tunesmith.core.stage import Facts
from tunesmith.data.dataset import LINEAGE
from tunesmith.data.prepare import check_counts

FATES = ("kept", "removed", "quarantined")


class Fates:
    """Counts and tables of what became of the rows.

    A row of the champion that `prepare` would take out today stays, as it was when the champion was made: it is counted
    as kept and taken back out of the others. Rows that augmentation made were never read, and are not counted.
    """

    def __init__(self, fresh: Artifact, rows: pl.DataFrame) -> None:
        """``rows``: all that are kept, of old and new, in a split or out of scope."""
        self._facts = fresh.facts
        self._ids = rows["row_id"]
        self._kept = _as_read(rows, self._ids)
        kept_ids = set(self._ids.to_list())
        tables = {"removed": "removed.parquet", "quarantined": "quarantine.parquet"}
        read = {fate: pl.read_parquet(fresh.path / name) for fate, name in tables.items()}
        is_back = {fate: one["row_id"].is_in(kept_ids) & one["row_id"].is_not_null() for fate, one in read.items()}
        self._back = {fate: one.filter(is_back[fate]) for fate, one in read.items()}
        self._tables = {fate: one.filter(~is_back[fate]) for fate, one in read.items()}
        self._added: Counter[str] = Counter()
        self._num_before = self._tables["removed"].height

    def remove(self, gone: pl.DataFrame, reason: str) -> None:
        """Count rows as removed for a reason; ``because_of``, where they have it, is the row that stands for them."""
        # A row that was made leaves with the one it was made of.
        gone = _as_read(gone, pl.concat([self._ids, gone["row_id"]]))
        if gone.is_empty():
            return
        self._added[reason] += gone.height
        label = pl.col("label")
        label = label.list.join("|") if gone.schema["label"] == pl.List(pl.String) else label.cast(pl.String)
        because = pl.col("because_of") if "because_of" in gone.columns else pl.lit(None, pl.String)
        table = gone.select(*LINEAGE, "text", label, pl.lit(reason).alias("reason"), because.alias("because_of"))
        self._tables["removed"] = pl.concat([self._tables["removed"], table.cast(self._tables["removed"].schema)])

    def written(self, folder: Path) -> Facts:
        """Write the tables of what is not kept, and return the facts that count all."""
        removed, quarantined = self._tables["removed"], self._tables["quarantined"]
        removed.write_parquet(folder / "removed.parquet")
        quarantined.write_parquet(folder / "quarantine.parquet")
        names = dict.fromkeys([*self._facts["by_source"], *self._kept["source_id"], *removed["source_id"]])
        by_source = {name: self._of(name) for name in names}
        total = {fate: sum(one[fate] for one in by_source.values()) for fate in ("read", *FATES)}
        check_counts({"all sources": total, **by_source})
        return {
            "rows": total,
            "by_source": by_source,
            "removed": self._reasons("removed") | dict(self._added),
            "quarantined": self._reasons("quarantined"),
            "lost_by_source": self._lost_by_source(),
        }

    def _of(self, name: str) -> dict[str, int]:
        before = self._facts["by_source"].get(name, dict.fromkeys(FATES, 0))
        added = self._tables["removed"][self._num_before :]
        counts = {
            "kept": _of(self._kept, name),
            "removed": before["removed"] - _of(self._back["removed"], name) + _of(added, name),
            "quarantined": before["quarantined"] - _of(self._back["quarantined"], name),
        }
        # A row that is no longer in its source was read when the champion was made.
        return {"read": sum(counts.values()), **counts}

    def _reasons(self, fate: str) -> dict[str, int]:
        """The counted reasons, without the rows that were taken back."""
        counts = Counter(self._facts[fate])
        counts.subtract(_counted_as(reason, counts) for reason in self._back[fate]["reason"])
        return {reason: number for reason, number in counts.items() if number > 0}

    def _lost_by_source(self) -> dict[str, dict[str, int]]:
        lost = {name: Counter(one) for name, one in self._facts["lost_by_source"].items()}
        for back in self._back.values():
            for source, reason in back.select("source_id", "reason").iter_rows():
                lost[source][_counted_as(reason, lost[source])] -= 1
        for source, reason in self._tables["removed"][self._num_before :].select("source_id", "reason").iter_rows():
            lost.setdefault(source, Counter())[reason] += 1
        found = {name: {why: number for why, number in one.items() if number > 0} for name, one in lost.items()}
        return {name: one for name, one in sorted(found.items()) if one}


def _counted_as(reason: str, counts: Counter[str]) -> str:
    """The counted reason of a row, whose own may say more."""
    return max((one for one in counts if reason.startswith(one)), key=len, default=reason)


def _as_read(rows: pl.DataFrame, ids: pl.Series) -> pl.DataFrame:
    """The rows without those that augmentation made: such a row's one parent is another row, which stands in ``ids``.

    Rows that were joined have a table's row among their parents, those that were redacted themselves: both were read.
    """
    parent = pl.col("parents").list.first()
    is_of_another = (pl.col("parents").list.len() == 1) & (parent != pl.col("row_id")) & parent.is_in(ids.implode())
    return rows.filter(~is_of_another.fill_null(False))


def _of(frame: pl.DataFrame, source: str) -> int:
    return int((frame["source_id"] == source).sum())
