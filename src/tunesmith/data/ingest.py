"""The `ingest` stage: one source into one dataset, every record once, with its lineage."""

from __future__ import annotations

import difflib
import hashlib
import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from tunesmith.core.errors import DataError, RecipeError
from tunesmith.core.source import Batch
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.core.subject import subject_hash
from tunesmith.data import dataset
from tunesmith.data.config import IngestConfig
from tunesmith.data.sources.cells import row_bytes, text
from tunesmith.data.sources.config import RESERVED_COLUMNS, SourceConfig

TEXT_NAMES = ("message", "body", "content", "utterance", "sentence", "comment", "description", "question", "title",
              "review", "tweet", "note", "query", "document", "summary", "subject_line", "v2")  # fmt: skip
"""What a column of texts is often called, likeliest first."""


class Ingest:
    """Reads a source into a dataset."""

    makes: ClassVar[Mapping[str, str]] = {"dataset": "dataset"}

    def __init__(self, config: IngestConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the dataset; its rows lie in ``context.out / "dataset"``."""
        config = self.config.source
        source = context.source(config)
        mapping = mapped(config, source.describe().columns, self.config.required)
        rows = Lineage(config, mapping, context.subject_key(), self.config.erased)

        def batches() -> Iterator[Batch]:
            num_read = 0
            for batch in source.read():
                context.check_cancelled()
                num_read += batch.num_rows + len(batch.refused)
                yield rows.traced(rows.without_erased(batch))
                # A source does not know its length before it is read: a total of 0 says so.
                context.progress(num_read, 0, "rows", config.name)

        manifest = dataset.write_dataset(context.out / "dataset", batches(), list(mapping))
        # Some oddities are known only once all was read.
        description = source.describe()
        notes = [*description.notes, *rows.notes]
        return {"dataset": facts_of(config, manifest, description.format, notes, rows.num_erased)}


def facts_of(
    config: SourceConfig, manifest: dataset.Manifest, form: str, notes: Sequence[str], num_erased: int = 0
) -> Facts:
    """The facts of a dataset that was read from a source; ``num_erased``: rows of erased people, which are not in it.

    Raises: DataError where nothing was read.
    """
    rows_read = manifest.rows + sum(manifest.refused.values())
    if not rows_read:
        if num_erased:
            raise DataError(
                f"every row of source `{config.name}` is of a person who was erased",
                seen=f"{num_erased} rows",
                next="remove the source from the recipe",
            )
        raise DataError(f"source `{config.name}` has no rows", seen=form, next="export it again, or remove it")
    return {
        "source": config.name,
        "kind": str(getattr(config, "kind", "")),
        "format": form,
        "columns": [name for name in manifest.columns if name not in dataset.LINEAGE],
        "notes": list(notes),
        "rows_read": rows_read,
        "rows": manifest.rows,
        "refused": dict(manifest.refused),
        "purpose": config.purpose,
        "licence": config.licence,
    } | ({"erased": num_erased} if num_erased else {})


def mapped(config: SourceConfig, columns: Sequence[str], required: Collection[str] = ("text",)) -> dict[str, str]:
    """Left name → the source's column, for every column that is read on.

    Raises: RecipeError naming the nearest columns when the recipe maps one that is not there, or no text.
    """
    for left, right in config.columns.items():
        if right not in columns:
            near = difflib.get_close_matches(right, columns, n=1, cutoff=0.5) or _same_but_case(right, columns)
            raise RecipeError(
                f"source `{config.name}` has no column `{right}`",
                seen=f"columns: {{{left}: {right}}}",
                allowed=", ".join(columns),
                next=f"did you mean `{left}: {near[0]}`?" if near else "correct `columns` of the source",
            )
    if config.split is not None and "split" in config.columns:
        raise RecipeError(
            f"source `{config.name}` gives its split twice",
            seen=f"split: {config.split}, and columns: {{split: {config.columns['split']}}}",
            allowed="one of the two",
            next="remove `split` where the column decides, or the column where the whole source is one split",
        )
    mapping = dict(config.columns) or {_free(name, columns): name for name in columns}
    if "text" in required and "text" not in mapping:
        guess = next((name for name in _likely_texts(columns) if name not in config.columns.values()), None)
        raise RecipeError(
            f"source `{config.name}` has no column for the role `text`",
            seen=", ".join(f"{left}: {right}" for left, right in config.columns.items())
            or "no `columns` in the recipe",
            allowed=", ".join(columns),
            next=f"write `columns: {{text: {guess or columns[0]}}}`, naming the column that holds the texts",
        )
    return mapping


def _same_but_case(wanted: str, columns: Sequence[str]) -> list[str]:
    return [name for name in columns if name.casefold() == wanted.casefold()]


def _likely_texts(columns: Sequence[str]) -> list[str]:
    """The columns by how likely they hold texts, judged by their names."""
    lower = {name.casefold(): name for name in columns}
    exact = [lower[name] for name in ("text", *TEXT_NAMES) if name in lower]
    similar = [name for part in ("text", *TEXT_NAMES) for low, name in lower.items() if part in low]
    return list(dict.fromkeys([*exact, *similar]))


def _free(name: str, columns: Collection[str]) -> str:
    """A column's own name, or one that is free where its own is that of a lineage column."""
    if name not in RESERVED_COLUMNS:
        return name
    while name in RESERVED_COLUMNS or name in columns:
        name = f"source_{name}"
    return name


HASHED = "tunesmith-subject:"
"""Stands before a subject that this project has hashed already: what people said of answers comes back as rows,
and a person must stay the same person."""
_RECORD_CELLS = tuple(re.compile(one) for one in (r"[,;|\t]", r"[\s,;|:\"'{}\[\]()]+"))
"""What stands between the cells of a record, and between its words."""
HASHED_SUBJECT = re.compile(re.escape(HASHED) + r"([0-9a-f]{32})")


class Lineage:
    """Gives batches the recipe's names, row ids and hashed subjects; one for a whole read."""

    def __init__(
        self, config: SourceConfig, mapping: Mapping[str, str], subject_key: bytes, erased: Collection[str] = ()
    ) -> None:
        """``erased``: the hashed subjects whose rows ``without_erased`` leaves out."""
        self._config, self._mapping, self._subject_key = config, mapping, subject_key
        self._erased = frozenset(erased)
        self.num_erased = 0
        """Rows and records that were left out so far."""
        self._seen: set[int] = set()
        self._repeats: dict[int, int] = {}
        renamed = [f"`{right}` → `{left}`" for left, right in mapping.items() if left != right and not config.columns]
        self.notes = [f"columns called like lineage columns: {', '.join(renamed)}"] if renamed else []
        if config.split is not None and "split" in mapping:
            self.notes.append(f"`split: {config.split}` of the source stands for its column `split`")

    def without_erased(self, batch: Batch) -> Batch:
        """The batch as it was read, without rows of erased people and records that name one."""
        if not self._erased:
            return batch
        column = self._mapping.get("subject", "subject" if not self._config.columns else None)
        cells = None if column is None else batch.columns.get(column)
        keep = [True] * batch.num_rows
        if cells is not None:
            keep = [one not in self._erased for one in self._subjects(cells, batch.num_rows)]
        refused = [one for one in batch.refused if not self._names_erased(one.record)]
        num_left = sum(keep)
        gone = batch.num_rows - num_left + len(batch.refused) - len(refused)
        if not gone:
            return batch
        self.num_erased += gone
        kept = {name: list(itertools.compress(one, keep)) for name, one in batch.columns.items()}
        return Batch(kept, tuple(refused))

    def _names_erased(self, record: str) -> bool:
        """Whether a record that could not be read as a row has an erased subject among its cells."""
        # Only the hash is known, so each thing that may be the subject is hashed.
        cells = {one.strip() for pattern in _RECORD_CELLS for one in pattern.split(record)}
        return any(self._subject(one) in self._erased for one in cells if one)

    def traced(self, batch: Batch, identity: Mapping[str, Sequence[Any]] | None = None) -> Batch:
        """The batch with lineage columns first and the columns that are read on after them.

        ``identity``: what else tells rows apart, such as a key; it goes into their ids and nowhere else.
        """
        columns = self._named(batch)
        num_rows = batch.num_rows
        subjects = self._subjects(columns.pop("subject", None), num_rows)
        lineage: dict[str, list[Any]] = {
            "row_id": self._row_ids({**columns, "subject": subjects, **(identity or {})}),
            "source_id": [self._config.name] * num_rows,
            "subject": subjects,
            "parents": [[]] * num_rows,
        }
        if self._config.split is not None:
            columns["split"] = [self._config.split] * num_rows
        return Batch(lineage | columns, batch.refused)

    def _named(self, batch: Batch) -> dict[str, list[Any]]:
        absent: list[Any] = [None] * batch.num_rows
        columns = {left: batch.columns.get(right, absent) for left, right in self._mapping.items()}
        if not self._config.columns:
            # A source without a schema can grow columns as it is read.
            known = set(self._mapping.values())
            columns |= {_free(name, batch.columns): cells for name, cells in batch.columns.items() if name not in known}
        return columns

    def _subjects(self, cells: Sequence[Any] | None, num_rows: int) -> list[str | None]:
        if cells is None:
            return [None] * num_rows
        return [self._subject(cell) for cell in cells]

    def _subject(self, cell: Any) -> str | None:
        plain = (text(cell) or "").strip()
        if known := HASHED_SUBJECT.fullmatch(plain):
            return known[1]
        return subject_hash(self._subject_key, plain) if plain else None

    def _row_ids(self, columns: Mapping[str, Sequence[Any]]) -> list[str]:
        """A hash of the source's name, the row's content and how often that content came before.

        Nulls are left out, so that a new column does not change the ids of rows that lack it. The subject counts as
        its hash: the id of a short row must not give the plain value away.
        """
        prefix = f"{len(self._config.name)}:{self._config.name}".encode()
        ids = []
        for content in row_bytes(columns):
            digest = hashlib.sha256(prefix + content)
            occurrence = self._occurrence(int.from_bytes(digest.digest()[:8]))
            if occurrence:
                digest.update(b"#%d" % occurrence)
            ids.append(digest.hexdigest()[:32])
        return ids

    def _occurrence(self, short: int) -> int:
        # Half-size hashes keep a million rows below 100 MB; two contents that share one only count as repeats.
        if short not in self._seen:
            self._seen.add(short)
            return 0
        self._repeats[short] = self._repeats.get(short, 0) + 1
        return self._repeats[short]
