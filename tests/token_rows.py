"""Language models to train in tests: TOKENS artifacts made by hand, bases with random weights, and the stage."""

from __future__ import annotations

import functools
import hashlib
import itertools
import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tests import tiny

from tunesmith.core.artifact import Artifact
from tunesmith.core.stage import Given

NUM_WORDS = 40
"""Ids that rows use, from 10 on: what a model of 32 numbers can learn."""
Rows = Sequence[tuple[Sequence[int], Sequence[float]]]


def rows(num_rows: int, seed: int = 0, longest: int = 24) -> list[tuple[list[int], list[float]]]:
    """Prompts of random ids, answered by the same ids each one higher, and an end: something to learn."""
    rng = random.Random(seed)
    found = []
    for _ in range(num_rows):
        prompt = [rng.randrange(10, 10 + NUM_WORDS) for _ in range(rng.randint(1, longest // 2 - 2))]
        answer = [10 + (one - 9) % NUM_WORDS for one in prompt]
        found.append(([1, *prompt, 3, *answer, 2], [0.0] * (len(prompt) + 2) + [1.0] * (len(answer) + 1)))
    return found


def artifact(folder: Path, splits: Mapping[str, Rows], *, tokenizer: str | None = None, sources: int = 1) -> Artifact:
    """The TOKENS artifact of these rows; row ids are ``train-0`` and so on, sources ``s0`` …, by turns."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("train", "validation", "test"):
        members = splits.get(name, ())
        lengths = [len(tokens) for tokens, _ in members]
        np.save(folder / f"{name}.tokens.npy", np.array([t for tokens, _ in members for t in tokens], np.int32))
        np.save(folder / f"{name}.weights.npy", np.array([w for _, weights in members for w in weights], np.float32))
        np.save(folder / f"{name}.offsets.npy", np.cumsum([0, *lengths], dtype=np.int64))
        pl.DataFrame(
            {
                "row_id": [f"{name}-{place}" for place in range(len(members))],
                "source_id": [f"s{place % sources}" for place in range(len(members))],
                "part": [0] * len(members),
                "num_tokens": lengths,
                "num_trained": [sum(w > 0 for w in weights) for _, weights in members],
                "num_cut": [0] * len(members),
                "num_bytes": lengths,
            },
            schema_overrides={"row_id": pl.String, "source_id": pl.String, "num_trained": pl.Int64},
        ).write_parquet(folder / f"{name}.rows.parquet")
    facts: dict[str, Any] = {"max_tokens": 64, "policy": "drop", "by_source": {}, "num_vocabulary": 512}
    facts |= {} if tokenizer is None else {"tokenizer": tokenizer}
    return tiny.artifact("tokens", "tokens", folder, facts)


@functools.cache
def decoder(family: tiny.Decoder = "llama", **changes: Any) -> Path:
    """A tiny decoder, made once a session."""
    folder = Path(tempfile.mkdtemp(prefix=f"tiny-{family}-"))
    tiny.write_decoder(folder, family, **changes)
    return folder


def base(folder: Path) -> Artifact:
    """The BASE artifact of a language model's folder."""
    from tunesmith.selection.locate import Located
    from tunesmith.selection.pin import inspect

    home = Path(tempfile.mkdtemp(prefix="tiny-base-"))
    (home / "files").symlink_to(folder)
    return tiny.artifact("base", "base", home, inspect(Located(folder.name, folder), "generate"))


def given(
    folder: Path, family: tiny.Decoder = "llama", num_train: int = 24, num_validation: int = 6, **changes: Any
) -> Given:
    """A tiny decoder and rows for it."""
    splits = {"train": rows(num_train), "validation": rows(num_validation, seed=1)}
    return {"base": base(decoder(family, **changes)), "tokens": artifact(folder / "tokens", splits)}


def config(**changes: Any) -> Any:
    """The stage's config: small, float32 and written out, so that results do not hang on the machine."""
    from tunesmith.training.language.phase_config import LanguagePhaseConfig

    settings: dict[str, Any] = {
        "trainable": "full",
        "batch": 8,
        "epochs": 2,
        "precision": "float32",
        "microbatch_tokens": 4096,
        "optimizer": {"kind": "adamw", "lr": 3e-3},
        "validate_every": 1.0,
        "samples": {"rows": 0},
        "on_nan": "stop",
    }
    return LanguagePhaseConfig.model_validate(settings | changes).for_task("generate")


def train(config: Any, given: Given, context: tiny.FakeContext) -> tiny.Trained:
    """Run the stage and read what it left."""
    from tunesmith.training.language.stage import TrainLanguage

    return tiny.left_by(TrainLanguage(config).run(given, context), context)


def digest(files: Mapping[str, bytes]) -> str:
    """One digest of all files, for comparing runs."""
    pairs = itertools.chain.from_iterable((name.encode(), data) for name, data in sorted(files.items()))
    return hashlib.sha256(b"\0".join(pairs)).hexdigest()
