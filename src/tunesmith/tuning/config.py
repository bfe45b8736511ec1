"""What a recipe may say about tuning. Imports nothing heavy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, WrapValidator, field_validator, model_validator

from tunesmith.core.config import Config
from tunesmith.core.errors import RecipeError
from tunesmith.core.kinds import gathered, one_of
from tunesmith.core.search import Choice, Range

DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h)")
SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
TRIALS = 20


class TpeConfig(Config):
    """Tree-structured Parzen estimator with successive halving that goes on with paused trials."""

    kind: Literal["tpe"] = "tpe"
    """Draws where good trials were (Bergstra et al. 2011); most trials are paused early."""
    factor: Annotated[int, Field(ge=2, le=10, strict=True)] = 3
    """One in so many trials goes on from a look to the next, 2 to 10; each look comes so many times later. Default: 3
    (Li et al. 2018 use 3 or 4)."""
    looks: Annotated[int, Field(ge=1, le=6, strict=True)] = 3
    """Looks at a trial, its end counted, 1 to 6: with 3 and a factor of 3 after a ninth, a third and all of its
    training. 1: no trial is paused. Default: 3."""
    startup: Annotated[int, Field(ge=1, strict=True)] = 8
    """Trials drawn at random before the others are drawn near good ones, 1 or more. Default: 8."""

    def whole_trials(self, trials: int) -> float:
        """How many whole trainings a search of so many trials comes to, the recipe's own included."""
        reached = [max(1, trials // self.factor**look) for look in range(self.looks)]
        shares = [self.factor ** -float(self.looks - 1 - look) for look in range(self.looks)]
        steps = [share - before for share, before in zip(shares, [0.0, *shares], strict=False)]
        own_rest = 1.0 - shares[0]  # the recipe's own settings are trained to their end whatever they come to
        return float(sum(number * step for number, step in zip(reached, steps, strict=True)) + own_rest)


class RandomConfig(Config):
    """Every trial drawn at random and trained to its end."""

    kind: Literal["random"] = "random"
    """Drawn at random, trained to its end (Bergstra and Bengio 2012)."""

    def whole_trials(self, trials: int) -> float:
        """How many whole trainings a search of so many trials comes to."""
        return float(trials)


if TYPE_CHECKING:
    AnySearcher = TpeConfig | RandomConfig
else:
    AnySearcher = one_of("searcher")


def _spelled(value: Any) -> Any:
    """`[1e-5, 1e-3, log]` is a range."""
    if not isinstance(value, list | tuple):
        return value
    is_log = len(value) == 3 and value[2] == "log"
    numbers = value[:2] if is_log else value
    if len(numbers) != 2 or not all(isinstance(one, int | float) and not isinstance(one, bool) for one in numbers):
        raise RecipeError(
            "a range is its lower and its upper end",
            seen=list(value),
            allowed="[low, high], [low, high, log] or {choice: [...]}",
            next=f"write `{{choice: {list(value)}}}` to try just these",
        )
    return {"low": numbers[0], "high": numbers[1], "log": is_log}


def _sort_of(value: Any) -> str:
    return "choice" if isinstance(value, Choice) or (isinstance(value, dict) and "choice" in value) else "range"


Gathered = WrapValidator(gathered)
AnyDimension = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Choice, Tag("choice")],
    Discriminator(_sort_of),
    BeforeValidator(_spelled),
    Gathered,
]


class TuneConfig(Config):
    """A search for better settings of the training, on the validation rows."""

    trials: Annotated[int, Field(ge=2, le=10_000, strict=True)] | None = None
    """Settings tried, the recipe's own counted, 2 to 10,000; null: 20, or as many as the budget lasts for."""
    budget: str | None = None
    """Time for the search: `90s`, `30m`, `2h`; the last minutes finish the best trial. Null: until all trials are
    done."""
    space: dict[str, AnyDimension] | None = None
    """What is varied: a key of the recipe → `[low, high]`, `[low, high, log]` or `{choice: [...]}`. Null: learning
    rates, batch and dropout around the vetted settings."""
    searcher: AnySearcher = TpeConfig()
    """How settings are drawn, and which trials go on. Default: TPE with successive halving."""

    @field_validator("budget", mode="before")
    @classmethod
    def _is_a_duration(cls, value: Any) -> Any:
        words = f"{value}m" if isinstance(value, int) and not isinstance(value, bool) else value
        if value is None or (isinstance(words, str) and DURATION.fullmatch(words) and not words.startswith("0s")):
            return words
        raise RecipeError(
            "a budget is a number and its unit", seen=value, allowed="90s, 30m, 2h", next="for example `budget: 30m`"
        )

    @model_validator(mode="after")
    def _varies_something(self) -> Self:
        if self.space is not None and not self.space:
            raise RecipeError(
                "`tune.space` is empty: there is nothing to vary", next="leave `space` out for the default one"
            )
        return self

    @property
    def num_trials(self) -> int | None:
        """The most trials; None where only the budget ends the search."""
        return self.trials if self.trials is not None or self.budget is not None else TRIALS

    @property
    def budget_s(self) -> float | None:
        """The budget in seconds."""
        found = None if self.budget is None else DURATION.fullmatch(self.budget)
        return None if found is None else float(found[1]) * SECONDS[found[2]]
