"""The `pull` stage: what is new of a source, put together with what was read before, into the whole dataset.

What it makes depends on the source alone, not on what was pulled when: rows stand in the order of cursor and key, so
that many small pulls give the same bytes as a single one. The last pull only saves reading.
"""

from __future__ import annotations

import hmac
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import DataError
from tunesmith.core.source import Batch, IncrementalSource
from tunesmith.core.source import Pull as Moment
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.data import dataset
from tunesmith.data.config import IngestConfig
from tunesmith.data.ingest import Lineage, facts_of, mapped
from tunesmith.data.sources.cells import encoded, text
from tunesmith.data.sources.config import SourceConfig

STATE, KEYS, TOMBSTONES = "cursor.json", "keys.parquet", "tombstones.parquet"
KEYS_SCHEMA = {"key": pl.String(), "cursor": pl.String(), "row_id": pl.String()}
MERGED_ROWS = 10_000


class Pull:
    """Reads what is new of a source."""

    makes: ClassVar[Mapping[str, str]] = {"dataset": "dataset", "cursor": "cursor"}

    def __init__(self, config: IngestConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the dataset and of the cursor from which the next pull goes on."""
        config = self.config.source
        source = context.source(config)
        assert isinstance(source, IncrementalSource), "the flow adds this stage for such sources only"
        last = _Last.of(given)
        folder = context.scratch / "fresh"
        shutil.rmtree(folder, ignore_errors=True)
        with source.pulled() as moment:
            mapping = mapped(config, moment.columns, self.config.required)
            reason = "the first pull" if last is None else moment.blocked(last.state)
            lineage = Lineage(config, mapping, context.subject_key(), self.config.erased)
            fresh = _Fresh(config, moment, lineage, context)
            batches = fresh.everything() if last is None or reason else fresh.changes(last)
            fresh_manifest = dataset.write_dataset(folder, batches, list(mapping))
            state, description = moment.state(), moment.description
        merged = _merged(last, fresh)
        out = context.out / "dataset"
        if last is not None and merged.keys["row_id"].equals(last.keys["row_id"]):
            # The same rows in the same order: the shards of the last pull are taken as they are.
            manifest = dataset.copied(last.dataset, out)
        else:
            rows = _rows(last, _opened(folder, fresh_manifest), merged, context, config.name)
            manifest = dataset.write_dataset(out, rows, list(mapping))
        counts = _counts(last, fresh, merged, reason)
        notes = [*description.notes, *lineage.notes]
        if counts["without_cursor"]:
            notes.append(
                f"{counts['without_cursor']} rows have no `{moment.cursor}`: they are read at every pull where nothing"
                " else tells what is new"
            )
        facts = facts_of(config, manifest, description.format, notes, len(fresh.erased))
        _write_cursor(context.out / "cursor", state, merged)
        shutil.rmtree(folder, ignore_errors=True)
        return {"dataset": {**facts, "pulled": counts}, "cursor": {"source": config.name, "rows": manifest.rows}}


@dataclass(frozen=True)
class _Last:
    """What the last pull made."""

    state: Mapping[str, Any]
    keys: pl.DataFrame
    """Key, cursor and id of every row, in the order of the dataset."""
    dataset: Artifact

    @classmethod
    def of(cls, given: Given) -> _Last | None:
        """From the artifacts of a step; None where there was no pull before."""
        if "cursor" not in given:
            return None
        folder = given["cursor"].path
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        return cls(state, pl.read_parquet(folder / KEYS), given["dataset"])


@dataclass
class _Fresh:
    """The rows that this pull reads, and what it learns of the others."""

    config: SourceConfig
    moment: Moment
    lineage: Lineage
    context: StepContext
    cells: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in KEYS_SCHEMA})
    index: pl.DataFrame | None = None
    """Key and cursor of every row there is; None where every row is read."""
    num_marked = 0
    erased: set[str] = field(default_factory=set)
    """Keys of rows that were left out, for their person was erased."""

    def __post_init__(self) -> None:
        self._secret = self.context.subject_key()

    @property
    def keys(self) -> pl.DataFrame:
        """Key, cursor and id of each row that was read."""
        return pl.DataFrame(self.cells, schema=KEYS_SCHEMA)

    def everything(self) -> Iterator[Batch]:
        """Every row."""
        yield from map(self._taken, self.moment.everything())
        self._check_keys(self.keys["key"])

    def changes(self, last: _Last) -> Iterator[Batch]:
        """What changed as the source tells it, and then whatever the index shows to be new or other than it was.

        The index makes up for rows that no cursor can find: committed late, or with a cursor set back.
        """
        yield from map(self._taken, self.moment.changed(last.state))
        raw: list[Any] = []
        keys: list[str] = []
        cursors: list[str | None] = []
        for entries in self.moment.index():
            self.context.check_cancelled()
            raw += [one.key for one in entries]
            keys += self._hashes([one.cells[0] for one in entries])
            cursors += [text(one.cells[1]) for one in entries]
        self.index = pl.DataFrame({"key": keys, "cursor": cursors}, schema={"key": pl.String(), "cursor": pl.String()})
        self._check_keys(self.index["key"])
        self._check_keys(self.keys["key"])
        known = pl.concat([self.keys.select("key", "cursor"), last.keys.select("key", "cursor")]).unique(
            "key", keep="first", maintain_order=True
        )
        strays = self.index.with_row_index("at").join(
            known, on=["key", "cursor"], how="anti", nulls_equal=True, maintain_order="left"
        )
        strays = strays.join(self.keys, on="key", how="anti", maintain_order="left")
        yield from map(self._taken, self.moment.fetched([raw[at] for at in strays["at"]]))

    def _taken(self, batch: Batch) -> Batch:
        """A batch as rows of the dataset; rows that are marked as deleted are counted and left out."""
        self.context.check_cancelled()
        mark = self.moment.deleted_at
        if mark is not None:
            keep = [at for at, cell in enumerate(batch.columns[mark]) if cell is None]
            self.num_marked += batch.num_rows - len(keep)
            batch = Batch({name: [cells[at] for at in keep] for name, cells in batch.columns.items()}, batch.refused)
        kept = self.lineage.without_erased(batch)
        if kept is not batch:
            # By key, for a row that is left out looks new at every pull, and may be read twice.
            self.erased |= set(self._hashes(batch.columns[self.moment.key]))
            self.erased -= set(self._hashes(kept.columns[self.moment.key]))
        batch = kept
        keys = self._hashes(batch.columns[self.moment.key])
        cursors = [text(cell) for cell in batch.columns[self.moment.cursor]]
        traced = self.lineage.traced(batch, {"\0key": keys})
        self.cells["key"] += keys
        self.cells["cursor"] += cursors
        self.cells["row_id"] += traced.columns["row_id"]
        self.context.progress(len(self.cells["key"]), 0, "rows", self.config.name)
        return traced

    def _hashes(self, cells: Sequence[Any]) -> list[str]:
        """Keyed hashes, for a key can be a name or an address."""
        if any(cell is None for cell in cells):
            raise DataError(
                f"source `{self.config.name}`: the key column `{self.moment.key}` has nulls",
                seen=f"{sum(1 for cell in cells if cell is None)} rows without a key",
                allowed="a value in every row, each once",
                next="name another column as `cursor.key`, or leave these rows out in a `query`",
            )
        return [hmac.digest(self._secret, b"key\0" + one.encode(), "sha256").hex()[:32] for one in encoded("", cells)]

    def _check_keys(self, keys: pl.Series) -> None:
        if num := len(keys) - keys.n_unique():
            raise DataError(
                f"source `{self.config.name}`: the key column `{self.moment.key}` does not tell rows apart",
                seen=f"{num} of {len(keys)} rows have a key that came before",
                allowed="a value in every row, each once",
                next="name another column as `cursor.key`",
            )


@dataclass(frozen=True)
class _Merged:
    """The rows there are now, in the order of cursor and key."""

    keys: pl.DataFrame
    """Key, cursor, id, where the row comes from (0: the last pull, 1: this one) and its place there."""
    gone: pl.DataFrame
    """Rows of the last pull that are not there any more: id, and why."""


def _merged(last: _Last | None, fresh: _Fresh) -> _Merged:
    new = fresh.keys.with_columns(pl.lit(1).alias("origin")).with_row_index("at")
    parts = [new]
    before = pl.DataFrame(schema=KEYS_SCHEMA) if last is None else last.keys
    if fresh.index is not None:
        old = before.with_columns(pl.lit(0).alias("origin")).with_row_index("at")
        old = old.join(fresh.keys, on="key", how="anti").join(fresh.index, on="key", how="semi")
        # A row that was marked as deleted since has no place in the index; nor has one that this pull did read.
        parts = [old, new]
    keys = pl.concat(parts)
    is_number = not keys.is_empty() and keys["cursor"].drop_nulls().str.contains(r"^-?\d{1,18}$").all()
    order = pl.col("cursor").cast(pl.Int64) if is_number else pl.col("cursor")
    keys = keys.sort(order, pl.col("key"), nulls_last=True)
    gone = before.join(keys, on="row_id", how="anti").join(keys.select("key", here=pl.lit(True)), on="key", how="left")
    why = pl.when(pl.col("here")).then(pl.lit("replaced")).otherwise(pl.lit("deleted"))
    return _Merged(keys, gone.select("row_id", why.alias("why")).sort("row_id"))


def _rows(last: _Last | None, fresh: pl.DataFrame, merged: _Merged, context: StepContext, name: str) -> Iterator[Batch]:
    """The rows of both pulls in their common order."""
    frames = [pl.DataFrame() if last is None else dataset.scan(last.dataset).collect(), fresh]
    columns = list(dict.fromkeys([*fresh.columns, *frames[0].columns]))
    for start in range(0, merged.keys.height, MERGED_ROWS):
        context.check_cancelled()
        part = merged.keys.slice(start, MERGED_ROWS)
        origins = part["origin"].to_list()
        picked = [
            frame[part.filter(pl.col("origin") == number)["at"].to_list()] if number in origins else frame.clear()
            for number, frame in enumerate(frames)
        ]
        cells = {}
        for column in columns:
            each = [
                iter(frame[column].to_list() if column in frame.columns else [None] * part.height) for frame in picked
            ]
            cells[column] = [next(each[origin]) for origin in origins]
        yield Batch(cells)
        context.progress(start + part.height, merged.keys.height, "rows", name)


def _counts(last: _Last | None, fresh: _Fresh, merged: _Merged, reason: str) -> dict[str, Any]:
    """How many rows are new, replaced, deleted and unchanged against the last pull."""
    before = pl.DataFrame(schema=KEYS_SCHEMA) if last is None else last.keys
    num_new = merged.keys.join(before, on="key", how="anti").height
    gone = merged.gone["why"].value_counts()
    by_reason = dict(gone.iter_rows())
    replaced = by_reason.get("replaced", 0)
    return {
        "how": f"everything: {reason}" if reason else "what is new",
        "read": fresh.keys.height + fresh.num_marked,
        "new": num_new,
        "replaced": replaced,
        "deleted": by_reason.get("deleted", 0),
        "unchanged": merged.keys.height - num_new - replaced,
        "marked_deleted": fresh.num_marked,
        "without_cursor": int(merged.keys["cursor"].null_count()),
    }


def _write_cursor(folder: Path, state: Mapping[str, Any], merged: _Merged) -> None:
    (folder / STATE).write_text(json.dumps(state, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    merged.keys.select(list(KEYS_SCHEMA)).write_parquet(folder / KEYS)
    merged.gone.write_parquet(folder / TOMBSTONES)


def _opened(folder: Path, manifest: dataset.Manifest) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(folder / shard, memory_map=False) for shard in manifest.shards])
