"""Repairs that change how a value is written, never which row it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from tunesmith.data.prepare_config import CleanConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

# ftfy takes tens of microseconds a text: it only sees texts that could need it.
_SUSPICIOUS = r"[^\x00-\x7F]|&#?[0-9A-Za-z]{1,24};|[\x00-\x08\x0B-\x1F\x7F]"
# Zero-width (non-)joiners U+200C and U+200D are letters of their own in emoji, Persian and Indic scripts: they stay.
_INVISIBLE = r"[\u{00AD}\u{200B}\u{2060}\u{FEFF}]"


def repair(frame: pl.DataFrame, columns: Sequence[str], clean: CleanConfig) -> tuple[pl.DataFrame, dict[str, int]]:
    """The frame with the string columns repaired, and the number of rows that each kind of repair changed."""
    strings = [column for column in columns if frame.schema[column] == pl.String]
    repaired: dict[str, int] = {}
    if clean.unicode:
        frame, repaired["unicode"] = _changed(frame, {name: _unicode(frame[name]) for name in strings})
    if clean.whitespace:
        tidy = frame.select(whitespace(pl.col(name)) for name in strings)
        frame, repaired["whitespace"] = _changed(frame, {name: tidy[name] for name in strings})
    return frame, repaired


def repair_texts(texts: Sequence[str], *, unicode: bool, whitespace: bool) -> list[str]:
    """The texts repaired as training's rows were, so that a model reads what it learned to read."""
    clean = CleanConfig(unicode=unicode, whitespace=whitespace)
    repaired, _ = repair(pl.DataFrame({"text": texts}, schema={"text": pl.String}), ["text"], clean)
    return repaired["text"].to_list()


def whitespace(text: pl.Expr) -> pl.Expr:
    """The text with invisible characters removed and every run of white space made one space; none at the ends."""
    return text.str.replace_all(_INVISIBLE, "").str.replace_all(r"\s+", " ").str.strip_chars()


def comparable(text: pl.Expr) -> pl.Expr:
    """The form in which two texts count as equal: lower case, white space normalised."""
    return whitespace(text).str.to_lowercase()


def is_missing(column: str) -> pl.Expr:
    """Whether a value is null or blank."""
    return pl.col(column).is_null() | (pl.col(column).cast(pl.String).str.strip_chars() == "")


def _unicode(texts: pl.Series) -> pl.Series:
    suspicious = texts.filter(texts.str.contains(_SUSPICIOUS).fill_null(False)).unique(maintain_order=True)
    if suspicious.is_empty():
        return texts
    import ftfy

    # Only what is broken: curly quotes, ligatures and full-width letters were written on purpose.
    config = ftfy.TextFixerConfig(
        uncurl_quotes=False, fix_latin_ligatures=False, fix_character_width=False, explain=False
    )
    fixed = [(text, ftfy.fix_text(text, config)) for text in suspicious]
    changes = {before: after for before, after in fixed if before != after}
    if not changes:
        return texts
    return texts.replace(list(changes), list(changes.values()))


def _changed(frame: pl.DataFrame, columns: dict[str, pl.Series]) -> tuple[pl.DataFrame, int]:
    if not columns:
        return frame, 0
    differs = pl.any_horizontal(pl.col(name).ne_missing(series) for name, series in columns.items())
    return frame.with_columns(**columns), int(frame.select(differs.sum()).item())
