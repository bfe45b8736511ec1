"""What a recipe may say about explanations. Imports nothing heavy."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from tunesmith.core.config import Config
from tunesmith.core.errors import RecipeError
from tunesmith.core.tasks import HeadTask

Method = Literal["ig", "occlusion"]
METHODS: tuple[Method, ...] = ("ig", "occlusion")
INSTALL = 'pip install "tunesmith[explain]"'
"""What brings Captum, which `ig` needs."""


class ExplainConfig(Config):
    """Which words of a text speak for an answer, which training rows are like it, and which pushed towards it."""

    methods: Annotated[tuple[Method, ...], Field(min_length=1)] = METHODS
    """How words are weighed, each once: `ig` (integrated gradients, Sundararajan et al. 2017: exact up to an error that
    is shown, needs Captum) and `occlusion` (the answer without each word, Zeiler and Fergus 2014: asks a model for
    nothing but answers). The report shows the words of the first. Default: both."""
    rows: Annotated[int, Field(ge=5, le=10_000, strict=True)] = 100
    """Test rows that are explained, 5 to 10,000: drawn by the seed where there are more. Default: 100."""
    baseline: Literal["pad", "mask"] = "pad"
    """What stands for "no word" in `ig`, special tokens being kept: the padding token, as in Captum's own example of
    BERT, or the mask token. A model without it takes the nearest it has, which the report names. Default: pad."""
    steps: Annotated[int, Field(ge=4, le=1024, strict=True)] = 32
    """Points on the way from the baseline to the text that `ig` starts with, 4 to 1024. Default: 32; 20 to 300 are
    usual (Sundararajan et al. 2017, section 5)."""
    most_steps: Annotated[int, Field(ge=4, le=4096, strict=True)] = 256
    """Points at most: they are doubled for texts whose words do not add up. No fewer than
    `steps`. Default: 256."""
    most_error: Annotated[float, Field(gt=0, le=1)] = 0.05
    """Completeness: how far the words' weights may be off the difference they must add up to, as a share of it, before
    the points are doubled. Texts that stay above it are counted. Default: 0.05 (Sundararajan et al. 2017)."""
    most_words: Annotated[int, Field(ge=8, le=4096, strict=True)] = 128
    """`occlusion` leaves words out one by one up to so many of a text; of longer ones runs of words, so that no text
    costs more answers than that. Default: 128."""
    curve_rows: Annotated[int, Field(ge=0, le=10_000, strict=True)] = 50
    """Explained rows that deletion and insertion curves are drawn from (Petsiuk et al. 2018): each is answered about 80
    times. 0: no curves. Default: 50."""
    random_orders: Annotated[int, Field(ge=1, le=100, strict=True)] = 3
    """Orders drawn at random for each row of the curves, which a method must beat. Default: 3."""
    neighbours: Annotated[int, Field(ge=0, le=50, strict=True)] = 5
    """Training rows nearest to each explained row in the model's own space, 0 to 50. Default: 5."""
    influences: Annotated[int, Field(ge=0, le=50, strict=True)] = 5
    """Training rows that pushed most towards each wrong answer, 0 to 50 (Pruthi et al. 2020, the last layer at the
    final weights). Default: 5."""
    suspects: Annotated[int, Field(ge=0, le=1000, strict=True)] = 50
    """Training rows that the model finds hardest to fit, 0 to 1000: often their label is wrong. Default: 50."""
    top_words: Annotated[int, Field(ge=0, le=200, strict=True)] = 10
    """Words listed for each label by their mean weight over the explained rows, 0 to 200. Default: 10."""
    least_rows: Annotated[int, Field(ge=1, le=1000, strict=True)] = 2
    """Rows that a word must stand in to be listed for a label. Default: 2."""

    @field_validator("methods")
    @classmethod
    def _each_once(cls, methods: tuple[Method, ...]) -> tuple[Method, ...]:
        if len(set(methods)) < len(methods):
            raise RecipeError("a method of `explain` stands twice", seen=", ".join(methods), next="name each once")
        return methods


class ExplainStageConfig(Config):
    """What the stage `explain` does."""

    task: HeadTask
    """What is predicted."""
    explain: ExplainConfig = ExplainConfig()
    """The explanations."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    """Confidence of intervals, from 0.5 to below 1."""
    bootstrap_samples: Annotated[int, Field(ge=200, le=100_000, strict=True)] = 2000
    """Resamples behind each interval, 200 to 100,000."""


class VectorsConfig(Config):
    """What the stage `vectors` does."""

    not_in_key: ClassVar[frozenset[str]] = frozenset({"budget_tokens"})

    budget_tokens: Annotated[int, Field(ge=64, strict=True)] = 4096
    """Padded tokens in one forward pass; memory only."""
