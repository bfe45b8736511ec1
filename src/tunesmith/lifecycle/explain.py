"""A model's answers explained: the words that speak for them, and the training rows that are like them."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core.artifact import Artifact
from tunesmith.core.errors import Interrupted, RecipeError, TunesmithError
from tunesmith.explanation.attribution import Attribution
from tunesmith.explanation.config import ExplainConfig, Method, VectorsConfig
from tunesmith.lifecycle import columns
from tunesmith.lifecycle.language_model import LanguageModel
from tunesmith.lifecycle.model import Model, Prediction, find_model, open_model
from tunesmith.lifecycle.reports import run_of, splits_of
from tunesmith.lifecycle.runner import Runner
from tunesmith.lifecycle.session import Session
from tunesmith.lifecycle.steps import StepSpec
from tunesmith.lifecycle.table_file import open_table, sample
from tunesmith.store.artifacts import ArtifactStore

if TYPE_CHECKING:
    from tunesmith.explanation.explainer import Explainer

MOST_TEXTS = 200
"""Texts of a file that are explained: an explanation costs as much as a hundred answers."""
TOGETHER = 4
"""Texts explained between two reports of progress."""


@dataclass(frozen=True)
class Neighbour:
    """A training row that is like a text."""

    row_id: str
    source: str | None
    """The source that it came from, by its name in the recipe."""
    label: str
    text: str
    similarity: float
    """Cosine in the model's own space, 1 for the same."""


@dataclass(frozen=True)
class Explained:
    """One text, its answer, and what is behind it."""

    text: str
    """As it was asked."""
    prediction: Prediction
    attribution: Attribution
    """Its ``text`` is what the model read: redacted and repaired as the training rows were. It may be a part, as of a
    text of over 100,000 characters."""
    neighbours: tuple[Neighbour, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The explanation as JSON values."""
        return asdict(self)


_explainers: weakref.WeakKeyDictionary[Model, Explainer] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def explain_opened(
    model: Model, texts: Sequence[str], method: Method = "ig", label: str | None = None
) -> list[Attribution]:
    """The words of each text and what they add to its answer, by an opened model that others may use meanwhile.

    ``label`` names what is explained: without it the likeliest label, or the first target. Raises: RecipeError for a
    label the model does not have, for an engine whose network is out of reach, or where `ig` lacks Captum.
    """
    if isinstance(texts, str):
        raise RecipeError("`explain` takes a list of texts", seen="one text", next=f"explain([{texts[:20]!r}])")
    return explain_learned(model, model.as_learned(texts), method, label)


def explain_learned(model: Model, texts: Sequence[str], method: Method, label: str | None) -> list[Attribution]:
    """The words of each text that ``as_learned`` gave, as ``explain_opened``."""
    return _explainer(model).attribute(texts, method, label=label)


def _explainer(model: Model) -> Explainer:
    """What explains a model's answers, made ready once for as long as the model is open."""
    from tunesmith.engines.transformers import TransformersEngine
    from tunesmith.explanation.explainer import Explainer

    with _lock:
        known = _explainers.get(model)
        if known is None:
            engine: Any = model.engine
            while not isinstance(engine, TransformersEngine):
                engine = getattr(engine, "engine", None)  # one that gathers requests stands before the model's own
                if engine is None:
                    raise RecipeError(
                        "this model runs where its network cannot be looked into",
                        seen=type(model.engine).__name__,
                        next="explain it through the workspace that trained it: tunesmith explain MODEL --text TEXT",
                    )
            known = _explainers[model] = Explainer(engine, ExplainConfig())
        return known


def explain(
    session: Session,
    reference: str,
    texts: Sequence[str],
    method: Method = "ig",
    *,
    label: str | None = None,
    neighbours: int = 0,
) -> list[Explained]:
    """Each text with its answer, its words, and the training rows nearest to it.

    Raises: RecipeError for a language model, or a label the model does not have; Interrupted where it was cancelled.
    """
    _tell(session, 0, len(texts), "opening the model")
    model = open_model(session, reference)
    try:
        if isinstance(model, LanguageModel):
            raise RecipeError(
                "this model writes text, and labels or numbers are explained",
                seen=f"task: {model.task}",
                next=f"tunesmith chat {reference}, or tunesmith predict {reference} FILE --out OUT",
            )
        answers, found = [], []
        for start in range(0, len(texts), TOGETHER):
            _tell(session, start, len(texts), method)
            part = texts[start : start + TOGETHER]
            learned = model.as_learned(part)
            answers += model.predict_learned(learned)
            found += explain_learned(model, learned, method, label)
        _tell(session, len(texts), len(texts), "training rows" if neighbours else method)
        near = _neighbours(session, reference, model, [one.text for one in found], neighbours) if neighbours else []
    finally:
        model.close()
    return [
        Explained(text, answer, one, near[place] if near else ())
        for place, (text, answer, one) in enumerate(zip(texts, answers, found, strict=True))
    ]


def _tell(session: Session, done: int, total: int, what: str) -> None:
    """Tell how far it is, and stop where that was asked for."""
    if session.cancel.is_set():
        raise Interrupted("interrupted; nothing was explained", next="run the same command again")
    told = {"done": done, "total": total, "unit": "texts", "note": what}
    session.listener({"event": "progress", "step": "explain", "t": time.time(), **told})


def texts_of(path: Path, text_column: str | None, trained_on: Sequence[str]) -> tuple[list[str], int]:
    """The first texts of a file, and how many records were not taken: those behind, and those without a text."""
    table = open_table(path, [text_column] if text_column else trained_on)
    column, _ = columns.text_column(sample(table), text_column, trained_on, path.name)
    found: list[str] = []
    num_records = 0
    for record in islice(table.records(), None):
        num_records += 1
        cell = record.cells.get(column)
        if len(found) < MOST_TEXTS and record.error is None and not columns.is_empty(cell):
            found.append(str(cell))
    if not found:
        raise RecipeError("the file holds no text", seen=f"{path.name}, column `{column}`", next="--text-column NAME")
    return found, num_records - len(found)


def _neighbours(
    session: Session, reference: str, model: Model, texts: Sequence[str], num: int
) -> list[tuple[Neighbour, ...]]:
    """The nearest training rows of texts as the model reads them."""
    from tunesmith.engines.transformers import TransformersEngine
    from tunesmith.explanation.training_rows import TrainingRows

    splits, vectors = training_vectors(session, reference)
    engine = model.engine
    assert isinstance(engine, TransformersEngine)
    rows = TrainingRows.read(splits, vectors, engine)
    places = [str(place) for place in range(len(texts))]
    frame = rows.neighbours(places, rows.features_of(texts), num)
    found: dict[str, list[Neighbour]] = {place: [] for place in places}
    for one in frame.iter_rows(named=True):
        found[one["row_id"]].append(
            Neighbour(one["train_row_id"], one["source_id"], one["label"], one["text"], one["similarity"])
        )
    return [tuple(found[place]) for place in places]


def training_vectors(session: Session, reference: str) -> tuple[Artifact, Artifact]:
    """The splits a model was trained on and the vectors of their training rows, made where no step made them yet.

    Raises: StoreError where the rows are gone.
    """
    store = ArtifactStore(session.workspace, session.ledger)
    steps = {one.name: one for one in session.ledger.run_steps(run_of(session, reference))}
    known = steps.get("vectors")
    if known is not None and known.status in ("done", "cached") and known.step_key is not None:
        made = store.find(known.step_key)
        if made is not None:
            return _splits_behind(session, reference, made["vectors"]), made["vectors"]
    model, splits = find_model(session, reference), splits_of(session, reference)
    held = {"model": model.digest, "base": str(model.facts["base"]["digest"]), "splits": splits.digest}
    runner = Runner(
        session.workspace,
        session.ledger,
        seed=0,
        listener=session.listener,
        is_cancelled=session.cancel.is_set,
    )
    made_now = runner.run([StepSpec("vectors", "vectors", VectorsConfig(), held=held)])["vectors"]
    return splits, made_now["vectors"]


def _splits_behind(session: Session, reference: str, vectors: Artifact) -> Artifact:
    """The splits that vectors were made of: not always those of `prepare`, as suspects may have been taken out."""
    store = ArtifactStore(session.workspace, session.ledger)
    for digest in vectors.parents:
        try:
            found = store.load(digest)
        except TunesmithError:
            continue
        if found.kind == "splits":
            return found
    return splits_of(session, reference)
