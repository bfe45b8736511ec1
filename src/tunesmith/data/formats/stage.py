"""The `format` stage: rows of whatever form made conversations, every row once, as one or among the refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, ClassVar

import polars as pl

from tunesmith.core.artifact import Artifact
from tunesmith.core.conversation import Conversation
from tunesmith.core.errors import DataError, TunesmithError
from tunesmith.core.source import Batch, Refused
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.data import dataset
from tunesmith.data.dataset import LINEAGE
from tunesmith.data.formats.config import FormatConfig
from tunesmith.data.formats.convert import Tally, converted, facts_of
from tunesmith.data.formats.detect import SAMPLE_ROWS, Detected, detect
from tunesmith.data.formats.draft import UNKNOWN_ROLE, UNTRAINED, Fault
from tunesmith.data.formats.json_cells import written
from tunesmith.data.formats.readable import readable
from tunesmith.data.formats.table import said_as
from tunesmith.data.row_groups import parts
from tunesmith.data.sources.batches import bounded

SLICE_ROWS = 10_000
MADE = ("text", "messages", "tools")
RESERVED = frozenset({*MADE, "label", "prompt"})
"""Columns that mean something else from here on: a source's own of that name is kept under another."""


class Format:
    """Makes the rows of a dataset conversations."""

    makes: ClassVar[Mapping[str, str]] = {"dataset": "dataset"}

    def __init__(self, config: FormatConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the dataset of conversations, which lies in ``context.out / "dataset"``.

        Raises: RecipeError where the recipe names a column that is not there; DataError where the format is none that
        is known, or no row is a conversation.
        """
        source = given["dataset"]
        if not source.facts["rows"]:
            raise DataError(
                f"no record of source `{self.config.source}` could be read as a row",
                seen=", ".join(f"{reason}: {n}" for reason, n in source.facts["refused"].items()) or "no records",
                next="see what stands in the file, and which `kind` the source is",
            )
        detected = detect(_sample(dataset.scan(source)), self.config)
        work = _Work(self.config, detected, source)
        manifest = dataset.write_dataset(context.out / "dataset", work.batches(context), [*MADE, *work.names.values()])
        if not manifest.rows:
            raise _nothing_left(self.config, work)
        facts = {
            **source.facts,
            "columns": [name for name in manifest.columns if name not in LINEAGE],
            "rows": manifest.rows,
            "refused": dict(manifest.refused),
            "notes": [*source.facts.get("notes", ()), *detected.notes, *work.notes, *work.other_form()],
            "repair": {"unicode": self.config.unicode, "whitespace": self.config.whitespace},
            "conversations": facts_of(detected, work.tally, work.refused),
        }
        return {"dataset": facts}


class _Work:
    """One pass over a dataset."""

    def __init__(self, config: FormatConfig, detected: Detected, source: Artifact) -> None:
        self.config, self.detected, self.source = config, detected, source
        self.tally = Tally()
        self.refused: Counter[str] = Counter()
        """What this step refused, by reason."""
        self.some_refused: list[pl.DataFrame] = []
        """The first rows among them."""
        read = {name for columns in detected.columns.values() for name in columns}
        self.read = [name for name in dataset.columns(source) if name in read]
        others = [name for name in dataset.columns(source) if name not in LINEAGE and name not in read]
        self.names = {name: _free(name, others) for name in others}
        """The source's own columns that stay → what they are called from here on."""
        renamed = [f"`{name}` → `{new}`" for name, new in self.names.items() if name != new]
        self.notes = [f"columns called like those of conversations: {', '.join(renamed)}"] if renamed else []

    def batches(self, context: StepContext) -> Iterator[Batch]:
        """The records that were refused before, then the rows in order."""
        before = dataset.read_refused(self.source)
        yield Batch({}, tuple(Refused(one["reason"], one["record"], one["position"]) for one in before.to_dicts()))
        positions = _positions(before["position"].to_list())
        done, total = 0, int(self.source.facts["rows"])
        for shard in dataset.shards(self.source):
            for part in parts(shard, SLICE_ROWS):
                context.check_cancelled()
                context.progress(done, total, "rows", self.config.source)
                yield self._batch(part, [next(positions) for _ in range(part.height)])
                done += part.height

    def _batch(self, part: pl.DataFrame, positions: Sequence[int]) -> Batch:
        made = converted(part, self.detected, self.config, self.tally)
        kept = [at for at, one in enumerate(made) if isinstance(one, Conversation)]
        conversations = [one for one in made if isinstance(one, Conversation)]
        refused = [(at, one) for at, one in enumerate(made) if isinstance(one, Fault)]
        if refused and sum(some.height for some in self.some_refused) < SAMPLE_ROWS:
            self.some_refused.append(part[[at for at, _ in refused[:SAMPLE_ROWS]]])
        rows = part if not refused else part[kept]
        columns: dict[str, list[Any]] = {name: rows[name].to_list() for name in LINEAGE}
        columns["text"] = list(map(readable, conversations))
        columns["messages"] = [one.messages_json() for one in conversations]
        columns["tools"] = [one.tools_json() for one in conversations]
        columns |= {new: rows[name].to_list() for name, new in self.names.items()}
        return Batch(columns, tuple(self._refused(part, at, fault, positions[at]) for at, fault in refused))

    def other_form(self) -> Iterator[str]:
        """What to know of refused rows that have another form in other columns, as joined files have."""
        if not self.some_refused:
            return
        rows = pl.concat(self.some_refused)
        others = [name for name in rows.columns if name in self.names and rows[name].null_count() < rows.height]
        forms = []
        while others:
            try:
                found = detect(rows.select(others), FormatConfig(source=self.config.source))
            except TunesmithError:
                break
            taken = [name for several in found.columns.values() for name in several]
            forms.append(f"{found.format.title} ({', '.join(taken)})")
            others = [name for name in others if name not in taken]
        if forms:
            yield (
                f"read as {self.detected.format.title}; rows that were refused hold {' and '.join(forms)}: a source "
                "has one form, so put them in a file of their own and name each under `sources`"
            )

    def _refused(self, part: pl.DataFrame, at: int, fault: Fault, position: int) -> Refused:
        self.refused[fault.reason] += 1
        row = part.row(at, named=True)
        seen = {"seen": fault.seen} if fault.seen else {}
        record = {"row_id": row["row_id"], **seen, **{name: row[name] for name in self.read}}
        return Refused(fault.reason, bounded(written(record)), position)


def _sample(rows: pl.LazyFrame) -> pl.DataFrame:
    """The first rows; a column without a value there shows the first ones it has, so that it is known by them."""
    head = rows.head(SAMPLE_ROWS).collect()
    for name in head.columns:
        if name in LINEAGE or head[name].dtype != pl.String or head[name].str.strip_chars().str.len_chars().sum():
            continue
        text = pl.col(name)
        values = rows.select(text.filter(text.str.strip_chars() != "").head(head.height)).collect()[name]
        head = head.with_columns(values.extend_constant(None, head.height - len(values)))
    return head


def _positions(refused: Sequence[int]) -> Iterator[int]:
    """The places in the source of the rows that were read: those that no refused record has."""
    taken = set(refused)
    return (place for place in count(1) if place not in taken)


def _free(name: str, others: Sequence[str]) -> str:
    """A column's own name, or one that is free where its own means something else from here on."""
    while name in RESERVED:
        name = f"source_{name}"
        while name in others:
            name = f"source_{name}"
    return name


def _nothing_left(config: FormatConfig, work: _Work) -> DataError:
    """The error of a source without any conversation."""
    reasons = ", ".join(f"{reason}: {n}" for reason, n in work.refused.most_common(5))
    most = next((reason for reason, _ in work.refused.most_common(1)), "")
    mapping = ", ".join(f"{role}: {' + '.join(columns)}" for role, columns in work.detected.columns.items())
    way_out = f"see whether {mapping} is meant, or write {said_as('columns: {..}')}"
    if most == UNTRAINED:
        way_out = "give the assistant's turns that are to be learned a `weight` above 0, or leave `weight` out"
    if most == UNKNOWN_ROLE:
        role = work.tally.unknown_roles.most_common(1)[0][0]
        way_out = f"say who that is: {said_as(f'roles: {{{role}: user}}')}, or `assistant`, `system`, `tool`"
    return DataError(
        f"no row of source `{config.source}`, read as {work.detected.format.title}, is a conversation",
        seen=reasons or "no rows",
        next=way_out,
    )
