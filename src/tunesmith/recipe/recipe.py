"""The recipe of tasks that a head answers: a whole run as one frozen value."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from tunesmith.core.tasks import HEAD_TASKS, TASKS, HeadTask
from tunesmith.data.extend_config import ExtendConfig
from tunesmith.data.prepare_config import PrepareConfig, SplitConfig
from tunesmith.data.sources.config import LABEL_COLUMN
from tunesmith.evaluation.config import (
    BASELINES,
    CHAMPION,
    BaselinesConfig,
    EvaluateStageConfig,
    GateRule,
    challenging,
    default_gate,
    replacing,
)
from tunesmith.evaluation.criteria import CRITERIA, Measure
from tunesmith.evaluation.keep_config import KeepConfig
from tunesmith.evaluation.measures_config import (
    CostStageConfig,
    RobustnessConfig,
    RobustnessStageConfig,
)
from tunesmith.explanation.config import ExplainConfig, ExplainStageConfig
from tunesmith.monitoring.config import DriftStageConfig, MonitorConfig, ReferenceConfig
from tunesmith.recipe.adapt_phase import METHOD, AdaptPhase, is_adapting
from tunesmith.recipe.champion import ChampionConfig
from tunesmith.recipe.head_sections import DataSection, EvaluateSection, Phases, method_of
from tunesmith.recipe.sections import AnyRecipe, Gathered, ModelName, refused
from tunesmith.selection.config import AUTO, SelectConfig
from tunesmith.training.config import FeaturesConfig, TrainConfig, TrainStageConfig
from tunesmith.training.decision_config import DecisionConfig
from tunesmith.training.language.phase_config import TrainLanguageConfig
from tunesmith.training.language.tokens_config import TokensConfig
from tunesmith.training.tune_config import TuneStageConfig, default_space, phases, resolved
from tunesmith.tuning.config import TuneConfig

if TYPE_CHECKING:
    from tunesmith.data.joins_config import JoinConfig
    from tunesmith.data.sources.config import SourceConfig


class Recipe(AnyRecipe):
    """A whole run: what is learned, from which rows, starting from which model, and what must be shown."""

    task: HeadTask
    """What the model answers with: a label (`classify`), any number of labels (`tag`), or one or more numbers
    (`regress`)."""
    data: DataSection
    """Where rows come from and what is done to them."""
    model: ModelName | Annotated[tuple[ModelName, ...], Field(min_length=1)] = "embedded"
    """The pre-trained model: `embedded` (the encoder that comes with tunesmith), a folder in Hugging Face format, a Hub
    id `owner/name` or `owner/name@revision`, or a model of this workspace to go on from (`name@alias`, `name@version`,
    `run:ID`). A list of them, or `auto` (every encoder of the catalogue that is on this machine), is ranked on the
    training rows, and the best is taken. Default: embedded."""
    train: Phases = TrainConfig()
    """The phase of training. Every default is the vetted setting. Or a list of phases, each from the model of the one
    before: the earlier ones have `method: continued_pretraining` and pre-train the encoder on with texts, the last one
    is the head's."""
    champion: Annotated[ChampionConfig | None, Gathered] = None
    """The model in production that this run trains again, as `tunesmith retrain` writes it: its rows keep their splits,
    its encoder and head are the start, and the gate asks to be better than it and to forget next to nothing. Null:
    a model is trained from `model`."""
    tune: Annotated[TuneConfig | None, Gathered] = None
    """Searches for better settings of `train` on the validation rows, before the model is trained with them; `{}` turns
    it on with its defaults. Null: `train` is taken as it is."""
    decision: Annotated[DecisionConfig, Gathered] = DecisionConfig()
    """How outputs become an answer: temperature, thresholds of `tag`, rejection of texts that the model does not know.
    Calibrated on the validation rows."""
    evaluate: Annotated[EvaluateSection, Gathered] = EvaluateSection()
    """What the model is compared with."""
    gate: dict[str, Annotated[GateRule, Gathered]] | None = None
    """Metric or criterion (`fairness_gap`, `robustness_worst`, `latency_p95_ms` …) → what it must show before the model
    may be released. Null: the task's main metric better than every
    baseline; `{}`: nothing, every model passes."""

    explain: Annotated[ExplainConfig | None, Gathered] = None
    """Which words speak for the answers to test rows, which training rows are behind them, and how far to trust that;
    `{}` turns it on with its defaults. Null: not explained."""
    monitor: Annotated[MonitorConfig, Gathered] = MonitorConfig()
    """How the released model is watched: which answers are kept, when an alert is given, who is told."""

    @model_validator(mode="before")
    @classmethod
    def _default_method(cls, data: Any) -> Any:
        """`method: {label_smoothing: 0.1}` means the task's own method."""
        match data:
            case {"task": str(task), "train": {"method": dict(method), **train}} if "kind" not in method:
                return {**data, "train": {**train, "method": {"kind": task, **method}}}
            case {"task": str(task), "train": [*earlier, {"method": dict(method), **train}]} if "kind" not in method:
                return {**data, "train": [*earlier, {**train, "method": {"kind": task, **method}}]}
        return data

    @field_validator("task", mode="before")
    @classmethod
    def _task_exists(cls, task: Any) -> Any:
        if isinstance(task, str) and task not in HEAD_TASKS:
            near = difflib.get_close_matches(task, TASKS, n=1)
            more = {"next": f"did you mean `{near[0]}`?"} if near else {}
            raise refused(f"there is no task `{task}`", seen=task, allowed=", ".join(TASKS), **more)
        return task

    @field_validator("model", mode="after")
    @classmethod
    def _each_model_once(cls, model: str | tuple[str, ...]) -> str | tuple[str, ...]:
        names = [model] if isinstance(model, str) else list(model)
        if AUTO in names[1:] or (AUTO in names and not isinstance(model, str)):
            raise refused("`auto` stands alone", seen=", ".join(names), next="write `model: auto`, or name the models")
        if len(set(names)) < len(names):
            raise refused("a model is named twice", seen=", ".join(names), next="name each once")
        return model

    @field_validator("train", mode="before")
    @classmethod
    def _head_comes_last(cls, train: Any) -> Any:
        phases = list(train) if isinstance(train, list | tuple) else [train]
        if not phases:
            raise refused("the list of phases is empty", seen="train: []", next="leave `train` out for its defaults")
        for number, phase in enumerate(phases[:-1], 1):
            if not is_adapting(phase):
                raise refused(
                    f"phase {number} of {len(phases)} is a head's, and a head is trained in the last phase only",
                    seen="no `method`" if method_of(phase) is None else f"method: {method_of(phase)}",
                    allowed=f"method: {METHOD} in every phase but the last",
                    next=f"write `method: {METHOD}` to pre-train the encoder with texts, or one phase without a dash",
                )
        if is_adapting(phases[-1]):
            raise refused(
                "the last phase pre-trains on texts, and nothing learns to answer",
                seen=f"method: {METHOD}",
                allowed="a last phase of the task's own method",
                next=f"write a list under `train:`, the phase of `{METHOD}` first: `- {{method: {METHOD}}}`, then "
                "`- {}` for the head with its defaults",
            )
        return train

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        from tunesmith.recipe import checks

        if problems := list(checks.problems(self)):
            words = "; ".join(one.what for one in problems)
            raise PydanticCustomError("tunesmith_checks", "{words}", {"words": words, "problems": problems})
        return self

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The columns of labels or targets where sources list several, in the order of the recipe."""
        lefts = [left for source in self.data.sources for left in source.columns]
        return tuple(dict.fromkeys(left.removeprefix(LABEL_COLUMN) for left in lefts if left.startswith(LABEL_COLUMN)))

    @property
    def read_sources(self) -> tuple[SourceConfig, ...]:
        """The sources that are read: all but those that the champion's rows stand for."""
        held = () if self.champion is None else self.champion.held
        return tuple(one for one in self.data.sources if one.name not in held)

    @property
    def read_joins(self) -> tuple[JoinConfig, ...]:
        """The tables that are joined: none where no row is read that they could be joined to."""
        corrections = None if self.champion is None else self.champion.corrections
        return self.data.joins if any(one.name != corrections for one in self.read_sources) else ()

    @property
    def head_phase(self) -> TrainConfig:
        """The phase of training that the head learns in."""
        phase = self.train[-1] if isinstance(self.train, tuple) else self.train
        assert isinstance(phase, TrainConfig)
        return phase

    @property
    def adapt_phases(self) -> tuple[AdaptPhase, ...]:
        """The phases before it, which pre-train the encoder on with texts."""
        return tuple(one for one in self.train if isinstance(one, AdaptPhase)) if isinstance(self.train, tuple) else ()

    @property
    def text_sources(self) -> tuple[str, ...]:
        """The sources without labels, which such phases alone read: they are named by one, and their `columns` map no
        label, or they are files of text."""
        named = {name for phase in self.adapt_phases for name in phase.sources or ()}
        return tuple(
            one.name
            for one in self.data.sources
            if one.name in named
            and (one.columns or getattr(one, "kind", "") == "text")
            and not any(left == "label" or left.startswith(LABEL_COLUMN) for left in one.columns)
        )

    @property
    def baselines(self) -> tuple[str, ...]:
        """What the model is compared with: the baselines named, else all of the task; and a champion, if any."""
        named = BASELINES[self.task] if self.evaluate.baselines is None else self.evaluate.baselines
        return named if self.champion is None else (*named, CHAMPION)

    @property
    def confidence(self) -> float:
        """The confidence of intervals."""
        return self.evaluate.confidence

    def settings(self) -> dict[str, Any]:
        """The settings of the phase of training, with nothing left open, as JSON values."""
        return self.for_train().model_dump(mode="json")

    def for_prepare(self) -> PrepareConfig:
        """What the stage `prepare` is given."""
        return PrepareConfig(
            task=self.task,
            clean=self.data.clean,
            rules=self.data.rules,
            split=self.data.split,
            joins=tuple(join.keys() for join in self.data.joins),
            normalise=self.data.normalise,
            derive=self.data.derive,
            noise=self.data.noise,
            language=self.data.language,
            contamination=self.data.contamination,
            given={
                source.name: source.split
                for source in self.read_sources
                if source.split is not None and source.name not in self.text_sources
            },
            labels=self.data.labels,
            targets=self.label_columns if self.task == "regress" else (),
            outside=None if self.decision.reject is None else self.decision.reject.label,
        )

    def for_train(self) -> TrainStageConfig:
        """What the stage `train` is given, vetted settings filled in."""
        return self.head_phase.for_task(self.task, self.decision)

    def for_texts(self) -> PrepareConfig:
        """What `prepare` is given for the texts of phases before the head's: those of divided rows come with their
        split, the others are training texts unless they repeat a row that proves."""
        data = self.data
        boilerplate = data.noise.boilerplate
        if boilerplate is not None and boilerplate.column != "text":
            boilerplate = None
        return PrepareConfig(
            task="generate",  # a task whose rows have no label
            clean=data.clean,
            split=SplitConfig(validation=data.split.validation, test=data.split.test, group_by=data.split.group_by),
            noise=data.noise.model_copy(update={"boilerplate": boilerplate}),
            language=data.language,
            contamination=data.contamination,
        )

    def for_tokens(self) -> tuple[TokensConfig, ...]:
        """What the stage `tokens` is given in each phase before the head's."""
        return tuple(phase.for_tokens(self.task) for phase in self.adapt_phases)

    def for_adapt(self) -> tuple[TrainLanguageConfig, ...]:
        """What the stage `adapt` is given in each phase before the head's."""
        return tuple(phase.for_task(self.task) for phase in self.adapt_phases)

    def for_select(self, models: Sequence[str], absent: Sequence[dict[str, str]] = ()) -> SelectConfig:
        """What the stage `select` is given; the task is one that models can be ranked for."""
        return SelectConfig.model_validate({"task": self.task, "models": models, "absent": absent})

    def for_tune(self) -> TuneStageConfig | None:
        """What the stage `tune` is given; None where the recipe does not tune.

        Raises: RecipeError where the space holds what cannot be.
        """
        if self.tune is None:
            return None
        space = default_space(self.head_phase, self.task) if self.tune.space is None else self.tune.space
        return TuneStageConfig(
            task=self.task,
            train=self.head_phase,
            decision=self.decision,
            space=resolved(self.head_phase, self.task, space),
            searcher=self.tune.searcher,
            trials=self.tune.num_trials,
            budget_s=self.tune.budget_s,
        )

    def phases(self) -> tuple[TrainStageConfig, ...]:
        """The phases that may be trained: the recipe's own, then those that tuning may choose a kind or depth of.

        Raises: RecipeError where they would need other cached activations than the first of them.
        """
        tuned = self.for_tune()
        return (self.for_train(), *(() if tuned is None else phases(self.head_phase, self.task, tuned.space)))

    def for_features(self) -> FeaturesConfig:
        """What the stage `features` is given."""
        return self.head_phase.features()

    def for_baselines(self) -> BaselinesConfig:
        """What the stage `baselines` is given."""
        return BaselinesConfig(task=self.task, names=[name for name in self.baselines if name != CHAMPION])

    def for_extend(self) -> ExtendConfig | None:
        """What the stage `extend` is given; None where the recipe has no champion."""
        if self.champion is None:
            return None
        return ExtendConfig(
            task=self.task,
            targets=self.label_columns if self.task == "regress" else (),
            group_by=self.data.split.group_by,
            near=self.data.clean.near_duplicates,
            test=self.data.split.test,
            without=self.champion.without,
            needs_new=self.champion.needs_new and self.champion.from_weights,
        )

    def for_keep(self) -> KeepConfig:
        """What the stage `keep` is given."""
        evaluate = self.evaluate
        return KeepConfig(task=self.task, confidence=evaluate.confidence, bootstrap_samples=evaluate.bootstrap_samples)

    def for_robustness(self) -> RobustnessStageConfig | None:
        """What the stage `robustness` is given; None where nothing asks for it."""
        asked = self.evaluate.robustness
        if asked is False or (asked is None and not self._gate_asks("robustness")):
            return None
        return RobustnessStageConfig(
            task=self.task,
            robustness=asked or RobustnessConfig(),
            confidence=self.evaluate.confidence,
            bootstrap_samples=self.evaluate.bootstrap_samples,
        )

    def for_cost(self) -> CostStageConfig | None:
        """What the stage `cost` is given; None where nothing asks for it."""
        asked = self._gate_asks("cost") if self.evaluate.latency is None else self.evaluate.latency
        return CostStageConfig() if asked else None

    def for_reference(self) -> ReferenceConfig:
        """What the stage `reference` is given."""
        return ReferenceConfig(task=self.task)

    def for_drift(self, metric: str | None) -> DriftStageConfig:
        """What the stage `drift` is given; ``metric``: the score that the release rested on."""
        return DriftStageConfig(
            task=self.task,
            drift=self.monitor.drift,
            min_labelled=self.monitor.feedback.min_rows,
            metric=metric,
            confidence=self.confidence,
        )

    def for_evaluate(self) -> EvaluateStageConfig:
        """What the stage `evaluate` is given; a recipe without a gate gets the task's."""
        is_replaced = self.champion is not None and not self.champion.from_weights
        asked = [name for name in self.baselines if name != CHAMPION] if is_replaced else self.baselines
        gate = default_gate(self.task, asked) if self.gate is None else self.gate
        if self.champion is not None:
            gate = replacing(gate) if is_replaced else challenging(gate, self.task)
        fairness = self.evaluate.fairness
        if fairness is not None and fairness.max_gap is not None:
            gate = {**gate, "fairness_gap": GateRule(at_most=fairness.max_gap)}
        return EvaluateStageConfig(
            task=self.task,
            gate=gate,
            confidence=self.evaluate.confidence,
            bootstrap_samples=self.evaluate.bootstrap_samples,
            fairness=fairness,
        )

    def for_explain(self) -> ExplainStageConfig | None:
        """What the stage `explain` is given; None where nothing asks for it."""
        if self.explain is None:
            return None
        evaluate = self.evaluate
        return ExplainStageConfig(
            task=self.task,
            explain=self.explain,
            confidence=evaluate.confidence,
            bootstrap_samples=evaluate.bootstrap_samples,
        )

    def _gate_asks(self, measure: Measure) -> bool:
        return any(CRITERIA[name].measure == measure for name in self.gate or {} if name in CRITERIA)
