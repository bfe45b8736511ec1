"""Repairs of what is said in conversations and documents: line ends and indentation are part of it, so they stay."""

from __future__ import annotations

import polars as pl

from tunesmith.texts.repair import INVISIBLE, fixed_unicode


def repair_contents(texts: pl.Series, *, unicode: bool, whitespace: bool) -> pl.Series:
    """The contents repaired as those of training were, so that a model reads what it learned to read."""
    if unicode:
        texts = fixed_unicode(texts)
    return trimmed(texts) if whitespace else texts


def trimmed(texts: pl.Series) -> pl.Series:
    """The texts without invisible characters, blank lines before and white space after them, lines ended by ``\\n``.

    A text of one line begins with its first character; of several, the first keeps its indentation, as in code.
    """
    text = pl.col("text").str.replace_all(INVISIBLE, "").str.replace_all(r"\r\n?", "\n").str.strip_chars_end()
    text = text.str.replace(r"^(?:[^\S\n]*\n)+", "")
    one_line = ~text.str.contains("\n", literal=True)
    kept = pl.when(one_line).then(text.str.strip_chars_start()).otherwise(text)
    return texts.rename("text").to_frame().select(kept).to_series().rename(texts.name)
