"""What a recipe may say about training a language model, and what the stage sees of it. Loads no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from tunesmith.core.config import Config
from tunesmith.core.errors import RecipeError
from tunesmith.core.kinds import one_of
from tunesmith.core.tasks import Task
from tunesmith.training import vetted
from tunesmith.training.config import Count, EarlyStopping, Precision, Schedule
from tunesmith.training.language.trainables_config import LanguageLoraConfig
from tunesmith.training.methods.language_config import SftConfig
from tunesmith.training.optimizer_config import AdamWConfig

if TYPE_CHECKING:
    from tunesmith.training.language.trainables_config import (
        LanguageFullConfig,
        LanguageHeadConfig,
        LanguageTopLayersConfig,
    )
    from tunesmith.training.methods.language_config import ContinuedPretrainingConfig
    from tunesmith.training.optimizer_config import (
        AdafactorConfig,
        AdamConfig,
        AdamW8bitConfig,
        LionConfig,
        MuonConfig,
        RmsPropConfig,
        SgdConfig,
    )

    AnyMethod = SftConfig | ContinuedPretrainingConfig
    AnyTrainable = LanguageLoraConfig | LanguageFullConfig | LanguageTopLayersConfig | LanguageHeadConfig
    AnyOptimizer = (
        AdamWConfig
        | AdamConfig
        | SgdConfig
        | RmsPropConfig
        | AdafactorConfig
        | LionConfig
        | MuonConfig
        | AdamW8bitConfig
    )
else:
    AnyMethod = one_of("language_method")
    AnyTrainable = one_of("language_trainable")
    AnyOptimizer = one_of("optimizer")


class SamplesConfig(Config):
    """Answers that the model writes at every look at the validation rows, kept in the history."""

    rows: Annotated[int, Field(ge=0, le=100, strict=True)] = 3
    """Validation rows that are answered, the first ones, 0 to 100 (0: none)."""
    max_new_tokens: Annotated[int, Field(ge=1, le=4096, strict=True)] = 48
    """Tokens written at most, 1 to 4096."""


class LanguagePhaseConfig(Config):
    """One phase of training of a language model: what learns, by which objective, how far."""

    method: AnyMethod = SftConfig()
    """The objective: `sft` learns answers, `continued_pretraining` learns texts. Default: sft."""
    trainable: AnyTrainable = LanguageLoraConfig()
    """Which weights learn. Default: low-rank adapters beside all linear layers."""
    optimizer: AnyOptimizer = AdamWConfig()
    """How a gradient becomes a step. Default: AdamW."""
    schedule: Schedule = Schedule(kind="cosine", warmup=0.03)
    """How the learning rate moves. Default: 3 % warm-up, then half a cosine (Touvron et al. 2023)."""
    batch: Count = 16
    """Rows per optimizer step over all processes, 1 or more: part of the maths. Default: 16 (docs/log.md)."""
    microbatch_tokens: Annotated[int, Field(ge=16, strict=True)] | Literal["auto"] = "auto"
    """Most tokens in one forward-backward, padding counted, 16 or more. A matter of memory: the step stays the same up
    to rounding (dropout draws other units). `auto` fits it to the machine; where memory runs out it is halved, and the
    model's facts say so."""
    packing: bool = False
    """Lays the rows of a microbatch one behind the other without padding; no row sees another, which is checked on the
    model before training. Default: off, as padded rows of like length are faster on a processor (PERFORMANCE)."""
    gradient_checkpointing: bool = False
    """Computes activations a second time instead of keeping them: less memory, a third more time, the same numbers."""
    neftune_alpha: Annotated[float, Field(gt=0, le=100, strict=True)] | None = None
    """Noise on the embeddings of training rows (NEFTune, Jain et al. 2023, who use 5 to 15), above 0 to 100; null:
    none."""
    epochs: Count | None = None
    """Passes over the training rows, 1 or more; null: the vetted number for what is trained and how many rows there
    are (training/vetted.py)."""
    max_steps: Count | None = None
    """Ends training after this many optimizer steps, 1 or more, whatever `epochs` says; null: no such end."""
    early_stopping: EarlyStopping | None = None
    """Stops before `epochs` when the validation loss gets no better; null: never. The best checkpoint is kept either
    way."""
    clip: Annotated[float, Field(gt=0, strict=True)] | None = 1.0
    """Largest norm of the whole gradient, above 0; a longer one is scaled down; null: none. Default: Touvron et al.
    2023."""
    precision: Precision = "auto"
    """Arithmetic of the forward and backward pass. `auto`: bfloat16 where the processor is fast at it, else float32;
    what learns and the optimizer's state stay float32."""
    validate_every: Annotated[float, Field(gt=0, strict=True)] = 0.5
    """Epochs between two looks at the validation rows, above 0. Default: twice an epoch."""
    samples: SamplesConfig = SamplesConfig()
    """What the model writes at every such look."""
    bucketing: bool = True
    """Draws the rows of an optimizer step from shuffled windows of 50 batches sorted by length: less padding, steps
    still change every epoch. Default: on."""
    on_nan: Literal["stop", "skip"] = "skip"
    """What happens where a loss or gradient is no finite number, once its rows and the first layer were named: `skip`
    leaves the step out, counted, and stops after three in a row; `stop` ends training. Either way no weight has
    moved."""
    checkpoint_every_s: Annotated[float, Field(ge=0, strict=True)] = 60.0
    """Seconds between checkpoints to resume from, 0 or more (0: after every step). It changes no result."""

    @field_validator("trainable", "optimizer", "method", mode="before")
    @classmethod
    def _default_kind(cls, value: Any, info: ValidationInfo) -> Any:
        """`optimizer: {lr: 1e-4}` means the default optimizer."""
        if isinstance(value, dict) and "kind" not in value:
            default = cls.model_fields[info.field_name or ""].default
            return {"kind": default.kind, **value}
        return value

    def for_task(self, task: Task) -> TrainLanguageConfig:
        """What the stage is given: nothing left open that does not depend on the machine.

        Raises: RecipeError where the rate is left to a range test, or another metric than the loss is watched.
        """
        if self.optimizer.lr == "auto":
            raise RecipeError(
                "a language model's learning rate is not found by a range test in this version",
                seen="train.optimizer.lr: auto",
                allowed="a number, or nothing: the vetted rate of what is trained",
                next="leave `train.optimizer.lr` out",
            )
        if self.early_stopping is not None and self.early_stopping.metric not in (None, "loss"):
            raise RecipeError(
                "training of a language model watches the loss on the validation rows, and nothing else",
                seen=f"train.early_stopping.metric: {self.early_stopping.metric}",
                allowed="loss",
                next="leave `train.early_stopping.metric` out; the gate may ask for what is written",
            )
        is_open = self.optimizer.lr is None
        vetted_lr = vetted.language_rate(self.trainable.kind, self.optimizer.kind) if is_open else None
        fields = {name: getattr(self, name) for name in LanguagePhaseConfig.model_fields}
        return TrainLanguageConfig.model_validate({**fields, "task": task, "vetted_lr": vetted_lr})


class TrainLanguageConfig(LanguagePhaseConfig):
    """A phase as the stage sees it, vetted settings filled in; made by ``LanguagePhaseConfig.for_task``."""

    # Not so microbatch_tokens: where rows are cut decides the rounding, and which units dropout drops.
    not_in_key: ClassVar[frozenset[str]] = frozenset({"checkpoint_every_s"})

    task: Task
    """What the model is for."""
    vetted_lr: float | None = None
    """Where the recipe names no rate: the vetted one, for a hidden size of 64; the base's own size decides."""

    @model_validator(mode="after")
    def _has_rate(self) -> Self:
        if self.vetted_lr is None and not isinstance(self.optimizer.lr, float):
            raise ValueError("the learning rate is open: build this with LanguagePhaseConfig.for_task")
        return self

    def lr_at(self, hidden: int) -> float:
        """Peak learning rate of a model so wide."""
        if isinstance(self.optimizer.lr, float):
            return self.optimizer.lr
        assert self.vetted_lr is not None
        return vetted.at_width(self.vetted_lr, hidden)

    def num_epochs(self, num_rows: int) -> int:
        """Passes over so many training rows: those asked for, else the vetted number."""
        return self.epochs or vetted.language_epochs(self.trainable.kind, num_rows, self.batch)
