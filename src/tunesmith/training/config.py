"""What a recipe may say about training, and what the stages of training see of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from tunesmith.core.config import Config
from tunesmith.core.errors import RecipeError
from tunesmith.core.kinds import one_of
from tunesmith.models.head_shape import HeadShape
from tunesmith.training import conflicts, vetted
from tunesmith.training.decision_config import DecisionConfig
from tunesmith.training.optimizer_config import AdamWConfig, LearningRate
from tunesmith.training.regularise_config import MixupConfig, PenaltyConfig, RDropConfig
from tunesmith.training.trainables.config import FullConfig

if TYPE_CHECKING:
    from tunesmith.training.methods.config import ClassifyConfig, RegressConfig, TagConfig
    from tunesmith.training.optimizer_config import AdafactorConfig, AdamConfig, LionConfig, RmsPropConfig, SgdConfig
    from tunesmith.training.trainables.config import HeadConfig, LoraConfig, TopLayersConfig

    AnyMethod = ClassifyConfig | TagConfig | RegressConfig
    AnyTrainable = FullConfig | HeadConfig | TopLayersConfig | LoraConfig
    AnyOptimizer = AdamWConfig | AdamConfig | SgdConfig | RmsPropConfig | AdafactorConfig | LionConfig
else:
    AnyMethod = one_of("method")
    AnyTrainable = one_of("trainable")
    AnyOptimizer = one_of("optimizer")

Task = Literal["classify", "tag", "regress"]
Pooling = Literal["auto", "mean", "cls", "last"]
Precision = Literal["auto", "float32", "bfloat16"]
LengthPolicy = Literal["truncate_right", "truncate_left", "drop", "refuse"]
Count = Annotated[int, Field(ge=1, strict=True)]
MaxTokens = Annotated[int, Field(ge=8, strict=True)] | Literal["auto"]


class Schedule(Config):
    """How the learning rate moves over the steps of a run."""

    kind: Literal["linear", "cosine", "constant", "wsd"] = "linear"
    """After the warm-up: down to 0 in a line, down to 0 along half a cosine, unchanged, or unchanged but for a last
    part in which it goes down to 0 (`wsd`: warm-up, stable, decay). Default: linear, as in BERT (Devlin et al.
    2019)."""
    warmup: Annotated[int, Field(ge=0, strict=True)] | Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.1
    """Steps in which the rate climbs from 0 to its peak: a share of all steps (0.1, below 1) or a whole number of them.
    Default: the 10 % of Mosbach et al. 2021."""
    decay: Annotated[float, Field(gt=0, le=1, strict=True)] = 0.2
    """For `wsd`: share of all steps at the end in which the rate goes down, above 0 to 1. Default: 0.2 (Hägele et al.
    2024)."""


class EarlyStopping(Config):
    """Stops when the validation rows say that nothing is learned any more."""

    patience: Count = 2
    """Validations in a row without a better value before training stops, 1 or more. Default: 2, vetted."""
    metric: str | None = None
    """What is watched, here and for the best checkpoint: `loss` or a metric of the task; null: `f1_macro` for
    classify, `mse` for regress."""
    min_delta: Annotated[float, Field(ge=0, strict=True)] = 0.0
    """The smallest change that counts as better, in units of the metric, 0 or more. Default: any."""


class TrainConfig(Config):
    """One phase of training: what learns, by which objective, how far."""

    method: AnyMethod | None = None
    """The objective; null: the task's own (`classify`: cross-entropy, `regress`: squared error)."""
    trainable: AnyTrainable = FullConfig()
    """Which weights learn. Default: all of them, the best quality."""
    optimizer: AnyOptimizer = AdamWConfig()
    """How a gradient becomes a step. Default: AdamW."""
    head_lr: LearningRate | None = None
    """Peak learning rate of the new head, 0 < head_lr ≤ 10; null: the vetted one (training/vetted.py)."""
    head: HeadShape = HeadShape()
    """The new head: `{layers: [256]}` puts a layer of 256 before its last one. Default: one linear layer."""
    penalty: PenaltyConfig | None = None
    """A price on weights in the loss (L1, L2); null: none. Weight decay is the optimizer's."""
    rdrop: RDropConfig | None = None
    """For classify: two passes with other dropped units are drawn together (R-Drop); null: off (docs/log.md)."""
    mixup: MixupConfig | None = None
    """For classify: rows' vectors and targets are mixed in pairs (mixup); null: off (docs/log.md)."""
    schedule: Schedule = Schedule()
    """How the learning rate moves. Default: a tenth warm-up, then a line down to 0."""
    batch: Count = 32
    """Rows per optimizer step over all processes, 1 or more: part of the maths. Default: 32 (Devlin et al. 2019 use
    16 or 32)."""
    microbatch_tokens: Annotated[int, Field(ge=64, strict=True)] | Literal["auto"] = "auto"
    """Most padded tokens in one forward-backward, 64 or more. A matter of memory: the step stays the same up to
    rounding (dropout draws other units). `auto` fits it to the machine."""
    epochs: Count | None = None
    """Passes over the training rows, 1 or more; null: the vetted number for what is trained and how many
    rows there are (training/vetted.py)."""
    max_steps: Count | None = None
    """Ends training after this many optimizer steps, 1 or more, whatever `epochs` says; null: no such end."""
    dropout: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.1
    """Share of the features set to 0 in front of the head while training, from 0 up to 1. Default: BERT's 0.1."""
    early_stopping: EarlyStopping | None = None
    """Stops before `epochs` when validation gets no better; null: never. The best checkpoint is kept either way."""
    clip: Annotated[float, Field(gt=0, strict=True)] | None = 1.0
    """Largest norm of the whole gradient, above 0; a longer one is scaled down; null: none. Default: BERT's 1.0."""
    precision: Precision = "auto"
    """Arithmetic of the forward and backward pass. `auto`: bfloat16 where the processor is fast at it, else float32;
    weights and optimizer state stay float32."""
    max_tokens: MaxTokens = "auto"
    """Longest text in tokens, special tokens counted, 8 or more. `auto`: what the base was
    trained to read (padding follows the rows, so short texts cost nothing more)."""
    length_policy: LengthPolicy = "truncate_right"
    """What happens to a longer text: its end or its start is cut, its row is dropped, or the run is refused. Every
    cut and drop is counted. Default: the end is cut, as the embedded encoder was trained."""
    pooling: Pooling = "auto"
    """How token vectors become the text's vector: their mean, the first one (`cls`) or the last one. `auto`: as the
    base was trained; a decoder's is the last one, which alone has seen the others."""
    validate_every: Annotated[float, Field(gt=0, strict=True)] = 1.0
    """Epochs between two looks at the validation rows, above 0 (0.5: twice an epoch). Default: once an epoch."""
    bucketing: bool = True
    """Draws the rows of an optimizer step from shuffled windows of 50 batches sorted by length, as transformers' length
    grouping does: less padding, steps still change every epoch. Default: on."""
    checkpoint_every_s: Annotated[float, Field(ge=0, strict=True)] = 60.0
    """Seconds between checkpoints to resume from, 0 or more (0: after every step). It changes no result."""

    @field_validator("trainable", "optimizer", mode="before")
    @classmethod
    def _default_kind(cls, value: Any, info: ValidationInfo) -> Any:
        """`optimizer: {lr: 1e-4}` means the default optimizer."""
        if isinstance(value, dict) and "kind" not in value:
            default = cls.model_fields[info.field_name or ""].default
            return {"kind": default.kind, **value}
        return value

    def for_task(self, task: Task, decision: DecisionConfig | None = None) -> TrainStageConfig:
        """What the train stage is given: nothing left open that does not depend on the machine.

        Raises: RecipeError where the method is not one of the task's.
        """
        methods = vetted.METHODS[task]
        if self.method is not None and self.method.kind not in methods:
            raise RecipeError(
                f"the method `{self.method.kind}` does not answer the task `{task}`",
                seen=f"train.method: {self.method.kind}",
                allowed=", ".join(methods),
                next=f"leave `train.method` out, or write `task: {self.method.kind}`",
            )
        good = vetted.of(self.trainable.kind)
        conflicts.check(self, task)
        optimizer = self.optimizer
        if optimizer.lr is None:
            optimizer = optimizer.model_copy(update={"lr": vetted.rate(good.lr, optimizer.kind)})
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        fields |= {
            "task": task,
            "decision": decision or DecisionConfig(),
            "method": self.method or methods[0],
            "optimizer": optimizer,
            "head_lr": self.head_lr or vetted.rate(good.head_lr, optimizer.kind),
        }
        return TrainStageConfig.model_validate(fields)

    def features(self) -> FeaturesConfig:
        """What the features stage is given."""
        return FeaturesConfig(
            pooling=self.pooling,
            max_tokens=self.max_tokens,
            length_policy=self.length_policy,
            precision=self.precision,
        )

    def layers(self) -> LayersConfig:
        """What the layers stage is given; only where the top layers are trained."""
        return LayersConfig(
            layers=getattr(self.trainable, "layers", 1),
            max_tokens=self.max_tokens,
            length_policy=self.length_policy,
            precision=self.precision,
        )


class TrainStageConfig(TrainConfig):
    """A phase of training as the stage sees it, vetted settings filled in; made by ``TrainConfig.for_task``."""

    # Not so microbatch_tokens: where rows are cut decides the rounding, and which units dropout drops.
    not_in_key: ClassVar[frozenset[str]] = frozenset({"checkpoint_every_s"})

    task: Task
    """What the model answers with: a label (`classify`), several (`tag`) or numbers (`regress`)."""
    method: AnyMethod
    """The objective."""
    head_lr: LearningRate
    """Peak learning rate of the new head, 0 < head_lr ≤ 10."""
    decision: DecisionConfig = DecisionConfig()
    """What is calibrated on the validation rows at the end."""

    @model_validator(mode="after")
    def _has_rate(self) -> Self:
        if self.optimizer.lr is None:
            raise ValueError("the learning rate is open: build this with TrainConfig.for_task")
        return self

    def num_epochs(self, num_rows: int) -> int:
        """Passes over so many training rows: those asked for, else the vetted number."""
        return self.epochs or vetted.epochs(self.trainable.kind, self.task, num_rows, self.batch)

    @property
    def lr(self) -> float:
        """Peak learning rate of the pre-trained weights; with `auto` the vetted one, from which the test sets out."""
        if self.optimizer.lr in (None, "auto"):
            return vetted.rate(vetted.of(self.trainable.kind).lr, self.optimizer.kind)
        return float(self.optimizer.lr)

    def range_test_epochs(self, num_rows: int) -> float:
        """What a range test takes, in passes over so many training rows."""
        return vetted.RANGE_TEST_STEPS * self.batch / max(1, num_rows) if self.optimizer.lr == "auto" else 0.0

    @property
    def num_passes(self) -> int:
        """How often a row goes through the network in one step."""
        return 2 if self.rdrop else 1


class FeaturesConfig(Config):
    """How the frozen base turns rows into vectors, once for all who need them."""

    pooling: Pooling = "auto"
    """How token vectors become the text's vector: their mean, the first one (`cls`) or the last one. `auto`: as the
    base was trained; a decoder's is the last one, which alone has seen the others."""
    max_tokens: MaxTokens = "auto"
    """Longest text in tokens, special tokens counted, 8 or more. `auto`: what the base was
    trained to read."""
    length_policy: LengthPolicy = "truncate_right"
    """What happens to a longer text: its end or its start is cut, its row is dropped, or the run is refused."""
    precision: Precision = "auto"
    """Arithmetic of the forward pass. `auto`: bfloat16 where the processor is fast at it, else float32."""


class LayersConfig(Config):
    """How the layers below the trained ones turn rows into hidden states, once."""

    layers: Count
    """Layers that learn, counted from the last one: the states that enter the first of them are kept."""
    max_tokens: MaxTokens = "auto"
    """Longest text in tokens, special tokens counted, 8 or more. `auto`: what the base was
    trained to read."""
    length_policy: LengthPolicy = "truncate_right"
    """What happens to a longer text: its end or its start is cut, its row is dropped, or the run is refused."""
    precision: Precision = "auto"
    """Arithmetic of the forward pass, and the form of the kept states. `auto`: bfloat16 where the processor is fast at
    it, else float32."""
