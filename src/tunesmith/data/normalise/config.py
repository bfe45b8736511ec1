"""What a recipe says about writing a column's values in one way."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from tunesmith.core.config import Config

Failed = Literal["keep", "quarantine", "missing"]
CURRENCIES = ("$", "€", "£", "¥", "usd", "eur", "gbp", "jpy", "chf", "cny", "inr", "aud", "cad")

UNITS: dict[str, dict[str, float]] = {
    "mass": {"mg": 1e-6, "g": 1e-3, "kg": 1.0, "t": 1e3, "oz": 0.028349523125, "lb": 0.45359237},
    "length": {
        "mm": 1e-3, "cm": 1e-2, "m": 1.0, "km": 1e3, "in": 0.0254, "ft": 0.3048, "yd": 0.9144, "mi": 1609.344,
    },
    "temperature": {"C": 1.0, "F": 5 / 9, "K": 1.0},
    "time": {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0},
    "volume": {"ml": 1e-3, "l": 1.0},
}  # fmt: skip
"""Dimension → unit → its size in the dimension's own unit; the pound, inch and mile are the international ones."""
SPELLINGS: dict[str, tuple[str, ...]] = {
    "mg": ("milligram", "milligrams"), "g": ("gr", "gram", "grams", "gramme"),
    "kg": ("kgs", "kilo", "kilos", "kilogram", "kilograms"), "t": ("tonne", "tonnes"),
    "oz": ("ounce", "ounces"), "lb": ("lbs", "pound", "pounds"),
    "mm": ("millimetre", "millimeter"), "cm": ("centimetre", "centimeter", "cms"),
    "m": ("metre", "meter", "metres", "meters"), "km": ("kms", "kilometre", "kilometer", "kilometres", "kilometers"),
    "in": ("inch", "inches", '"', "″"), "ft": ("foot", "feet", "'", "′"), "yd": ("yard", "yards"),
    "mi": ("mile", "miles"), "C": ("c", "°c", "celsius"), "F": ("f", "°f", "fahrenheit"), "K": ("k", "kelvin"),
    "ms": ("millisecond", "milliseconds"), "s": ("sec", "secs", "second", "seconds"),
    "min": ("mins", "minute", "minutes"), "h": ("hr", "hrs", "hour", "hours"), "d": ("day", "days"),
    "ml": ("millilitre", "milliliter"), "l": ("litre", "liter", "litres", "liters"),
}  # fmt: skip
"""Unit → other ways it is written; all are read without regard to case."""


def dimension_of(unit: str) -> str | None:
    """The dimension that a unit measures; None where it is unknown."""
    return next((name for name, units in UNITS.items() if unit in units), None)


class NormalConfig(Config):
    """How one column's values are written in one way."""

    failed: Failed = "keep"
    """What happens to a value that cannot be read: `keep` leaves it as it was, `quarantine` puts the row in quarantine
    with the reason, `missing` makes the value missing. All are counted. Default: keep, which loses nothing."""


class NumberConfig(NormalConfig):
    """Numbers: `1,234.5`, `1.234,5`, `1 234`, `(12)` for -12, `12 %` as 0.12, `3k`, `1.5M`; written `1234.5`."""

    kind: Literal["number"] = "number"
    """The kind of values."""
    decimal: Literal["auto", "point", "comma"] = "auto"
    """What parts the decimals. `auto` decides by the column as a whole: `1,234` is a thousand where other values can
    only have a decimal point; where both kinds occur, ambiguous values fail; where neither does, the point."""
    ignore: tuple[str, ...] = ()
    """Texts that are left out before reading, for example a currency sign. Default: none, so that `$5` fails."""
    minimum: float | None = None
    """Smallest number that is taken."""
    maximum: float | None = None
    """Largest number that is taken."""

    @model_validator(mode="after")
    def _range(self) -> NumberConfig:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"`minimum` {self.minimum} is more than `maximum` {self.maximum}: no number is left")
        return self


class DateConfig(NormalConfig):
    """Dates, with or without a time of day: `2024-03-01`, `1/3/2024`, `1. March 2024`, `Mar 1, 2024 7:10 pm`; written
    `2024-03-01` or `2024-03-01T19:10:00`, those with an offset in UTC with a Z. Month names are English."""

    kind: Literal["date"] = "date"
    """The kind of values."""
    day_first: bool | None = None
    """Whether `1/3/2024` is the first of March. null decides by the column as a whole: a first number above 12
    somewhere means day first, a second one month first; where that does not decide, ambiguous dates fail."""
    earliest: dt.date | None = None
    """First date that is taken, as `1990-01-01`."""
    latest: dt.date | None = None
    """Last date that is taken."""

    @model_validator(mode="after")
    def _range(self) -> DateConfig:
        if self.earliest is not None and self.latest is not None and self.earliest > self.latest:
            raise ValueError(f"`earliest` {self.earliest} is after `latest` {self.latest}: no date is left")
        return self


class TimeConfig(NormalConfig):
    """Times of day: `7:10 a.m.`, `7:10pm`, `19:10`; written `07:10`."""

    kind: Literal["time"] = "time"
    """The kind of values."""
    search: bool = False
    """Take the time out of a longer value (`12/02/2011 6:55 a.m.`), where exactly one is in it. Default: false."""


class UnitConfig(NormalConfig):
    """Measurements in one unit: `1.5 kg`, `3 lb` → a number of `to`. Known: mg g kg t oz lb, mm cm m km in ft yd mi,
    C F K, ms s min h d, ml l. Currencies are refused: their rates change."""

    kind: Literal["unit"] = "unit"
    """The kind of values."""
    to: str
    """The unit that every value is given in."""
    bare: str | None = None
    """The unit of numbers without one; null: they fail."""
    decimal: Literal["auto", "point", "comma"] = "auto"
    """What parts the decimals, as for numbers."""

    KNOWN: ClassVar[str] = ", ".join(unit for units in UNITS.values() for unit in units)

    @field_validator("to", "bare")
    @classmethod
    def _known(cls, unit: str | None) -> str | None:
        if unit is not None and unit.lower() in CURRENCIES:
            raise ValueError(f"`{unit}` is a currency, whose rates change: convert it in the source")
        if unit is not None and dimension_of(unit) is None:
            raise ValueError(f"there is no unit `{unit}`; known: {cls.KNOWN}")
        return unit

    @model_validator(mode="after")
    def _same_dimension(self) -> UnitConfig:
        if self.bare is not None and dimension_of(self.bare) != dimension_of(self.to):
            raise ValueError(f"`{self.bare}` is a {dimension_of(self.bare)}, `{self.to}` a {dimension_of(self.to)}")
        return self


class CategoryConfig(NormalConfig):
    """Names of categories: white space and case made one, synonyms joined."""

    kind: Literal["category"] = "category"
    """The kind of values."""
    case: Literal["keep", "lower", "upper"] = "keep"
    """The case of names that neither `synonyms` nor `values` writes. Default: keep."""
    synonyms: dict[str, str] = Field(default_factory=dict)
    """Written → name: `{u.k.: UK, england: UK}`; found without regard to case."""
    values: tuple[str, ...] | None = Field(default=None, min_length=1)
    """The names there are, as they are to be written; found without regard to case, any other fails. null: all may."""


Normal = Annotated[NumberConfig | DateConfig | TimeConfig | UnitConfig | CategoryConfig, Field(discriminator="kind")]
