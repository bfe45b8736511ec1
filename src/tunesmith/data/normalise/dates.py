"""Dates and times of day in the ways people write them."""

from __future__ import annotations

import polars as pl

from tunesmith.data.normalise.config import DateConfig, TimeConfig
from tunesmith.data.normalise.reading import Reading, first_reason, plain

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAMES = "january february march april may june july august september october november december sept"
_WORDS = "|".join([*sorted(_NAMES.split(), key=len, reverse=True), *MONTHS])
_WEEKDAY = r"(?i)^(mon|tues?|wed(nes)?|thu(rs)?|fri|sat(ur)?|sun)(day)?\.?,?\s+"
_CLOCK = r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\s*([ap])?(?:\.?\s?m\b\.?)?"
_END = rf"(?:(?:T|,?\s+(?:at\s+)?){_CLOCK}\s*(Z|UTC|GMT|[+-]\d{{2}}:?\d{{2}})?)?$"
YEAR_FIRST = rf"(?i)^(\d{{4}})[-/.](\d{{1,2}})[-/.](\d{{1,2}}){_END}"
COMPACT = r"^(\d{4})(\d{2})(\d{2})$"
NUMBERS = rf"(?i)^(\d{{1,2}})[-/.](\d{{1,2}})[-/.](\d{{4}}|\d{{2}}){_END}"
DAY_NAME = rf"(?i)^(\d{{1,2}})(?:st|nd|rd|th|\.)?[\s-]*(?:of\s+)?({_WORDS})\.?,?[\s-]+(\d{{4}}|\d{{2}}){_END}"
NAME_DAY = rf"(?i)^({_WORDS})\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?,?\s+(\d{{4}}){_END}"
_TIME = rf"(?i)^{_CLOCK}$"
_TIME_INSIDE = r"(?i)(?:^|[^\d:])(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?(?:\s*([ap])(?:\.?\s?m\b\.?)?)?(?:[^\d:]|$)"
_ISO = r"^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2}))?(?:\.\d+)?)?\s?(Z|[+-]\d{2}:?\d{2})?$"
LATEST_SHORT_YEAR = 68
"""Two-digit years up to this one are of this century, later ones of the last (POSIX)."""


def iso_moment(text: pl.Expr) -> pl.Expr:
    """The moment that a text in ISO form names, in UTC where it has an offset; null for other texts."""
    parts = text.str.strip_chars().str.extract_groups(_ISO)
    day = parts.struct.field("1").str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
    hour, minute, second = (
        parts.struct.field(name).cast(pl.Int64, strict=False).fill_null(0) for name in ("2", "3", "4")
    )
    fits = (hour < 24) & (minute < 60) & (second < 60)
    since = pl.duration(hours=hour, minutes=minute - _offset(parts.struct.field("5")), seconds=second)
    return pl.when(fits).then(day + since)


def read_dates(values: pl.Series, config: DateConfig) -> Reading:
    """The column's dates in ISO form."""
    text = plain(values)
    day_first = config.day_first if config.day_first is not None else _day_first(text)
    found = _found(text, config, day_first)
    early, late = config.earliest, config.latest
    frame = found.with_columns(
        pl.when(pl.col("day") < early).then(pl.lit(f"before {early}")).alias("low") if early else _none("low"),
        pl.when(pl.col("day") > late).then(pl.lit(f"after {late}")).alias("high") if late else _none("high"),
        pl.when(pl.col("text").is_not_null() & pl.col("day").is_null())
        .then(pl.when("ambiguous").then(pl.lit("day or month first: ambiguous")).otherwise(pl.lit("not a date")))
        .alias("wrong"),
    ).with_columns(first_reason(pl.col("wrong"), pl.col("low"), pl.col("high")).alias("why"))
    after = frame.select(pl.when(pl.col("why").is_null()).then("written")).to_series()
    words = f"ambiguous, read {'day' if day_first else 'month'} first"
    read = frame["ambiguous"] & after.is_not_null()
    return Reading(after, frame["why"], {words: read} if config.day_first is None and read.any() else {})


def read_times(values: pl.Series, config: TimeConfig) -> Reading:
    """The column's times of day, as hours and minutes."""
    text = plain(values)
    expr = pl.col("text")
    if config.search:
        parts = expr.str.extract_groups(_TIME_INSIDE)
        count = expr.str.count_matches(r"\d{1,2}:\d{2}")
    else:
        parts, count = expr.str.extract_groups(_TIME), pl.lit(1)
    clock = _clock(parts, ("1", "2", "3", "4")).struct
    hour, minute = clock.field("hour"), clock.field("minute")
    after = pl.when(count == 1).then(
        pl.concat_str(hour.cast(pl.String).str.zfill(2), pl.lit(":"), minute.cast(pl.String).str.zfill(2))
    )
    frame = text.to_frame("text").select(
        after.alias("after"),
        pl.when(expr.is_not_null() & after.is_null()).then(pl.lit("not a time of day")).alias("why"),
    )
    return Reading(frame["after"], frame["why"])


def _none(name: str) -> pl.Expr:
    return pl.lit(None, pl.String).alias(name)


def _day_first(text: pl.Series) -> bool | None:
    """Whether a column's all-number dates start with the day, by those that can be read in one way only."""
    numbers = text.str.extract_groups(NUMBERS).struct
    first = numbers.field("1").cast(pl.Int64, strict=False)
    second = numbers.field("2").cast(pl.Int64, strict=False)
    is_day, is_month = bool((first > 12).any()), bool((second > 12).any())
    return None if is_day == is_month else is_day


def _found(text: pl.Series, config: DateConfig, day_first: bool | None) -> pl.DataFrame:
    """For each text its ``day``, how it is ``written`` and whether its numbers alone are ``ambiguous``."""
    frame = text.to_frame("text").with_columns(pl.col("text").str.replace(_WEEKDAY, "").alias("bare"))
    forms = {"year": YEAR_FIRST, "compact": COMPACT, "numbers": NUMBERS, "day": DAY_NAME, "name": NAME_DAY}
    frame = frame.with_columns(pl.col("bare").str.extract_groups(form).alias(name) for name, form in forms.items())

    def part(form: str, place: int) -> pl.Expr:
        return pl.col(form).struct.field(str(place))

    one, two = (part("numbers", place).cast(pl.Int64, strict=False) for place in (1, 2))
    decided = pl.lit(day_first, pl.Boolean)
    if config.day_first is None:
        # A number above 12 is no month, whatever the rest of the column does.
        decided = pl.when(one > 12).then(True).when(two > 12).then(False).when(one == two).then(True).otherwise(decided)
    month_names = {name: str(number) for number, name in enumerate(MONTHS, 1)}

    def named(form: str, place: int) -> pl.Expr:
        first = part(form, place).str.to_lowercase().str.slice(0, 3)
        return first.replace_strict(month_names, default=None, return_dtype=pl.String)

    year = pl.coalesce(part("year", 1), part("compact", 1), part("numbers", 3), part("day", 3), part("name", 3))
    month = pl.coalesce(
        part("year", 2), part("compact", 2), pl.when(decided).then(part("numbers", 2)).when(~decided).then(
            part("numbers", 1)), named("day", 2), named("name", 1),
    )  # fmt: skip
    day = pl.coalesce(
        part("year", 3), part("compact", 3), pl.when(decided).then(part("numbers", 1)).when(~decided).then(
            part("numbers", 2)), part("day", 1), part("name", 2),
    )  # fmt: skip
    short = pl.when(year.cast(pl.Int64, strict=False) <= LATEST_SHORT_YEAR).then(pl.lit("20")).otherwise(pl.lit("19"))
    whole_year = pl.when(year.str.len_chars() == 2).then(short + year).otherwise(year)
    iso = pl.concat_str(whole_year, month.str.zfill(2), day.str.zfill(2), separator="-")
    timed = pl.coalesce(
        pl.when(part(form, 4).is_not_null()).then(_timed(form)) for form in ("year", "numbers", "day", "name")
    )
    moment = iso.str.to_date("%Y-%m-%d", strict=False)
    with_time = pl.concat_str(iso, pl.lit("T"), timed)
    has_time = pl.any_horizontal(part(form, 4).is_not_null() for form in ("year", "numbers", "day", "name"))
    in_utc = iso_moment(with_time)
    return frame.select(
        "text",
        pl.when(has_time).then(in_utc.dt.date()).otherwise(moment).alias("day"),
        pl.when(has_time)
        .then(
            in_utc.dt.strftime("%Y-%m-%dT%H:%M:%S")
            + pl.when(timed.str.len_chars() > 8).then(pl.lit("Z")).otherwise(pl.lit(""))
        )
        .otherwise(moment.dt.strftime("%Y-%m-%d"))
        .alias("written"),
        ((one <= 12) & (two <= 12) & (one != two)).fill_null(False).alias("ambiguous"),
    )


def _timed(form: str) -> pl.Expr:
    """The time of day of a date as ``HH:MM:SS``, with the offset behind it where there is one."""
    parts = pl.col(form)
    clock = _clock(parts, ("4", "5", "6", "7")).struct
    fields = [clock.field(name).cast(pl.String).str.zfill(2) for name in ("hour", "minute", "second")]
    offset = parts.struct.field("8").fill_null("").replace(["UTC", "GMT", "z", "utc", "gmt"], ["Z"] * 5)
    return pl.concat_str(pl.concat_str(fields, separator=":"), offset)


def _clock(parts: pl.Expr, places: tuple[str, str, str, str]) -> pl.Expr:
    """Hour (of 24), minute and second; null where there is no such time."""
    hour, minute, second = (parts.struct.field(name).cast(pl.Int64, strict=False) for name in places[:3])
    half = parts.struct.field(places[3]).str.to_lowercase()
    is_half_day = hour.is_between(1, 12)
    hour24 = (
        pl.when(half.is_null()).then(pl.when(hour < 24).then(hour))
        .when((half == "p") & is_half_day).then(hour % 12 + 12)
        .when((half == "a") & is_half_day).then(hour % 12)
    )  # fmt: skip
    return pl.struct(
        hour24.alias("hour"),
        pl.when(minute < 60).then(minute).alias("minute"),
        pl.when(second.fill_null(0) < 60).then(second.fill_null(0)).alias("second"),
    )


def _offset(zone: pl.Expr) -> pl.Expr:
    """The minutes that an offset like ``+02:00`` is ahead of UTC; 0 for none."""
    parts = zone.str.extract_groups(r"^([+-])(\d{2}):?(\d{2})$").struct
    minutes = parts.field("2").cast(pl.Int64) * 60 + parts.field("3").cast(pl.Int64)
    return pl.when(parts.field("1") == "-").then(-minutes).otherwise(minutes).fill_null(0)
