"""What a recipe may say about training rows made from other training rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from tunesmith.core.config import Config
from tunesmith.core.kinds import one_of

Strength = Annotated[float, Field(gt=0, le=1)]


class PerturbConfig(Config):
    """The text as people really send it: mistyped, in capitals, with spaces lost, cut off."""

    kind: Literal["typos", "case", "whitespace", "truncation", "lookalikes", "punctuation"]
    """What happens to the text, as `evaluate.robustness` does it: typing errors, other letter case, spaces doubled or
    lost, the end cut off, letters of other scripts that look the same, punctuation left out."""
    strength: Strength = 0.1
    """Share of the places (words, letters, gaps) that are touched, above 0 to 1, one at least. Default: 0.1."""


class SynonymsConfig(Config):
    """Words and phrases replaced by others that mean the same."""

    kind: Literal["synonyms"] = "synonyms"
    """Words and phrases replaced by others that mean the same."""
    path: str
    """A text file, relative to the recipe or absolute: a line holds words or phrases that mean the same, separated by
    commas. At most 1 MB."""
    strength: Strength = 0.3
    """Share of the words and phrases found in a text that are replaced, above 0 to 1, one at least. Default: 0.3."""


class SlotsConfig(Config):
    """Values that stand in a text (an account, a city, a product) replaced by other values of the same kind."""

    kind: Literal["slots"] = "slots"
    """Values in a text replaced by others of the same kind."""
    values: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Kind of value → values that may stand for each other: `{city: [Paris, Rome]}`."""
    value_column: str | None = None
    """A column that holds the value which stands in the row's text; values of the training rows replace each other."""
    slot_column: str | None = None
    """A column that says what kind of value it is; null: all values of `value_column` are of one kind."""

    @model_validator(mode="after")
    def _has_values(self) -> Self:
        if not self.values and self.value_column is None:
            raise ValueError("slots need `values`, or the `value_column` that holds them")
        if self.slot_column is not None and self.value_column is None:
            raise ValueError("`slot_column` says what kind the value of `value_column` is: give that too")
        if few := [slot for slot, values in self.values.items() if len(set(values)) < 2]:
            raise ValueError(f"a slot needs two different values or more to replace one by another: {', '.join(few)}")
        return self


if TYPE_CHECKING:
    AnyAugmentation = PerturbConfig | SynonymsConfig | SlotsConfig
else:
    AnyAugmentation = one_of("augmentation")


class AugmentConfig(Config):
    """Training rows made from other training rows. The model is trained with and without them, and those are kept only
    if the validation rows show a gain beyond noise."""

    methods: Annotated[tuple[AnyAugmentation, ...], Field(min_length=1)]
    """What is done to a text; each method makes its own rows."""
    copies: Annotated[int, Field(ge=1, le=20, strict=True)] = 1
    """Rows that each method makes of one training row, 1 to 20. Default: 1."""
    labels_below: Annotated[int, Field(ge=1, strict=True)] | None = None
    """Only rows of labels with fewer training rows than this are used; null: every row."""
