"""Rows put through the stage `format`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from tests.unit.data.context import FakeContext

from tunesmith.core.artifact import Artifact, MadeBy
from tunesmith.core.conversation import Conversation
from tunesmith.core.source import Batch, Refused
from tunesmith.core.stage import Facts
from tunesmith.data import dataset
from tunesmith.data.formats.config import FormatConfig
from tunesmith.data.formats.stage import Format


def made(folder: Path, columns: dict[str, Sequence[Any]], refused: Sequence[Refused] = ()) -> Artifact:
    """A dataset of one source, as `ingest` leaves it; nested cells become JSON text."""
    size = len(next(iter(columns.values())))
    lineage = {
        "row_id": [f"row-{number}" for number in range(size)],
        "source_id": ["chats"] * size,
        "subject": [f"person-{number % 3}" for number in range(size)],
        "parents": [[f"parent-{number}"] for number in range(size)],
    }
    cells = {
        name: [json.dumps(one) if isinstance(one, list | dict) else one for one in column]
        for name, column in columns.items()
    }
    manifest = dataset.write_dataset(folder, [Batch(lineage | cells, tuple(refused))])
    facts = {
        "source": "chats",
        "format": "jsonl",
        "columns": list(columns),
        "notes": ["as it was"],
        "rows_read": size + len(refused),
        "rows": size,
        "refused": dict(manifest.refused),
    }
    return Artifact("dataset", "digest", folder, facts, MadeBy("key", "ingest", 0))


def formatted(
    folder: Path, cells: dict[str, Sequence[Any]], /, refused: Sequence[Refused] = (), **config: Any
) -> tuple[Facts, pl.DataFrame, pl.DataFrame]:
    """The facts, the rows and the refused records of the dataset of conversations."""
    given = made(folder / "given", cells, refused)
    context = FakeContext(folder)
    facts = Format(FormatConfig(source="chats", **config)).run({"dataset": given}, context)["dataset"]
    artifact = context.artifact("dataset", "dataset", facts)
    rows, out = dataset.scan(artifact).collect(), dataset.read_refused(artifact)
    assert facts["rows_read"] == facts["rows"] + sum(facts["refused"].values()) == rows.height + out.height
    return facts, rows, out


def turns(rows: pl.DataFrame, row: int = 0) -> list[tuple[str, str]]:
    """Who said what in a row."""
    read = Conversation.read(rows["messages"][row], rows["tools"][row])
    return [(turn.role, turn.content) for turn in read.turns]


def chat(*said: str, **more: Any) -> list[dict[str, Any]]:
    """Messages of a user and an assistant by turns."""
    return [{"role": ("user", "assistant")[at % 2], "content": one, **more} for at, one in enumerate(said)]
