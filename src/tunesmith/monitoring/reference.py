"""The stage `reference`: what the rows that a model was made with look like, kept so that a check costs little.

Which rows: a model has seen its training rows, and its answers to them are surer than to any others, so answers are
compared with those to the held-out rows (validation and test). Texts and vectors are compared with the training rows
where the encoder was left as it was; an encoder that learned bends its space around the rows it learned from, so there
the held-out rows stand for both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tunesmith.core.artifact import Artifact
from tunesmith.core.engine import Answer, Request
from tunesmith.core.errors import StepError
from tunesmith.core.stage import Facts, Given, StepContext
from tunesmith.models.manifest import ModelManifest
from tunesmith.monitoring import texts as measures
from tunesmith.monitoring.answers import answer_of, columns_of
from tunesmith.monitoring.config import ReferenceConfig
from tunesmith.monitoring.drift import NEAREST, VECTORS, Columns

MOST_HELD_OUT = 10_000
PROGRESS_ROWS = 64
BLOCK_ROWS = 512


class Engine(Protocol):
    """An opened model."""

    def submit(self, request: Request) -> Iterable[Answer]:
        """The answers to a request, in any order."""

    def close(self) -> None:
        """Free the model's memory."""


OpenEngine = Callable[[Path, Path], Engine]


def open_transformers(model: Path, base: Path) -> Engine:
    """The model in this process; ``base`` holds its encoder where only a head was trained."""
    from tunesmith.engines.transformers import TransformersEngine

    return TransformersEngine.open(model, base)


class Reference:
    """Measures the rows a model was made with."""

    makes: ClassVar[Mapping[str, str]] = {"reference": "reference"}

    def __init__(self, config: ReferenceConfig, open_engine: OpenEngine = open_transformers) -> None:
        self.config, self.open_engine = config, open_engine

    def run(self, given: Given, context: StepContext) -> Mapping[str, Facts]:
        """The facts of the reference: vectors, numbers, answers and words lie in ``context.out / "reference"``."""
        folder = context.out / "reference"
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([context.seed, 31])
        manifest = ModelManifest.read(given["model"].path)
        train, held_out = _split(given["splits"], "train"), _held_out(given["splits"], rng)
        is_learned = manifest.trainable == "head" or held_out.height < self.config.most_rows // 20
        rows = _some(train if is_learned else held_out, self.config.most_rows, rng)
        frequency = measures.document_frequency(train["text"].to_list())
        engine = self.open_engine(given["model"].path, given["base"].path)
        try:
            vectors, tokens = embedded(engine, rows["text"].to_list(), context, "reading the reference")
            answers = answered(engine, manifest, held_out["text"].to_list(), context, "answering held-out rows")
        finally:
            engine.close()
        table = measured(rows["text"].to_list(), tokens, frequency, is_learned=is_learned)
        nearest, _ = nearest_to(vectors, vectors, is_same=True)
        table = table.with_columns(pl.Series(NEAREST, nearest), rows["row_id"])
        table.write_parquet(folder / "texts.parquet")
        rows.select("row_id", "text").write_parquet(folder / "rows.parquet")
        frequency.write_parquet(folder / "words.parquet")
        held_out.select("row_id").with_columns(
            pl.Series("answer", [json.dumps(one, ensure_ascii=False) for one in answers], dtype=pl.String)
        ).write_parquet(folder / "answers.parquet")
        _save(vectors, folder / "vectors.safetensors")
        facts = {
            "task": self.config.task,
            "rows": {"texts": rows.height, "answers": held_out.height, "train": train.height},
            "texts_from": "train" if is_learned else "validation and test",
            "hidden": int(vectors.shape[1]) if vectors.size else 0,
            "num_words": frequency.height,
        }
        return {"reference": facts}


def read_reference(reference: Artifact, manifest: ModelManifest) -> Columns:
    """The columns of a reference, to be compared with a window's."""
    from safetensors.numpy import load_file

    table = pl.read_parquet(reference.path / "texts.parquet").drop("row_id")
    language = table["language"].to_list()
    numbers = {name: table[name].to_numpy() for name in table.columns if name != "language"}
    told = [json.loads(one) for one in pl.read_parquet(reference.path / "answers.parquet")["answer"]]
    answers = columns_of(manifest.task, told) if told else Columns()
    return Columns(
        numbers | dict(answers.numbers),
        {"language": language, **answers.categories},
        answers.sets,
        {VECTORS: load_file(reference.path / "vectors.safetensors")["texts"]},
    )


def measured(
    texts: Sequence[str], tokens: Sequence[int], frequency: pl.DataFrame, *, is_learned: bool = False
) -> pl.DataFrame:
    """Everything that is measured of texts, a row each."""
    return measures.measured(texts).with_columns(
        pl.Series("tokens", list(tokens), dtype=pl.Float64),
        pl.Series("unseen_words", measures.unseen_shares(texts, frequency, is_learned=is_learned), dtype=pl.Float64),
    )


def embedded(
    engine: Engine, texts: Sequence[str], context: StepContext, note: str
) -> tuple[NDArray[np.float32], list[int]]:
    """The vector of each text in the model's own space, scaled to length 1, and how many tokens were read."""
    answers = _every(engine, Request("embed", list(texts)), context, note)
    vectors = np.array([one.values for one in answers], np.float32).reshape(len(texts), -1)
    return vectors, [one.num_tokens + one.num_truncated_tokens for one in answers]


def answered(
    engine: Engine, manifest: ModelManifest, texts: Sequence[str], context: StepContext, note: str
) -> list[dict[str, Any]]:
    """The model's answer to each text."""
    answers = _every(engine, Request("predict", list(texts)), context, note)
    return [answer_of(manifest, one.values, one.score) for one in answers]


def nearest_to(
    vectors: NDArray[np.float32], known: NDArray[np.float32], *, is_same: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """How alike each vector is to the nearest known one (cosine), and which that is; ``is_same``: to another one."""
    best, places = np.zeros(len(vectors)), np.zeros(len(vectors), np.int64)
    for start in range(0, len(vectors), BLOCK_ROWS):
        alike = vectors[start : start + BLOCK_ROWS] @ known.T
        if is_same:
            alike[np.arange(len(alike)), start + np.arange(len(alike))] = -np.inf
        places[start : start + BLOCK_ROWS] = alike.argmax(1)
        best[start : start + BLOCK_ROWS] = alike.max(1)
    return np.nan_to_num(best, neginf=0.0), places


def _every(engine: Engine, request: Request, context: StepContext, note: str) -> list[Answer]:
    num = len(request.texts)
    found: list[Answer | None] = [None] * num
    for done, answer in enumerate(engine.submit(request) if num else (), 1):
        found[answer.index] = answer
        if done % PROGRESS_ROWS == 0 or done == num:
            context.progress(done, num, "rows", note)
            context.check_cancelled()
    kept = [one for one in found if one is not None]
    if len(kept) < num or not all(np.isfinite(one.values).all() for one in kept):
        raise StepError("the model left texts without an answer, or its answers are no numbers", seen=f"{num} texts")
    return kept


def _split(splits: Artifact, name: str) -> pl.DataFrame:
    return pl.read_parquet(splits.path / f"{name}.parquet", columns=["row_id", "text"])


def _held_out(splits: Artifact, rng: np.random.Generator) -> pl.DataFrame:
    return _some(pl.concat([_split(splits, name) for name in ("validation", "test")]), MOST_HELD_OUT, rng)


def _some(frame: pl.DataFrame, most: int, rng: np.random.Generator) -> pl.DataFrame:
    """At most so many rows, drawn, in their order."""
    return frame if frame.height <= most else frame[np.sort(rng.permutation(frame.height)[:most])]


def _save(vectors: NDArray[np.float32], path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"texts": np.ascontiguousarray(vectors)}, path)
