"""The training rows behind answers: the nearest, those that pushed, and those whose own label may be wrong.

Shapes: N training rows, Q texts, D features, K rows found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tunesmith.core.artifact import Artifact
from tunesmith.explanation.given_labels import Answered, label_text
from tunesmith.explanation.influence import last_layer, pushes, self_influence, targets_of, wrong_direction
from tunesmith.explanation.neighbours import disagreement, nearest
from tunesmith.explanation.vectors import FILE, features_of

if TYPE_CHECKING:
    from tunesmith.engines.transformers import TransformersEngine

MOST_COMPARED = 50_000
"""Training rows whose own neighbours are looked for: every one is compared with all."""
FOUND = {
    "row_id": pl.String(),
    "rank": pl.Int64(),
    "train_row_id": pl.String(),
    "source_id": pl.String(),
    "label": pl.String(),
    "text": pl.String(),
}


@dataclass(frozen=True)
class TrainingRows:
    """The rows that a model was trained on, as it sees them."""

    engine: TransformersEngine
    frame: pl.DataFrame
    """``row_id, source_id, text, label``."""
    vectors_ND: NDArray[np.float32]
    """Pooled features, in the order of the rows."""

    @classmethod
    def read(cls, splits: Artifact, vectors: Artifact, engine: TransformersEngine) -> TrainingRows:
        """The training rows of splits with their vectors."""
        from safetensors.numpy import load_file

        path = splits.path / "train.parquet"
        known = pl.read_parquet_schema(path)
        columns: list[str] = [name for name in ("row_id", "source_id", "text", "label") if name in known]
        frame = pl.read_parquet(path, columns=columns)
        if "source_id" not in known:
            frame = frame.with_columns(pl.lit(None, pl.String).alias("source_id"))
        return cls(engine, frame, load_file(vectors.path / FILE)["train"])

    def features_of(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The features of texts in the same space."""
        return features_of(self.engine.network, self.engine.tokenizer, texts)

    def neighbours(self, row_ids: Sequence[str], asked_QD: NDArray[np.float32], num: int) -> pl.DataFrame:
        """For each text the training rows with the largest cosine: ``FOUND`` and ``similarity``."""
        places_QK, cosines_QK = nearest(asked_QD, self.vectors_ND, num if len(asked_QD) else 0)
        return self._found(row_ids, places_QK, "similarity", cosines_QK)

    def influences(
        self, row_ids: Sequence[str], asked_QD: NDArray[np.float32], answers: Answered, num: int
    ) -> pl.DataFrame:
        """For each answer that is off the training rows that pushed most towards it: ``FOUND`` and ``push``."""
        places = [row for row, is_off in enumerate(answers.is_off) if is_off]
        num = min(num, self.frame.height)
        if not places or not num:
            empty = np.zeros((0, num), np.int64)
            return self._found([], empty, "push", empty.astype(float))
        manifest, head = self.engine.manifest, self.engine.network.head
        train = last_layer(manifest, head, self.vectors_ND)
        asked = last_layer(manifest, head, asked_QD[places])
        direction_QC = wrong_direction(manifest.task, answers.given_NC[places], answers.true_NC[places])
        push_QN = pushes(asked.inputs_ND, direction_QC, train, targets_of(manifest, self.frame["label"].to_list()))
        order_QK = np.argsort(-push_QN, axis=1, kind="stable")[:, :num]
        return self._found(
            [row_ids[row] for row in places], order_QK, "push", np.take_along_axis(push_QN, order_QK, axis=1)
        )

    def suspects(self, most: int, num_neighbours: int, seed: int) -> tuple[pl.DataFrame, int]:
        """The training rows with the largest self-influence, and how many rows were looked at: ``train_row_id,
        source_id, label, text, self_influence, disagreement`` (of the nearest rows' labels; null where none were
        looked for)."""
        own, self_influence_N, off_N = self.scores(num_neighbours, seed)
        order = np.argsort(-self_influence_N, kind="stable")[:most]
        rows = self.frame[[own[at] for at in order]]
        frame = pl.DataFrame(
            {
                "train_row_id": rows["row_id"].cast(pl.String),
                "source_id": rows["source_id"],
                "label": pl.Series([label_text(one) for one in rows["label"].to_list()], dtype=pl.String),
                "text": rows["text"],
                "self_influence": pl.Series([float(self_influence_N[at]) for at in order], dtype=pl.Float64),
                "disagreement": pl.Series([None if off_N is None else off_N[at] for at in order], dtype=pl.Float64),
            }
        )
        return frame, len(own)

    def scores(self, num_neighbours: int, seed: int) -> tuple[list[int], NDArray[np.float64], list[float] | None]:
        """The places of the rows looked at, their self-influence, and how far their nearest rows' labels differ."""
        own = list(range(self.frame.height))
        if len(own) > MOST_COMPARED:
            own = np.sort(np.random.default_rng(seed).choice(len(own), MOST_COMPARED, replace=False)).tolist()
        manifest, labels = self.engine.manifest, self.frame["label"].to_list()
        train = last_layer(manifest, self.engine.network.head, self.vectors_ND)
        scores_N = self_influence(train, targets_of(manifest, labels))[own]
        if not num_neighbours or len(labels) < 2:
            return own, scores_N, None
        places_QK, _ = nearest(self.vectors_ND[own], self.vectors_ND, num_neighbours, own)
        return own, scores_N, disagreement(manifest.task, labels, own, places_QK)

    def _found(
        self, row_ids: Sequence[str], places_QK: NDArray[np.int64], name: str, values_QK: NDArray[Any]
    ) -> pl.DataFrame:
        num = places_QK.shape[1]
        rows = self.frame[places_QK.ravel().tolist()]
        columns = {
            "row_id": [str(one) for one in row_ids for _ in range(num)],
            "rank": [rank for _ in row_ids for rank in range(1, num + 1)],
            "train_row_id": rows["row_id"].cast(pl.String).to_list(),
            "source_id": rows["source_id"].to_list(),
            "label": [label_text(one) for one in rows["label"].to_list()],
            "text": rows["text"].to_list(),
            name: values_QK.astype(float).ravel().tolist(),
        }
        return pl.DataFrame(columns, schema={**FOUND, name: pl.Float64()})
