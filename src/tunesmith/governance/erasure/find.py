"""Finds a person's rows in the tables of a project, and what of them nobody else has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl

from tunesmith.governance.erasure.person import Person, fragment, is_telling, names_in, words_in

ROW, SUBJECT, PARENTS = "row_id", "subject", "parents"
LINEAGE = (ROW, "source_id", SUBJECT, PARENTS)
CELLS = frozenset({"text", "messages", "tools", "prompt", "reference", "generated", "answer"})
"""Columns that quote rows, in tables that are not rows themselves."""
NO_CELLS = frozenset({*LINEAGE, "label", "split", "reason", "because_of"})


def tables_of(folder: Path) -> list[Path]:
    """The tables of an artifact."""
    return sorted(folder.rglob("*.parquet"))


def find_rows(folders: Sequence[Path], subject: str) -> set[str]:
    """The ids of a person's rows, and of every row that was made from one of them."""
    found: set[str] = set()
    made: list[pl.DataFrame] = []
    for frame in _columns(folders, (ROW, SUBJECT, PARENTS)):
        if SUBJECT in frame.columns:
            found |= set(frame.filter(pl.col(SUBJECT) == subject)[ROW].drop_nulls().to_list())
        if PARENTS in frame.columns and frame.schema[PARENTS] == pl.List(pl.String):
            made.append(frame.select(ROW, PARENTS).explode(PARENTS).drop_nulls())
    before = -1
    while found and len(found) != before:
        before = len(found)
        for frame in made:
            found |= set(frame.filter(pl.col(PARENTS).is_in(sorted(found)))[ROW].to_list())
    return found


def find_texts(person: Person, folders: Sequence[Path], others: Sequence[str] = (), mine: Sequence[str] = ()) -> None:
    """Note of a person whose rows are known which of their cells, and which words, are in no other row.

    ``others`` and ``mine``: texts that are in no table, of other people and of this one.
    """
    cells: set[str] = {one for one in mine if one}
    labels: set[str] = set()
    for frame in _rows(folders, is_all=True):
        own = frame.filter(pl.col(ROW).is_in(sorted(person.row_ids)))
        cells |= set(_cells(own))
        for name in frame.columns:
            if name == "label" or name.startswith("label:"):
                labels |= _labels(frame[name])
    wanted = {cell for cell in cells if is_telling(cell)}
    wanted |= {part for cell in wanted if (part := fragment(cell)) is not None}
    names = names_in(cells)
    found, words = _elsewhere(wanted, names, lambda: _others(person, folders, others))
    words |= words_in(labels)
    person.texts |= wanted - found
    person.shared = len(wanted & found)
    person.words |= {one for one in names if one.casefold() not in words}


def _others(person: Person, folders: Sequence[Path], others: Sequence[str]) -> Iterator[list[str]]:
    """The cells of everybody else's rows."""
    yield list(others)
    for frame in _rows(folders):
        yield _cells(frame.filter(~pl.col(ROW).is_in(sorted(person.row_ids))))


def _elsewhere(
    wanted: set[str], names: set[str], cells: Callable[[], Iterable[list[str]]]
) -> tuple[set[str], set[str]]:
    """Those of some texts, and of some words, that are in other rows as well."""
    found: set[str] = set()
    words: set[str] = set()
    folded = {one.casefold() for one in names}
    for part in cells():
        if not part:
            continue
        left = sorted(wanted - found)
        if left:
            matched = pl.Series(part).str.extract_many(left, overlapping=True).explode().drop_nulls().unique()
            found |= set(matched.to_list())
        words |= words_in(part) & folded
    return found, words


def _rows(folders: Sequence[Path], *, is_all: bool = False) -> Iterator[pl.DataFrame]:
    """Tables of rows; ``is_all``: also the columns that quote rows of tables about them, one row's in each."""
    for folder in folders:
        for path in tables_of(folder):
            schema = pl.read_parquet_schema(path)
            if ROW in schema and SUBJECT in schema:
                yield pl.read_parquet(path, memory_map=False)
            elif is_all and ROW in schema and not any(one.endswith("_row_id") for one in schema):
                yield pl.read_parquet(path, columns=[one for one in schema if one in {ROW, *CELLS}], memory_map=False)


def _cells(frame: pl.DataFrame) -> list[str]:
    strings = [
        name for name, dtype in frame.schema.items() if dtype == pl.String and name not in NO_CELLS and ":" not in name
    ]
    return [cell for name in strings for cell in frame[name].drop_nulls().unique().to_list() if cell]


def _labels(column: pl.Series) -> set[str]:
    if isinstance(column.dtype, pl.List):
        column = column.explode()
    return set(column.drop_nulls().unique().to_list()) if column.dtype == pl.String else set()


def _columns(folders: Sequence[Path], names: Sequence[str]) -> Iterator[pl.DataFrame]:
    """These columns of every table that has row ids."""
    for folder in folders:
        for path in tables_of(folder):
            schema = pl.read_parquet_schema(path)
            if ROW in schema and schema[ROW] == pl.String:
                yield pl.read_parquet(path, columns=[one for one in names if one in schema], memory_map=False)
