"""What people said of a model's answers, as rows to train on: texts that are new, and old rows that they correct."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from tunesmith.core import digests
from tunesmith.core.artifact import Artifact
from tunesmith.data.clean import comparable
from tunesmith.data.ingest import HASHED
from tunesmith.data.outside import OUTSIDE
from tunesmith.data.split import SPLITS
from tunesmith.lifecycle.session import Session
from tunesmith.recipe.champion import CORRECTIONS, FEEDBACK
from tunesmith.recipe.recipe import Recipe
from tunesmith.store import observations, withdrawals
from tunesmith.store.files import make_folder, write_bytes
from tunesmith.store.observations import Observation

FOLDER = "retrain"


@dataclass(frozen=True)
class Told:
    """What people said of a model's answers, where the text was kept; the newest first."""

    new: tuple[Observation, ...]
    """Of texts that the champion has no row of in a split."""
    old: tuple[Observation, ...]
    """Of texts that it has."""
    num_unlearned: int
    """How many texts the champion does not have, or has under another label than everybody gave them: else the same
    words would call for a training for ever."""

    def __len__(self) -> int:
        return len(self.new) + len(self.old)

    def sources(self, session: Session, recipe: Recipe) -> list[dict[str, Any]]:
        """The sources that a challenger's recipe reads them from; none where nobody said anything."""
        named = ((FEEDBACK, self.new), (CORRECTIONS, self.old))
        return [_source(session, recipe, name, rows) for name, rows in named if rows]


def told_of(session: Session, name: str, recipe: Recipe, splits: Artifact, without: Collection[str] = ()) -> Told:
    """What people said of the answers of any version of a model, beside the rows of its champion.

    ``without``: sources whose rows leave the champion's. Nothing, where people's words were withdrawn.
    """
    engine, project = session.ledger.engine, session.ledger.project
    purpose = recipe.data.sources[0].purpose
    if any(one.covers(FEEDBACK, purpose) for one in withdrawals.read(engine, project)):
        return Told((), (), 0)
    said = [one for one in reversed(observations.read(engine, project, name)) if one.has_truth and one.text]
    texts = _comparable([one.text for one in said])
    labels, aside = _labels_of(splits, without), _aside(splits)
    outside = splits.facts["outside"]["label"] if "outside" in splits.facts else None
    truths: dict[str, list[Any]] = {}
    for text, one in zip(texts, said, strict=True):
        if text not in aside:
            truths.setdefault(text, []).append(_learned(one.truth, recipe))
    is_old = [text in labels for text in texts]
    return Told(
        new=tuple(one for one, there in zip(said, is_old, strict=True) if not there),
        old=tuple(one for one, there in zip(said, is_old, strict=True) if there),
        num_unlearned=sum(_is_unlearned(labels.get(text), of_it, outside) for text, of_it in truths.items()),
    )


def _is_unlearned(labels: Sequence[Any] | None, truths: Sequence[Any], outside: str | None) -> bool:
    """Whether a champion that has a text under these labels has yet to learn what people said of it."""
    if labels is None:
        return True
    first = truths[0]
    return first not in (None, outside) and all(one == first for one in truths) and any(one != first for one in labels)


def _labels_of(splits: Artifact, without: Collection[str]) -> dict[str, list[Any]]:
    """The labels of the rows of each text, by the form in which texts are compared."""
    found: dict[str, list[Any]] = {}
    for name in SPLITS:
        rows = pl.read_parquet(splits.path / f"{name}.parquet", columns=["text", "label", "source_id"])
        rows = rows.filter(~pl.col("source_id").is_in(list(without)))
        for text, label in zip(_comparable(rows["text"].to_list()), rows["label"].to_list(), strict=True):
            found.setdefault(text, []).append(label)
    return found


def _aside(splits: Artifact) -> frozenset[str]:
    """The texts that the champion has out of scope, which no word of people moves into a split."""
    path = splits.path / OUTSIDE
    return frozenset(_comparable(pl.read_parquet(path, columns=["text"])["text"].to_list()) if path.is_file() else ())


def _comparable(texts: Sequence[str]) -> list[str]:
    """The texts as `extend` tells them apart."""
    frame = pl.DataFrame({"text": texts}, schema={"text": pl.String})
    return frame.select(comparable(pl.col("text"))).to_series().to_list()


def _learned(truth: Any, recipe: Recipe) -> Any:
    """A truth as the label of a row has it; None for one that is no whole label."""
    if recipe.task == "tag":
        return sorted(set(truth))
    if recipe.task != "regress":
        return str(truth).strip()
    if not recipe.label_columns:
        return float(truth)
    numbers = [truth.get(name) for name in recipe.label_columns]
    if None in numbers:
        return None
    return [float(one) for one in numbers] if len(numbers) > 1 else float(numbers[0])


def _source(session: Session, recipe: Recipe, name: str, said: Sequence[Observation]) -> dict[str, Any]:
    """The rows that people labelled, as a file by its content: equal words are an equal source."""
    rows = [row_of(one, recipe) for one in said]
    text = "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
    folder = make_folder(session.workspace.folder / FOLDER)
    path = folder / f"{digests.of_bytes(text.encode())[:16]}.jsonl"
    write_bytes(path, text.encode(), mode=0o600)
    columns: dict[str, Any] = {"text": "text", "subject": "subject"}
    columns |= {"label": list(recipe.label_columns)} if recipe.label_columns else {"label": "label"}
    purpose = recipe.data.sources[0].purpose
    return {"kind": "jsonl", "name": name, "path": str(path), "columns": columns, "purpose": purpose}


def row_of(one: Observation, recipe: Recipe) -> dict[str, Any]:
    """An answer that people gave, with the columns of the recipe's labels."""
    row: dict[str, Any] = {"text": one.text, "subject": None if one.subject is None else f"{HASHED}{one.subject}"}
    if not recipe.label_columns:
        return row | {"label": json.dumps(one.truth, ensure_ascii=False) if recipe.task == "tag" else one.truth}
    if recipe.task == "tag":
        return row | {name: int(name in one.truth) for name in recipe.label_columns}
    numbers: Mapping[str, Any] = one.truth
    return row | {name: numbers.get(name) for name in recipe.label_columns}
