"""What a recipe may say about the evaluation of a language model. Imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, WrapValidator, field_validator, model_validator

from tunesmith.core.config import Config
from tunesmith.core.errors import RecipeError
from tunesmith.core.kinds import gathered, one_of
from tunesmith.core.tasks import LanguageTask
from tunesmith.evaluation import criteria
from tunesmith.evaluation.config import Confidence, Gate, check_gate

if TYPE_CHECKING:
    AnySource = Any
else:
    AnySource = one_of("source")

LanguageBaseline = Literal["base", "few_shot"]
LANGUAGE_BASELINES: dict[LanguageBaseline, str] = {
    "base": "The untrained model, asked with the same template",
    "few_shot": "The same, with training rows before the prompt",
}
"""What costs no training, in words."""


class FewShotConfig(Config):
    """How the baseline `few_shot` is prompted."""

    examples: Annotated[int, Field(ge=1, le=32, strict=True)] = 3
    """Training rows that are shown before the prompt, 1 to 32; fewer where they do not fit into the context, which is
    counted. Default: 3."""
    choose: Literal["nearest", "random"] = "nearest"
    """Which: `nearest` by TF-IDF of the prompts, the nearest last, or `random` by the seed, the same for every prompt.
    Default: nearest, the stronger baseline."""


class GenerationConfig(Config):
    """How answers are written while evaluating: always greedily, so that they are the same again."""

    max_new_tokens: Annotated[int, Field(ge=1, le=32_768, strict=True)] = 256
    """Tokens of an answer at most, 1 to 32,768; answers that end there are counted. Default: 256."""
    prompts: Annotated[int, Field(ge=2, le=1_000_000, strict=True)] = 200
    """Test prompts that are answered at most, 2 to 1,000,000. Where there are more, a hash of the prompt draws them, so
    that two runs answer the same ones. It bounds the time. Default: 200."""


class ForgettingConfig(Config):
    """A text that has nothing to do with the task, predicted before and after training."""

    source: Annotated[AnySource, WrapValidator(gathered)]
    """Where it comes from: any source with a column `text`, as in `data.sources`."""
    max_bytes: Annotated[int, Field(ge=1_000, le=1_000_000_000, strict=True)] = 200_000
    """Bytes of it that are read at most: whole rows drawn by a hash of their text. Default: 200,000, about 40,000
    words."""

    @field_validator("source", mode="before")
    @classmethod
    def _named(cls, source: Any) -> Any:
        """A source here needs no name."""
        if isinstance(source, dict):
            return {"name": "general"} | source
        return source


class LanguageMeasures(Config):
    """What a language model is measured by on the test rows, and compared with."""

    baselines: tuple[LanguageBaseline, ...] = tuple(LANGUAGE_BASELINES)
    """`base`, the untrained model with the same template, and `few_shot`, the same with training rows before the
    prompt. Default: both; `[]`: none."""
    few_shot: Annotated[FewShotConfig, WrapValidator(gathered)] = FewShotConfig()
    """The examples of the baseline `few_shot`."""
    generation: Annotated[GenerationConfig, WrapValidator(gathered)] = GenerationConfig()
    """How many answers are written, and how long they may be."""
    scored_prompts: Annotated[int, Field(ge=2, le=10_000_000, strict=True)] = 2000
    """Test prompts whose answers are scored at most (perplexity, bits per byte), 2 to 10,000,000; those whose answers
    are written come first. Default: 2000."""
    forgetting: Annotated[ForgettingConfig | None, WrapValidator(gathered)] = None
    """General text on which forgetting is measured: `{source: {kind: text, path: general.txt}}`. Null: not measured."""
    confidence: Confidence = 0.95
    """Confidence of intervals and comparisons, from 0.5 to below 1. Default: the customary 0.95."""
    bootstrap_samples: Annotated[int, Field(ge=200, le=100_000, strict=True)] = 2000
    """Resamples behind each interval and p-value, 200 to 100,000. Default: 2000 (Efron and Tibshirani 1993 advise at
    least 1000)."""

    @field_validator("baselines")
    @classmethod
    def _each_once(cls, baselines: tuple[LanguageBaseline, ...]) -> tuple[LanguageBaseline, ...]:
        if len(set(baselines)) < len(baselines):
            raise RecipeError("a baseline is named twice", seen=", ".join(baselines), next="name each once")
        return baselines


class EvaluateLanguageConfig(LanguageMeasures):
    """What the stage `evaluate_language` measures, and what must be shown."""

    task: LanguageTask
    """What the model is for; it decides the metrics and which of them leads."""
    gate: Gate | None = None
    """What each metric must show. Null: the task's main metric better than every baseline; `{}`: nothing, every model
    passes."""

    @model_validator(mode="after")
    def _gate_can_be_met(self) -> Self:
        gate = self.gate or {}
        check_gate(gate, self.task, self.baselines)
        for name, rule in gate.items():
            if name in criteria.CRITERIA:
                criteria.check_rule(name, bool(rule.better_than), rule.confidence, self.confidence)
        if "forgetting" in gate and self.forgetting is None:
            raise RecipeError(
                "the gate asks about forgetting, and no general text is named to measure it on",
                seen="gate: {forgetting: …}",
                next="write `evaluate: {forgetting: {source: {kind: text, path: FILE}}}`",
            )
        return self
