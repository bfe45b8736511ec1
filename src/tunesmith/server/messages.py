"""What requests ask and answers say, as types: checked on the way in, shown by the OpenAPI page."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from tunesmith.server.body import Message


def _encodable(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"half a character (a lone surrogate) at place {error.start}") from None
    return text


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Text = Annotated[str, AfterValidator(_encodable)]
Texts = Annotated[
    list[Text],
    BeforeValidator(_as_list),
    Field(min_length=1),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}], "title": "Texts"}
    ),
]
Subject = Annotated[Text, Field(min_length=1, max_length=512)]


class PredictRequest(Message):
    """Texts to be answered."""

    texts: Texts
    """One text, or several."""
    model: Text | None = None
    """Which served model, as `name@alias`; may be left out where only one is served."""
    attribution: bool = False
    """Whether to say what each word did for the answer."""
    subjects: list[Subject | None] | None = None
    """Whom each text is about, kept as a keyed hash: what erasure looks for."""


class FeedbackRequest(Message):
    """The true answer, known later. One of `label`, `labels` and `value` is given."""

    id: Annotated[Text, Field(min_length=1, max_length=128)]
    """The prediction's id."""
    label: Text | None = None
    """Of a model that answers one label."""
    labels: list[Text] | None = None
    """Of a model that answers several labels."""
    value: float | dict[str, float] | None = None
    """Of a model that answers a number, or several by target."""


class Answer(BaseModel):
    """What is sent: the schema tells of each field what stands under it here."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class AttributedWord(Answer):
    """A word of a text and what it did for the answer."""

    text: str
    start: int
    """Its first character in the text."""
    end: int
    """Behind its last."""
    value: float
    """What it adds to the answer: above 0 it speaks for it, below against it."""
    unknown: Literal["part", "whole"] | None
    """Set where the model does not know the word, or a part of it: it read a sign for anything unknown, or nothing, in
    its place, and `value` is what that adds."""


class WordsOfText(Answer):
    """What each word of a text did for the answer."""

    method: Literal["ig", "occlusion"]
    """Integrated gradients, or the answer without each word."""
    target: str
    """The label or target that is explained; empty for one number."""
    text: str
    """As the model read it: the words' places are in it."""
    words: list[AttributedWord]
    """In their order; those that the model could not read are not among them."""
    unit: Literal["logit", "probability", "value"]
    """Of `value`, `full` and `baseline`."""
    full: float
    """The answer to the text."""
    baseline: float
    """The answer without its words."""
    error: float | None
    """How far the words are off adding up to `full` less `baseline`, as a share of it."""
    steps: int | None
    """Points on the way from no word to the text."""
    num_truncated_tokens: int
    """Tokens of the text that the model could not read."""


class OnePrediction(Answer):
    """The answer to one text; what does not apply to the model's task is left out."""

    id: str | None
    """What feedback names it by; null where it was not kept."""
    label: str | None = None
    """The most probable label, or for a rejected text what it is called."""
    probability: float | None = None
    """Of the most probable label."""
    probabilities: dict[str, float] | None = None
    """Probability by label."""
    labels: list[str] | None = None
    """The labels given, where there may be several: those whose probability reaches their threshold, which
    `GET /v1/models` tells."""
    value: float | None = None
    """The number, where the model answers one."""
    values: dict[str, float] | None = None
    """Numbers by target, where the model answers several."""
    is_rejected: bool | None = None
    """Whether the model does not know such texts."""
    score: float | None = None
    """Of a model that rejects: how surely it knows the text, to be compared with `rejected_below`."""
    num_truncated_tokens: int = 0
    """Tokens of the text that the model could not read."""
    attribution: WordsOfText | None = None
    """What each word did for the answer, where that was asked for."""


class PredictAnswer(Answer):
    """Answers in the order of the texts."""

    model: str
    """Which version answered, as `name@version`."""
    predictions: list[OnePrediction]
    """One for each text."""
    rejected_below: float | None = None
    """Of a model that rejects: texts whose `score` is below this are; not there for any other."""


class FeedbackAnswer(Answer):
    """The feedback was kept."""

    id: str
    """The prediction it is about."""
    kept: bool
    """True."""


class StaleModel(Answer):
    """Why a model is to be trained again."""

    since: str
    """When the first person whose rows it learned from was erased, UTC."""
    erasures: list[str]
    """Which erasures those are, the first one first."""
    reason: str
    """In words."""
    next: str
    """What to do about it."""


class RejectedTexts(Answer):
    """Which texts a model does not answer."""

    score: Literal["max_probability", "max_logit", "energy"]
    """What a text's `score` is: the largest probability, the largest logit, or the log of their summed exponentials."""
    threshold: float
    """A text whose score is below this is rejected."""
    label: str | None
    """What a rejected text is called; null: it gets no label."""


class ServedModel(Answer):
    """A model that answers here."""

    model: str
    """The reference it is served as."""
    version: str
    """Which version that is now."""
    task: str
    """classify, tag or regress."""
    labels: list[str]
    """The labels it knows."""
    thresholds: dict[str, float] | None
    """Of a model that gives several labels: a label is given where its probability is at least this; above 1: never."""
    rejection: RejectedTexts | None
    """Of a model that rejects texts it does not know; null where it answers every text."""
    digest: str
    """The model's own."""
    since: str
    """When this version began to answer, UTC."""
    problem: str | None
    """Why this is not the version the alias means; null where it is."""
    stale: StaleModel | None
    """Set where it learned from rows of people who were erased since; null where it did not."""


class ServedModels(Answer):
    """What is served to this key."""

    models: list[ServedModel]


class ErrorParts(Answer):
    """What went wrong, for whoever must act."""

    what: str
    seen: str | None
    allowed: str | None
    next: str | None


class ErrorBody(Answer):
    """Any answer that is not 200."""

    error: ErrorParts
