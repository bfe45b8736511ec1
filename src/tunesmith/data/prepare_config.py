"""What a recipe says about cleaning, checking and splitting rows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from tunesmith.core.config import Config
from tunesmith.core.tasks import Task
from tunesmith.data.derive_config import Expression
from tunesmith.data.joins_config import JoinKeys
from tunesmith.data.noise_config import ContaminationConfig, LanguageConfig, NoiseConfig
from tunesmith.data.normalise.config import Normal
from tunesmith.data.targets_config import LabelsConfig

SplitName = Literal["train", "validation", "test"]

MAX_PATTERN_CHARS = 1000


class CleanConfig(Config):
    """How rows are repaired and which repeated rows are left out; everything done is counted and shown."""

    unicode: bool = True
    """Repair text read in the wrong encoding (`cafÃ©`), HTML entities (`&amp;`), control characters and unjoined
    accents (NFC), with ftfy's vetted defaults; quotes and ligatures stay as written."""
    whitespace: bool = True
    """Strip values and turn every run of white space (no-break spaces and line ends included) into one space; remove
    zero-width spaces, soft hyphens and byte-order marks. Joiners, which emoji and some scripts need, stay."""
    exact_duplicates: bool = True
    """Keep the first of rows with the same text (case and white space aside) and the same label; training rows with
    the same text but different labels are put in quarantine, all of them. Off keeps both."""
    near_duplicates: Annotated[float, Field(ge=0.5, le=1.0)] | None = 0.9
    """Jaccard similarity, 0.5 to 1, from which two texts count as the same; of training rows with the same label only
    the first is kept. Compared are the sets of words, for texts under ten words the pairs of neighbouring words; texts
    under four words are compared exactly. 0.9: about one word in twenty differs. null: only counted, never removed."""
    missing: Literal["quarantine"] = "quarantine"
    """What happens to rows without text or label: they are put in quarantine with the reason."""


class When(Config):
    """The rows a rule is about."""

    column: str
    """The column that decides whether the rule applies to a row."""
    one_of: tuple[str, ...] = Field(min_length=1)
    """The rule applies to rows whose value in that column is one of these."""


class Rule(Config):
    """What valid rows look like; a row that breaks it is put in quarantine with the rule's words.

    Missing values break `not_missing` only. All checks that are set must hold.
    """

    column: str
    """The column that is checked, by its name in the recipe."""
    name: str | None = Field(default=None, min_length=1, max_length=100)
    """What reports call the rule; by default its words."""
    when: When | None = None
    """Which rows it applies to; by default all."""
    not_missing: bool = False
    """The value must be there and not blank."""
    min_chars: int | None = Field(default=None, ge=1)
    """Fewest characters of the value."""
    max_chars: int | None = Field(default=None, ge=1)
    """Most characters of the value."""
    pattern: str | None = Field(default=None, min_length=1, max_length=MAX_PATTERN_CHARS)
    """A regular expression that must be found in the value (`^` and `$` make it match the whole). Rust syntax, which
    runs in linear time: no look-around, no back-references."""
    one_of: tuple[str, ...] | None = Field(default=None, min_length=1)
    """The values that are allowed."""
    minimum: float | None = Field(default=None, allow_inf_nan=False)
    """Smallest number allowed; a value that is no number breaks the rule."""
    maximum: float | None = Field(default=None, allow_inf_nan=False)
    """Largest number allowed; a value that is no number breaks the rule."""
    unique: bool = False
    """No two rows may have the same value: the first keeps it, the later ones break the rule."""
    equals_column: str | None = None
    """Another column that must hold the same value, where both are there."""
    differs_from: str | None = None
    """Another column that must hold a different value, where both are there."""

    @field_validator("pattern")
    @classmethod
    def _pattern_compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            import polars as pl

            try:
                # The engine that will run it decides; a null element would skip compiling, an empty one does not.
                pl.Series([""]).str.contains(pattern, strict=True)
            except pl.exceptions.ComputeError as error:
                raise ValueError(f"not a usable regular expression (Rust syntax): {error}") from None
        return pattern

    @model_validator(mode="after")
    def _checks_something(self) -> Rule:
        optional = (self.min_chars, self.max_chars, self.pattern, self.one_of, self.minimum, self.maximum)
        others = (self.equals_column, self.differs_from)
        if not (self.not_missing or self.unique or any(value is not None for value in (*optional, *others))):
            raise ValueError(
                f"the rule on `{self.column}` checks nothing: give min_chars, max_chars, pattern, one_of, not_missing, "
                "minimum, maximum, unique, equals_column or differs_from"
            )
        for low, high in ((self.min_chars, self.max_chars), (self.minimum, self.maximum)):
            if low is not None and high is not None and low > high:
                raise ValueError(f"the rule on `{self.column}` allows nothing: {low} is more than {high}")
        if self.column in others:
            raise ValueError(f"the rule compares `{self.column}` with itself")
        return self


class SplitConfig(Config):
    """Which rows are trained on, which choose the best checkpoint, which prove the result. Given splits stay as given;
    what is missing of them is drawn from the training rows."""

    validation: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Share of the rows, 0 to 1, that chooses the best checkpoint; 0 only without early stopping."""
    test: float = Field(default=0.2, lt=1.0)
    """Share of the rows, above 0 and below 1, that is never trained on and proves the result."""
    group_by: str | None = None
    """Rows with the same value here (a customer, a document) never end up in two splits."""
    stratify_by: str | None = None
    """Column whose shares every split keeps; by default the label for `classify`, nothing for `regress`."""
    by_time: str | None = None
    """Column of dates (ISO form, as `normalise` writes them) or numbers by which rows are divided: the newest rows are
    test, those before them validation. Rows of one moment stay together, with `group_by` whole groups, by their newest
    row. Rows without a time go to quarantine. Not with `stratify_by`. null: rows are drawn."""

    @field_validator("test")
    @classmethod
    def _has_proof(cls, test: float) -> float:
        if test <= 0:
            raise ValueError(
                "without test rows nothing can be proven: give a share above 0 (0.2 is usual), or name a source with "
                "`split: test` and leave this out"
            )
        return test

    @model_validator(mode="after")
    def _leaves_train(self) -> SplitConfig:
        if self.validation + self.test >= 1:
            raise ValueError(f"validation {self.validation} and test {self.test} leave no rows to train on")
        if self.by_time is not None and self.stratify_by is not None:
            raise ValueError(
                f"`by_time: {self.by_time}` decides which rows prove, so the shares of `{self.stratify_by}` cannot be "
                "kept: leave `stratify_by` or `by_time` out"
            )
        return self


class PrepareConfig(Config):
    """The configuration of the stage `prepare`."""

    task: Task
    """What the label is: one of several names, several of them, or numbers; language tasks have none."""
    clean: CleanConfig = CleanConfig()
    """Repairs and duplicates."""
    rules: tuple[Rule, ...] = ()
    """What valid rows look like; rows that break a rule are put in quarantine."""
    split: SplitConfig = SplitConfig()
    """How rows are divided."""
    given: dict[str, SplitName] = Field(default_factory=dict)
    """Sources that are a split as a whole, by their name."""
    labels: LabelsConfig = LabelsConfig()
    """How the labels of `tag` are read."""
    targets: tuple[str, ...] = ()
    """The names of several targets of `regress`, in the order of the recipe; empty for one."""
    joins: tuple[JoinKeys, ...] = ()
    """Tables that add columns; each is given to the stage by its name, beside the sources."""
    normalise: dict[str, Normal] = Field(default_factory=dict)
    """Columns whose values are written in one way."""
    derive: dict[str, Expression] = Field(default_factory=dict)
    """Columns computed from others, in this order."""
    noise: NoiseConfig = NoiseConfig()
    """Texts that cannot be learned from."""
    language: LanguageConfig | None = None
    """The language of the texts; null: not looked at."""
    contamination: ContaminationConfig | None = ContaminationConfig()
    """Training rows that repeat a test row; null: only equal texts are removed."""
    outside: str | None = None
    """The label of rows out of scope, which are never trained on; null: there are none."""

    @model_validator(mode="after")
    def _target_is_no_stratum(self) -> PrepareConfig:
        if self.task == "regress" and self.split.stratify_by == "label":
            raise ValueError("`stratify_by: label` needs names, and the labels of `regress` are numbers: leave it out")
        return self
