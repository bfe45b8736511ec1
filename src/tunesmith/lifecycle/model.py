"""A trained model by its reference, ready to answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.core.artifact import Artifact
from tunesmith.core.engine import Answer, Engine, Request
from tunesmith.core.errors import RecipeError
from tunesmith.governance.privacy.treat import treatment_of
from tunesmith.lifecycle.language_model import LanguageModel
from tunesmith.lifecycle.registry import base_digest, find_artifact
from tunesmith.lifecycle.session import Session
from tunesmith.models.language_manifest import LanguageManifest
from tunesmith.models.manifest import ModelManifest, Rejection
from tunesmith.models.manifests import read_manifest
from tunesmith.store.artifacts import ArtifactStore
from tunesmith.texts.repair import repair_texts

if TYPE_CHECKING:
    from tunesmith.engines.precision import Reduced


@dataclass(frozen=True)
class Prediction:
    """The answer to one text."""

    label: str | None
    """The most probable label, or for a rejected text what it is called; None for any other task."""
    probability: float | None
    """The probability of the most probable label; None for any other task."""
    value: float | None
    """The predicted number; None for labels, and for several targets."""
    probabilities: dict[str, float]
    """Probability by label; empty for numbers."""
    num_truncated_tokens: int = 0
    """Tokens of the text that the model could not read."""
    labels: tuple[str, ...] | None = None
    """``tag``: the labels given, in the model's order; None for any other task."""
    values: dict[str, float] | None = None
    """``regress`` with several targets: value by target; None for any other task."""
    is_rejected: bool = False
    """Whether the model does not know such texts; ``probabilities`` still says what it would have answered."""
    score: float | None = None
    """Of a model that rejects: how surely it knows the text, to be compared with its threshold."""
    answer: str | None = None
    """Of a language model: what it wrote; None for any other."""
    is_cut: bool = False
    """Whether that answer was ended by the most tokens it may have."""
    refused: str | None = None
    """Why a language model could not read what was asked."""
    num_tokens: int = 0
    """Tokens of the text that the model read."""


class Model:
    """An opened model; ``predict`` answers texts in their order."""

    def __init__(self, reference: str, manifest: ModelManifest, engine: Engine, key: bytes | None = None) -> None:
        self.reference, self.task, self.labels = reference, manifest.task, manifest.labels
        self.decision, self.targets = manifest.decision, tuple(manifest.targets)
        thresholds = manifest.decision.thresholds or [0.5] * len(manifest.labels)
        is_tag = manifest.task == "tag"
        self.thresholds: dict[str, float] = dict(zip(manifest.labels, thresholds, strict=True)) if is_tag else {}
        """``tag``: the probability from which on each label is given, above 1: never; empty for any other task."""
        self.scale = {name: {"mean": one.mean, "std": one.std} for name, one in manifest.targets.items()}
        self._repair, self._engine = manifest.repair, engine
        self._treatment = treatment_of(manifest.privacy, key)

    @property
    def rejection(self) -> Rejection | None:
        """When a text is answered at all; None where every text is."""
        return self.decision.reject

    @property
    def engine(self) -> Engine:
        """What answers."""
        return self._engine

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """A prediction for each text, in the order of the texts, which are read as the training rows were."""
        if isinstance(texts, str):
            raise RecipeError("`predict` takes a list of texts", seen="one text", next=f"predict([{texts[:20]!r}])")
        return self.predict_learned(self.as_learned(texts))

    def predict_learned(self, texts: Sequence[str]) -> list[Prediction]:
        """A prediction for each text that ``as_learned`` gave, in their order."""
        answers: dict[int, Answer] = {}
        for answer in self._engine.submit(Request("predict", texts)):
            answers[answer.index] = answer
        ordered = [answers[place] for place in range(len(texts))]
        return [replace(self._prediction(one), num_tokens=one.num_tokens) for one in ordered]

    def as_learned(self, texts: Sequence[str]) -> list[str]:
        """The texts as the model reads them: without personal data where it was trained without, then repaired."""
        treated = texts if self._treatment is None else self._treatment.texts(texts)
        return repair_texts(treated, unicode=self._repair.unicode, whitespace=self._repair.whitespace)

    def quicken(self, probes: Sequence[str] | None = None, lanes: int = 1, threads_each: int = 1) -> Reduced | None:
        """Answer without padding and by products laid out for this processor from now on: the same up to rounding.

        ``probes`` are texts, as ``as_learned`` gives them, on which bfloat16 is tried; returned is what that showed.
        ``lanes``: parts of a batch answered side by side, by products of ``threads_each`` threads.
        """
        from tunesmith.engines.quick import quicken
        from tunesmith.engines.transformers import TransformersEngine

        if not isinstance(self._engine, TransformersEngine):
            return None
        self._engine, tried = quicken(self._engine, probes, lanes, threads_each)
        return tried

    def close(self) -> None:
        """Free the model's memory."""
        self._engine.close()

    def _prediction(self, answer: Answer) -> Prediction:
        cut = answer.num_truncated_tokens
        if self.task == "regress":
            if self.targets:
                values = dict(zip(self.targets, answer.values, strict=True))
                return Prediction(None, None, None, {}, cut, values=values)
            return Prediction(None, None, answer.values[0], {}, cut)
        probabilities = dict(zip(self.labels, answer.values, strict=True))
        if self.task == "tag":
            given = tuple(label for label, threshold in self.thresholds.items() if probabilities[label] >= threshold)
            return Prediction(None, None, None, probabilities, cut, labels=given)
        label: str | None = max(probabilities, key=probabilities.__getitem__)
        probability = probabilities[str(label)]
        reject = self.decision.reject
        is_rejected = reject is not None and answer.score is not None and answer.score < reject.threshold
        if is_rejected and reject is not None:
            label = reject.label
        return Prediction(label, probability, None, probabilities, cut, is_rejected=is_rejected, score=answer.score)


def find_model(session: Session, reference: str) -> Artifact:
    """The MODEL artifact of ``name@alias``, ``name@version``, ``name`` (the newest version) or ``run:ID``.

    Raises: StoreError naming the nearest known model.
    """
    return find_artifact(ArtifactStore(session.workspace, session.ledger), reference)


def open_model(session: Session, reference: str) -> Model | LanguageModel:
    """The model of a reference, loaded into this process."""
    artifact = find_model(session, reference)
    manifest, base = read_manifest(artifact.path), base_path(session, artifact)
    key = session.workspace.subject_key() if manifest.privacy else None
    if isinstance(manifest, LanguageManifest):
        from tunesmith.engines.generation import GenerationEngine

        return LanguageModel(reference, manifest, GenerationEngine.open(artifact.path, base), key)
    from tunesmith.engines.transformers import TransformersEngine

    return Model(reference, manifest, TransformersEngine.open(artifact.path, base), key)


def open_head(session: Session, reference: str) -> Model:
    """The model of a reference that answers with labels or numbers.

    Raises: RecipeError for a language model.
    """
    found = open_model(session, reference)
    if isinstance(found, LanguageModel):
        found.close()
        raise RecipeError(
            "this model writes text, and labels or numbers are asked for",
            seen=f"task: {found.task}",
            next=f"tunesmith chat {reference}, or tunesmith predict {reference} FILE --out OUT",
        )
    return found


def base_path(session: Session, model: Artifact) -> Path | None:
    """The folder of the base a model stands on; None where the model brings its own weights."""
    digest = base_digest(model)
    return None if digest is None else ArtifactStore(session.workspace, session.ledger).load(digest).path
