"""What is done to the rows' values before they are sifted: repaired, joined, written in one way, computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import DataError, StepError
from tunesmith.core.tasks import is_language
from tunesmith.data import clean, dataset, derive, joins, language, lines, prompts
from tunesmith.data.changes import Changes
from tunesmith.data.dataset import LINEAGE
from tunesmith.data.gather import Gathered
from tunesmith.data.normalise.columns import normalised
from tunesmith.data.prepare_config import PrepareConfig
from tunesmith.data.refusal import SEEN, WHY
from tunesmith.data.sift import Sifted


@dataclass(frozen=True)
class Inputs:
    """What the stage was given, apart."""

    sources: dict[str, Artifact]
    tables: dict[str, Artifact]
    """Joined tables by their names."""
    made: frozenset[str]
    """Columns that joins and expressions add."""


def inputs(given: Mapping[str, Artifact], config: PrepareConfig) -> Inputs:
    """The sources and the joined tables among what the stage was given.

    Raises: StepError when a table is not among it.
    """
    names = {join.table for join in config.joins}
    if absent := sorted(names - set(given)):
        raise StepError("a joined table was not given to the step: this is a fault of tunesmith", seen=absent)
    tables = {name: one for name, one in given.items() if name in names}
    added = {column for one in tables.values() for column in dataset.columns(one) if column not in LINEAGE}
    sources = {name: one for name, one in given.items() if name not in names}
    return Inputs(sources, tables, frozenset({*config.derive, *added}))


def shaped(
    gathered: Gathered, tables: Mapping[str, Artifact], config: PrepareConfig, changes: Changes
) -> tuple[Gathered, dict[str, int]]:
    """The rows with every value as it is to be sifted, and how many rows each kind of repair changed.

    Raises: RecipeError when a step names a column that is not there; DataError when a joined key is ambiguous.
    """
    # Lines end where white space is repaired.
    rows = lines.examined(gathered.rows, config.noise, changes)
    # Conversations were repaired turn by turn: in JSON, a quotation mark put for an entity would end its string.
    are_written = is_language(config.task) and prompts.MESSAGES in gathered.rows.columns
    written = ("text", *prompts.WRITTEN) if are_written else ()
    mapped = [name for name in gathered.mapped if name not in written]
    rows, repaired = clean.repair(rows, mapped, config.clean, changes)
    rows = joins.joined(rows, config.joins, tables, config.clean, changes)
    rows = normalised(rows, config.normalise, changes)
    rows = derive.derived(rows, config.derive, changes)
    if config.language is not None:
        rows = language.identified(rows, config.language, changes)
    for role in ("text", "label"):
        if role not in rows.columns:
            raise DataError(
                f"no source, table or expression gives a column for `{role}`",
                seen=", ".join(name for name in rows.columns if name not in LINEAGE and not name.startswith("_")),
                next=f"map it in a source: `columns: {{{role}: its name}}`, or derive it",
            )
    others = [name for name in rows.columns if name not in (*LINEAGE, "text", "label") and not name.startswith("_")]
    answer = () if is_language(config.task) else ("label",)
    return replace(gathered, rows=rows, mapped=("text", *answer, *others)), repaired


def quarantine_refused(sifted: Sifted) -> None:
    """Put the rows in quarantine that a step refused."""
    if WHY in sifted.kept.columns:
        sifted.take_out("quarantined", pl.col(WHY).is_not_null(), pl.col(WHY), reason=pl.col(SEEN))
        sifted.kept = sifted.kept.drop(WHY, SEEN)
