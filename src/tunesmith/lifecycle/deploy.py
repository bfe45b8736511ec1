"""A released model opened to be served: as fast as it can be without other answers, and warm before it is asked."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import Literal

from tunesmith.core.errors import RecipeError, TunesmithError
from tunesmith.engines.batching import BatchOptions
from tunesmith.lifecycle.deployment import Answers, Deployment, Observer
from tunesmith.lifecycle.model import Model
from tunesmith.lifecycle.session import Session
from tunesmith.lifecycle.staleness import Staleness
from tunesmith.store.records import ModelVersion

log = logging.getLogger(__name__)
Precision = Literal["float32", "bfloat16"]
NUM_PROBES = 512
"""Rows on which bfloat16 is tried."""
MAX_LANES = 4
"""Parts of one batch at most: of a batch of 32, parts of eight texts."""
WARM_ROWS = 1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 32, 64
"""Rows of the batches that a model answers before it is asked."""
WARM_S = 2.0
"""How long it does so: no larger batch is begun after. Of short texts all of them take half a second; of long ones, or
by a large model, they would take a minute."""


def resolve_reference(session: Session, reference: str) -> ModelVersion:
    """The version that ``name@alias``, ``name@version`` or ``name`` (the newest) means now.

    Raises: RecipeError for what was not released, StoreError naming the nearest known.
    """
    if reference.startswith("run:"):
        raise RecipeError(
            "a run's model is served once it is released", seen=reference, allowed="name@alias, name@version or name"
        )
    name, _, which = reference.partition("@")
    if not which:
        numbers = [one.version for one in session.ledger.models() if one.name == name]
        which = str(max(numbers, default=1))
    return session.ledger.resolve(name, which)


def deploy(
    session: Session,
    reference: str,
    *,
    batching: BatchOptions | None = None,
    on_batch: Callable[[int], None] = lambda rows: None,
    observe: Callable[[ModelVersion], Observer | None] = lambda version: None,
    precision: Precision = "float32",
) -> Deployment:
    """A released model of the session's project, opened and followed.

    ``precision`` bfloat16: where the model's validation and test rows keep their answers (``engines/precision.py``).
    Raises: RecipeError for a language model, StoreError for what is not on record.
    """

    def open(version: ModelVersion) -> tuple[Answers, Observer | None]:
        from tunesmith.lifecycle.model import open_head

        shared = _share_cores()
        reference = f"{version.name}@{version.version}"
        model: Model = open_head(session, reference)
        probes = _probes(session, reference)
        _quicken(reference, model, probes if precision == "bfloat16" else None, shared)
        warm(model, probes)
        return model, observe(version)

    def resolve() -> ModelVersion:
        return resolve_reference(session, reference)

    return Deployment(
        session.workspace.project,
        reference,
        resolve=resolve,
        open=open,
        batching=batching,
        on_batch=on_batch,
        is_stale=Staleness(session).of,
    )


def _share_cores() -> tuple[int, int]:
    """How many parts of a batch are answered side by side, and by how many threads each; the environment may decide.

    A text that comes alone is computed on all cores but one, which reads and writes requests. Threads of one product
    wait for each other spinning: where one of them has to share its core, all of them lose. On two busy cores an answer
    took 20 times as long with two threads as with one (docs/serving.md). Lanes do not wait for each other.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return 1, 1
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(max(1, cores - 1))
    lanes = min(cores, MAX_LANES)
    return lanes, cores // lanes


def warm(model: Answers, texts: Sequence[str]) -> None:
    """Let a model answer batches of every size before it is asked: the first of a size takes up to twice as long.

    Kernels are made for the numbers of tokens that come, and memory is taken that later batches use again.
    """
    texts, until = texts or ["warm"], time.monotonic() + WARM_S
    for rows in WARM_ROWS:
        model.predict_learned(model.as_learned([texts[at % len(texts)] for at in range(rows)]))
        if time.monotonic() > until:
            return


def _quicken(reference: str, model: Model, probes: Sequence[str] | None, shared: tuple[int, int]) -> None:
    """Let a model answer as fast as it can without other answers, and log what was tried."""
    tried = model.quicken(probes, *shared)
    if tried is None:
        return
    words = "answers in bfloat16" if tried.is_used else "stays in float32"
    log.warning(
        "%s %s: %s of %s rows got another answer, the largest change is %.3g",
        *(reference, words, tried.num_other, tried.num_probes, tried.largest_change),
    )


def _probes(session: Session, reference: str) -> list[str]:
    """Texts that a model did not learn from, as it reads them: of its validation and test rows, where present."""
    import polars as pl

    from tunesmith.lifecycle.reports import splits_of

    try:
        folder = splits_of(session, reference).path
        tables = [pl.scan_parquet(folder / f"{name}.parquet") for name in ("validation", "test")]
        return pl.concat([one.select("text") for one in tables]).head(NUM_PROBES).collect()["text"].to_list()
    except (TunesmithError, OSError, pl.exceptions.PolarsError) as error:
        log.info("%s: its validation and test rows cannot be read, so none is tried: %s", reference, error)
        return []
