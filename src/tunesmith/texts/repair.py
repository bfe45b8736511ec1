"""Repairs that change how a text is written, never what it says; done to training rows and to every text answered."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

# ftfy takes tens of microseconds a text: it only sees texts that could need it.
_SUSPICIOUS = r"[^\x00-\x7F]|&#?[0-9A-Za-z]{1,24};|[\x00-\x08\x0B-\x1F\x7F]"
# Zero-width (non-)joiners U+200C and U+200D are letters of their own in emoji, Persian and Indic scripts: they stay.
INVISIBLE = r"[\u{00AD}\u{200B}\u{2060}\u{FEFF}]"


def repair_texts(texts: Sequence[str], *, unicode: bool, whitespace: bool) -> list[str]:
    """The texts repaired as training's rows were, so that a model reads what it learned to read."""
    repaired = pl.Series("text", texts, dtype=pl.String)
    if unicode:
        repaired = fixed_unicode(repaired)
    if whitespace:
        repaired = repaired.to_frame().select(single_spaced(pl.col("text"))).to_series()
    return repaired.to_list()


def single_spaced(text: pl.Expr) -> pl.Expr:
    """The text with invisible characters removed and every run of white space made one space; none at the ends."""
    return text.str.replace_all(INVISIBLE, "").str.replace_all(r"\s+", " ").str.strip_chars()


def fixed_unicode(texts: pl.Series) -> pl.Series:
    """The texts without mojibake, HTML entities and control characters."""
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
