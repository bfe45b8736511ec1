"""The recipe of tasks that a language model answers: a whole run as one frozen value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from tunesmith.core.tasks import LanguageTask
from tunesmith.data.formats.config import FormatConfig, FormatSection
from tunesmith.data.prepare_config import CleanConfig, PrepareConfig
from tunesmith.evaluation.config import GateRule
from tunesmith.evaluation.language.config import EvaluateLanguageConfig, LanguageMeasures
from tunesmith.recipe.sections import AnyRecipe, Gathered, ModelName, RowsSection, refused
from tunesmith.training.language.phase_config import LanguagePhaseConfig, TrainLanguageConfig
from tunesmith.training.language.tokens_config import TokensConfig, TokensSection


class LanguageClean(CleanConfig):
    """How rows are repaired and which repeated rows are left out; everything done is counted and shown."""

    whitespace: bool = True
    """Remove invisible characters, blank lines before a text and white space after it. Line ends and spaces inside
    stay: code, lists and tables are made of them."""


class LanguageData(RowsSection):
    """Where rows come from, how they become conversations, what is done to them and how they are divided."""

    format: Annotated[FormatSection, Gathered] = FormatSection()
    """What form the rows have: messages, prompts with completions, texts … Detected, and shown by `tunesmith plan`."""
    clean: Annotated[LanguageClean, Gathered] = LanguageClean()
    """Repairs and duplicates. Every default is on."""


class Phase(LanguagePhaseConfig):
    """One phase of training: what learns, by which objective, how far, and from which sources."""

    sources: tuple[str, ...] | None = None
    """The sources whose rows this phase learns from, by their names. Null: all."""


class LanguageRecipe(AnyRecipe):
    """A whole run: which language model learns to answer what, from which rows, and what must be shown."""

    task: LanguageTask
    """What the model answers with: the next turn of a conversation (`chat`), a text (`generate`), a summary
    (`summarise`), a translation (`translate`) or fields as JSON (`extract`)."""
    data: LanguageData
    """Where rows come from and what is done to them."""
    model: ModelName
    """The pre-trained language model: a folder in Hugging Face format, a Hub id `owner/name` or `owner/name@revision`,
    or a language model of this workspace to go on from (`name@alias`, `name@version`, `run:ID`)."""
    tokens: Annotated[TokensSection, Gathered] = TokensSection()
    """How conversations become tokens: template, which turns are trained, what happens to those that are too long."""
    train: Annotated[tuple[Annotated[Phase, Gathered], ...], Field(min_length=1)] = (Phase(),)
    """The phases of training, each from the model of the one before; a single phase is written without a dash. Every
    default is the vetted setting."""
    evaluate: Annotated[LanguageMeasures, Gathered] = LanguageMeasures()
    """What the model is measured by and compared with."""
    gate: dict[str, Annotated[GateRule, Gathered]] | None = None
    """Metric or criterion → what it must show before the model may be released. Null: the task's main metric better
    than every baseline; `{}`: nothing, every model passes."""

    @field_validator("train", mode="before")
    @classmethod
    def _one_phase(cls, train: Any) -> Any:
        return [train] if isinstance(train, dict | Phase) else train

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        from tunesmith.recipe import language_checks

        if problems := list(language_checks.problems(self)):
            words = "; ".join(one.what for one in problems)
            raise PydanticCustomError("tunesmith_checks", "{words}", {"words": words, "problems": problems})
        return self

    @field_validator("model", mode="after")
    @classmethod
    def _is_named(cls, model: str) -> str:
        if model in ("auto", "embedded"):
            raise refused(
                f"`model: {model}` is an encoder, and this task needs a language model",
                seen=f"model: {model}",
                allowed="a folder in Hugging Face format, or a Hub id",
                next="write `model: ./path/of/the/model`, or `model: owner/name`",
            )
        return model

    @property
    def confidence(self) -> float:
        """The confidence of intervals."""
        return self.evaluate.confidence

    def settings(self) -> dict[str, Any]:
        """The settings of the last phase of training, with nothing left open, as JSON values."""
        return self.for_train()[-1].model_dump(mode="json")

    def phases_of(self, source: str) -> Sequence[Phase]:
        """The phases that learn from a source."""
        return [phase for phase in self.train if phase.sources is None or source in phase.sources]

    def for_format(self, source: str) -> FormatConfig:
        """What the stage `format` is given for a source: its questions with answers, where any phase learns answers."""
        methods = {phase.method.kind for phase in self.phases_of(source)}
        clean = self.data.clean
        return FormatConfig(
            **self.data.format.model_dump(),
            source=source,
            method="sft" if "sft" in methods else "continued_pretraining",
            unicode=clean.unicode,
            whitespace=clean.whitespace,
        )

    def for_prepare(self) -> PrepareConfig:
        """What the stage `prepare` is given; white space was mended with the conversations, where line ends stay."""
        data = self.data
        return PrepareConfig(
            task=self.task,
            clean=CleanConfig(**data.clean.model_dump()).model_copy(update={"whitespace": False}),
            rules=data.rules,
            split=data.split,
            joins=tuple(join.keys() for join in data.joins),
            normalise=data.normalise,
            derive=data.derive,
            noise=data.noise,
            language=data.language,
            contamination=data.contamination,
            given={source.name: source.split for source in data.sources if source.split is not None},
        )

    def for_tokens(self, phase: Phase) -> TokensConfig:
        """What the stage `tokens` is given for a phase."""
        fields = self.tokens.model_dump()
        return TokensConfig(**fields, task=self.task, method=phase.method.kind, sources=phase.sources)

    def for_train(self) -> Sequence[TrainLanguageConfig]:
        """What the stage `train_language` is given in each phase, vetted settings filled in."""
        return tuple(phase.for_task(self.task) for phase in self.train)

    def for_evaluate(self) -> EvaluateLanguageConfig:
        """What the stage `evaluate_language` is given."""
        return EvaluateLanguageConfig(**self.evaluate.model_dump(), task=self.task, gate=self.gate)
