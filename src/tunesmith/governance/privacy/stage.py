"""The stages `pii_scan` (finds) and `privacy` (finds, and rewrites the rows): personal data of one source."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import DataError, Denied, RecipeError
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.governance.privacy import nested, pseudonyms
from tunesmith.governance.privacy.config import PrivacyStageConfig
from tunesmith.governance.privacy.treat import Treated, Treatment

MANIFEST, REFUSED, RECORD = "manifest.json", "refused.parquet", "record"
LINEAGE = ("row_id", "source_id", "subject", "parents")
SLICE_ROWS = 50_000
EXAMPLES = 5
SCHEMA = {
    "row_id": pl.String(),
    "position": pl.Int64(),
    "column": pl.String(),
    "entity": pl.String(),
    "start": pl.Int64(),
    "end": pl.Int64(),
    "score": pl.Float64(),
    "action": pl.String(),
}


class PiiScan:
    """Finds personal data in a dataset and changes nothing."""

    makes: ClassVar[Mapping[str, str]] = {"findings": "findings"}

    def __init__(self, config: PrivacyStageConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the findings, which lie in ``context.out / "findings"``.

        Raises: Denied where the recipe blocks what was found, naming counts and row ids.
        """
        work = _Work(self.config, given["dataset"], context)
        for _, part in work.parts():
            work.treat(part, work.scanned(part))
        work.treat_refused()
        return {"findings": work.finish()}


class Privacy:
    """Finds personal data in a dataset, and redacts or pseudonymises it."""

    makes: ClassVar[Mapping[str, str]] = {"dataset": "dataset", "findings": "findings"}

    def __init__(self, config: PrivacyStageConfig) -> None:
        self.config = config

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the rewritten dataset and of the findings.

        Raises: Denied where the recipe blocks what was found; DataError where redacting would join groups of rows.
        """
        dataset, out = given["dataset"], context.out / "dataset"
        out.mkdir(parents=True, exist_ok=True)
        work = _Work(self.config, dataset, context)
        for shard, pieces in _by_shard(work.parts()):
            treated = [work.treat(part, work.scanned(part)) for part in pieces]
            pl.concat(treated).write_parquet(out / shard)
        work.treat_refused().write_parquet(out / REFUSED)
        applied = self.config.privacy.model_dump(mode="json")
        manifest = json.loads((dataset.path / MANIFEST).read_text(encoding="utf-8"))
        # What was applied is part of the bytes: rows without personal data are no artifact of their source's name.
        _write_json(out / MANIFEST, manifest | {"privacy": applied})
        findings = work.finish()
        return {"dataset": {**dataset.facts, "privacy": applied}, "findings": findings}


@dataclass
class _Counts:
    """What was found, while it is found."""

    values: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(column, entity, action) → values."""
    rows: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    found_rows: int = 0
    touched_rows: int = 0
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Entity that is blocked → ids of rows that have it."""


class _Work:
    """One pass over a dataset, slice by slice."""

    def __init__(self, config: PrivacyStageConfig, dataset: Artifact, context: StepContext) -> None:
        self.config, self.dataset, self.context = config, dataset, context
        self.out = context.out / "findings"
        self.out.mkdir(parents=True, exist_ok=True)
        self.treatment = Treatment(config.privacy, context.subject_key())
        self.counts = _Counts()
        self.columns: dict[str, None] = {}
        self.num_rows = self.num_written = 0
        self.frames: list[Path] = []
        manifest = json.loads((dataset.path / MANIFEST).read_text(encoding="utf-8"))
        self.shards: list[str] = list(manifest["shards"])
        self.total = int(manifest["rows"])
        self._check_columns(manifest["columns"])

    def parts(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """The rows, with the shard they are of, at most ``SLICE_ROWS`` at once."""
        for shard in self.shards:
            frame = pl.read_parquet(self.dataset.path / shard, memory_map=False)
            for start in range(0, max(1, frame.height), SLICE_ROWS):
                self.context.check_cancelled()
                self.context.progress(self.num_rows, self.total, "rows", self.config.source)
                yield shard, frame.slice(start, SLICE_ROWS)

    def scanned(self, part: pl.DataFrame) -> list[str]:
        """The columns that are looked into."""
        wanted = self.config.privacy.columns
        strings = [
            name
            for name, dtype in part.schema.items()
            if dtype == pl.String and name not in LINEAGE and name not in self.config.skip
        ]
        return [name for name in strings if wanted is None or name in wanted]

    def treat(self, part: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
        """The rows with their texts treated; a row that is another now names itself as its parent."""
        found_rows: set[int] = set()
        touched: set[int] = set()
        for name in columns:
            self.columns[name] = None
            treated = nested.column(self.treatment, part[name], name)
            part = part.with_columns(treated.texts.alias(name))
            touched |= treated.changed
            found_rows |= self._count(name, treated, part["row_id"])
        self.num_rows += part.height
        self.counts.found_rows += len(found_rows)
        self.counts.touched_rows += len(touched)
        if touched:
            own = part["row_id"].gather(sorted(touched)).to_list()
            parents = part["parents"].to_list()
            for row, row_id in zip(sorted(touched), own, strict=True):
                parents[row] = [*(parents[row] or []), row_id]
            part = part.with_columns(pl.Series("parents", parents, dtype=pl.List(pl.String)))
        return part

    def treat_refused(self) -> pl.DataFrame:
        """The refused records treated: they are shown in reports as well."""
        refused = pl.read_parquet(self.dataset.path / REFUSED, memory_map=False)
        treated = self.treatment.column(refused[RECORD])
        found = self._count("refused records", treated, None, refused["position"])
        self.counts.found_rows += len(found)
        self.counts.touched_rows += len(treated.changed)
        return refused.with_columns(treated.texts.alias(RECORD))

    def finish(self) -> Facts:
        """Write what was found and return the facts, unless a kind that is blocked is among it."""
        facts = self._facts()
        self._refuse_blocked(facts)
        path = self.out / "findings.parquet"
        if self.frames:
            pl.concat([pl.scan_parquet(one) for one in self.frames]).sink_parquet(path, maintain_order=True)
            for one in self.frames:
                one.unlink()
        else:
            pl.DataFrame(schema=SCHEMA).write_parquet(path)
        _write_json(self.out / "findings.json", facts)
        return facts

    def _check_columns(self, known: Mapping[str, str]) -> None:
        strange = [name for name in self.config.privacy.columns or () if name not in known]
        if strange:
            raise RecipeError(
                f"`data.privacy.columns` names a column that source `{self.config.source}` does not have",
                seen=strange[0],
                allowed=", ".join(name for name in known if name not in LINEAGE and name not in self.config.skip),
            )

    def _count(
        self, column: str, treated: Treated, ids: pl.Series | None, positions: pl.Series | None = None
    ) -> set[int]:
        seen: set[tuple[int, str, str]] = set()
        lines = []
        for row, one, action in treated.found:
            row_id = None if ids is None else ids[row]
            position = None if positions is None else positions[row]
            lines.append((row_id, position, column, one.entity, one.start, one.end, one.score, action))
            self.counts.values[column, one.entity, action] += 1
            if (row, one.entity, action) not in seen:
                seen.add((row, one.entity, action))
                self.counts.rows[column, one.entity, action] += 1
            examples = self.counts.examples[one.entity]
            place = row_id if row_id is not None else f"record {position}"
            if action == "block" and place not in examples and len(examples) < EXAMPLES:
                examples.append(place)
        if lines:
            self._check_groups(column, {entity for _, entity, action in seen if action == "redact"})
            path = self.out / f"part-{len(self.frames):05d}.parquet"
            pl.DataFrame(lines, schema=SCHEMA, orient="row").write_parquet(path)
            self.frames.append(path)
        if treated.sealed:
            rows = [(token, entity, sealed) for token, (entity, sealed) in treated.sealed.items()]
            pseudonyms.write(self.out / f"pseudonyms-{self.num_written:05d}.parquet", rows)
            self.num_written += 1
        return {row for row, _, _ in treated.found}

    def _check_groups(self, column: str, redacted: set[str]) -> None:
        if column in self.config.grouped_by and redacted:
            raise DataError(
                f"rows are told apart by `{column}`, and redacting it makes one group of many",
                seen=f"{', '.join(sorted(redacted))} in source `{self.config.source}`",
                next="write `data: {privacy: {on_pii: pseudonymise}}`, or map the column as `subject`, which is hashed",
            )

    def _facts(self) -> Facts:
        found = [
            {"column": column, "entity": entity, "action": action, "values": number, "rows": self.counts.rows[key]}
            for key, number in sorted(self.counts.values.items(), key=lambda item: (-item[1], item[0]))
            for column, entity, action in [key]
        ]
        return {
            "source": self.config.source,
            "on_pii": self.config.privacy.on_pii,
            "columns": list(self.columns),
            "rows": self.num_rows,
            "rows_found": self.counts.found_rows,
            "rows_touched": self.counts.touched_rows,
            "values": sum(self.counts.values.values()),
            "found": found,
        }

    def _refuse_blocked(self, facts: Facts) -> None:
        blocked = [one for one in facts["found"] if one["action"] == "block"]
        if not blocked:
            return
        words = ", ".join(f"{one['entity']} in `{one['column']}`: {one['rows']} rows" for one in blocked)
        rows = "; ".join(f"{entity}: {', '.join(ids)}" for entity, ids in sorted(self.counts.examples.items()) if ids)
        raise Denied(
            f"source `{self.config.source}` holds personal data, and `data.privacy` blocks it",
            seen=f"{words} (rows {rows})",
            allowed="no personal data of a blocked kind",
            next="remove it at the source, or write `data: {privacy: {on_pii: redact}}`; single kinds: "
            f"`entities: {{{blocked[0]['entity']}: allow}}`",
        )


def _by_shard(parts: Iterator[tuple[str, pl.DataFrame]]) -> Iterator[tuple[str, Iterator[pl.DataFrame]]]:
    from itertools import groupby

    for shard, pieces in groupby(parts, key=lambda one: one[0]):
        yield shard, (part for _, part in pieces)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
