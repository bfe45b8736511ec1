"""Verbs that use what was trained: load, predict, measure, explain, watch."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunesmith.core.engine import GenerationOptions
from tunesmith.core.events import Listener
from tunesmith.explanation.config import Method
from tunesmith.lifecycle import model as models_of
from tunesmith.lifecycle.language_model import LanguageModel
from tunesmith.lifecycle.model import Model
from tunesmith.verbs.opening import acting

if TYPE_CHECKING:
    from tunesmith.lifecycle.compare import ModelComparison
    from tunesmith.lifecycle.explain import Explained
    from tunesmith.lifecycle.export import Exported, Format
    from tunesmith.lifecycle.measure import Measurement
    from tunesmith.lifecycle.model_card import ModelCard
    from tunesmith.lifecycle.monitor import Monitored
    from tunesmith.lifecycle.predict_file import FileAnswers
    from tunesmith.lifecycle.reports import ReleasedModel


def load(reference: str, *, home: Path | str | None = None, project: str = "default") -> Model | LanguageModel:
    """The model of ``name@alias``, ``name@version``, ``name`` or ``run:ID``, ready to ``predict``; a language model,
    to ``generate``."""
    with acting("load", home, project) as session:
        return models_of.open_model(session, reference)


def models(*, home: Path | str | None = None, project: str = "default") -> list[ReleasedModel]:
    """Every released model version, with its aliases and its main figure."""
    from tunesmith.lifecycle.reports import released

    with acting("models", home, project) as session:
        return released(session)


def model_card(reference: str, *, home: Path | str | None = None, project: str = "default") -> ModelCard:
    """What is known of a model: data, base, scores with intervals, verdict, lineage, size."""
    from tunesmith.lifecycle import model_card as cards

    with acting("model_card", home, project) as session:
        return cards.model_card(session, reference)


def predict_file(
    reference: str,
    path: Path | str,
    out: Path | str,
    *,
    text_column: str | None = None,
    is_all: bool = False,
    options: GenerationOptions | None = None,
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> FileAnswers:
    """Write a file's rows, in their order and as they are, with a model's answers beside them.

    ``options`` say how a language model writes.
    """
    from tunesmith.lifecycle.asked_rows import DETECTED
    from tunesmith.lifecycle.predict_file import check_output
    from tunesmith.lifecycle.predict_file import predict_file as answer
    from tunesmith.lifecycle.reports import asked_columns, learned_format, trained_columns

    check_output(Path(path), Path(out))
    with acting("predict_file", home, project, listener, cancel) as session:
        model = models_of.open_model(session, reference)
        is_language = isinstance(model, LanguageModel)
        return answer(
            session,
            model,
            Path(path),
            Path(out),
            text_column=text_column,
            trained_on=asked_columns(session, reference)
            if is_language
            else trained_columns(session, reference, "text"),
            learned_as=learned_format(session, reference) if is_language else DETECTED,
            is_all=is_all,
            options=options,
        )


def export(
    reference: str,
    out: Path | str,
    format: Format = "merged",
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    *,
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Exported:
    """Write a language model as a Hugging Face folder, or its adapter as PEFT's, once it answers as its source does.

    ``dtype`` is that of a merged model's weights; ``auto``: the one its base is kept in.
    """
    from tunesmith.lifecycle.export import export as written

    with acting("export", home, project, listener, cancel) as session:
        return written(session, reference, Path(out), format, dtype)


def evaluate(
    reference: str,
    path: Path | str,
    label_column: str | None = None,
    *,
    text_column: str | None = None,
    confidence: float = 0.95,
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Measurement:
    """Measure a model on a labelled file."""
    from tunesmith.lifecycle.measure import measure
    from tunesmith.lifecycle.measure_written import measure_written
    from tunesmith.lifecycle.reports import learned_format, learned_texts, trained_columns

    with acting("evaluate", home, project, listener, cancel) as session:
        opened = models_of.open_model(session, reference)
        if isinstance(opened, LanguageModel):
            asked = learned_format(session, reference, question=text_column, answer=label_column)
            learned = learned_texts(session, reference)
            return measure_written(session, opened, Path(path), asked, learned=learned, confidence=confidence)
        return measure(
            session,
            opened,
            Path(path),
            label_column,
            text_column=text_column,
            trained_on=trained_columns(session, reference, "text"),
            labels_were=trained_columns(session, reference, "label"),
            learned=learned_texts(session, reference),
            confidence=confidence,
        )


def explain(
    reference: str,
    texts: Sequence[str],
    method: Method = "ig",
    *,
    label: str | None = None,
    neighbours: int = 0,
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> list[Explained]:
    """Each text with its answer, the words that speak for it or against it, and the training rows nearest to it."""
    from tunesmith.lifecycle.explain import explain as explained

    with acting("explain", home, project, listener, cancel) as session:
        return explained(session, reference, texts, method, label=label, neighbours=neighbours)


def texts_to_explain(
    reference: str,
    path: Path | str,
    text_column: str | None = None,
    *,
    home: Path | str | None = None,
    project: str = "default",
) -> tuple[list[str], int]:
    """The first texts of a file, from the column a model was trained on, and how many records are left out."""
    from tunesmith.lifecycle.explain import texts_of
    from tunesmith.lifecycle.reports import trained_columns

    with acting("texts_to_explain", home, project) as session:
        models_of.find_model(session, reference)
        return texts_of(Path(path), text_column, trained_columns(session, reference, "text"))


def compare(
    a: str, b: str, *, confidence: float = 0.95, home: Path | str | None = None, project: str = "default"
) -> ModelComparison:
    """Compare two models on the test rows they share; a verdict is of the first."""
    from tunesmith.lifecycle.compare import compare as paired

    with acting("compare", home, project) as session:
        return paired(session, a, b, confidence=confidence)


def monitor(
    reference: str,
    *,
    since: str | None = None,
    file: Path | str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    home: Path | str | None = None,
    project: str = "default",
    listener: Listener | None = None,
    cancel: threading.Event | None = None,
) -> Monitored:
    """Check what a released model was asked and answered, or the texts of a file, against what it was made with."""
    from tunesmith.lifecycle.monitor import monitor as check

    with acting("monitor", home, project, listener, cancel) as session:
        path = None if file is None else Path(file)
        return check(session, reference, since=since, file=path, text_column=text_column, label_column=label_column)


def feedback(prediction: str, truth: Any, *, home: Path | str | None = None, project: str = "default") -> int:
    """Keep the true answer to a captured prediction, and return how many words on it there are; the latest counts."""
    from tunesmith.lifecycle.feedback import feedback as keep

    with acting("feedback", home, project) as session:
        return keep(session, prediction, truth)


def reveal(texts: Sequence[str], *, home: Path | str | None = None, project: str = "default") -> list[str]:
    """The texts with pseudonyms led back to the values they stand for; needs the workspace's key, unknown ones stay."""
    from tunesmith.lifecycle.pseudonyms import reveal as lead_back

    with acting("reveal", home, project) as session:
        return lead_back(session, texts)
