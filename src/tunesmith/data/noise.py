"""Texts that cannot be learned from: each filter in words and as an expression."""

from __future__ import annotations

import numpy as np
import polars as pl

from tunesmith.data import gibberish
from tunesmith.data.noise_config import NoiseConfig
from tunesmith.data.sift import Sifted
from tunesmith.data.tokens import UNSPACED

URL_OR_NAME = r"(?i)(?:https?://\S+|www\.\S+|\S+@\S+\.\S+|@\w+)"
LETTER = r"[\p{L}\p{M}]"
MIN_REPEATABLE_WORDS = 10
CHUNK_ROWS = 100_000


def quarantine(sifted: Sifted, config: NoiseConfig) -> None:
    """Put texts that are noise in quarantine, each with the first filter that caught it."""
    for why, where in filters(config):
        sifted.take_out("quarantined", where, why)
    if config.repeated_character is not None:
        flags = _runs(sifted.kept["text"], config.repeated_character)
        sifted.take_out("quarantined", pl.lit(flags), f"noise: a character {config.repeated_character} times in a row")
    if config.repeated_words is not None:
        flags = _repeated_words(sifted.kept["text"], config.repeated_words)
        why = f"noise: one word is more than {config.repeated_words:.0%} of the text"
        sifted.take_out("quarantined", pl.lit(flags), why)
    if config.gibberish is not None:
        flags = pl.Series(gibberish.z_scores(sifted.kept["text"]) < -config.gibberish)
        sifted.take_out("quarantined", pl.lit(flags), "noise: letters that do not go together in these texts")


def filters(config: NoiseConfig) -> list[tuple[str, pl.Expr]]:
    """The filters that look at one text at a time, with their words."""
    text = pl.col("text")
    made = []
    if config.urls_only:
        is_url = text.str.contains(r"://|www\.|@") & (text.str.replace_all(URL_OR_NAME, "").str.contains(r"\w").not_())
        made.append(("noise: nothing but links, addresses and @names", is_url))
    if config.letters is not None:
        share = text.str.count_matches(LETTER) / text.str.count_matches(r"\S")
        made.append((f"noise: letters are less than {config.letters:.0%} of the text", share < config.letters))
    if config.min_words is not None:
        made.append((f"noise: fewer than {config.min_words} words", words(text) < config.min_words))
    if config.max_words is not None:
        made.append((f"noise: more than {config.max_words} words", words(text) > config.max_words))
    return made


def words(text: pl.Expr) -> pl.Expr:
    """The number of words; in scripts without spaces, of characters."""
    spaced = text.str.count_matches(r"\S+")
    unspaced = text.str.count_matches(UNSPACED)
    return pl.when(unspaced > spaced).then(unspaced).otherwise(spaced)


def _runs(texts: pl.Series, least: int) -> pl.Series:
    """Whether at least half of a text's characters stand in runs of the same character, so long or longer."""
    flags = np.zeros(len(texts), dtype=bool)
    for start in range(0, len(texts), CHUNK_ROWS):
        part = texts.slice(start, CHUNK_ROWS)
        counts = part.str.len_chars().to_numpy().astype(np.int64)
        # The engine of regular expressions has no back-references: all characters are looked at side by side.
        codes = np.frombuffer("".join(part.to_list()).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        if not len(codes):
            continue
        is_start = np.ones(len(codes), dtype=bool)
        is_start[1:] = codes[1:] != codes[:-1]
        firsts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        is_start[firsts[counts > 0]] = True
        starts = np.flatnonzero(is_start)
        lengths = np.diff(np.append(starts, len(codes)))
        long = lengths >= least
        owner = np.repeat(np.arange(len(counts)), counts)[starts[long]]
        in_runs = np.bincount(owner, weights=lengths[long], minlength=len(counts))
        flags[start : start + len(counts)] = (in_runs > 0) & (2 * in_runs >= counts)
    return pl.Series(flags)


def _repeated_words(texts: pl.Series, most: float) -> pl.Series:
    tokens = (
        texts.to_frame("text")
        .with_row_index("row")
        .filter(pl.col("text").str.count_matches(r"\w+") >= MIN_REPEATABLE_WORDS)
        .select("row", pl.col("text").str.to_lowercase().str.extract_all(r"\w+").alias("word"))
        .explode("word")
    )
    counts = tokens.group_by("row", "word").len()
    share = counts.group_by("row").agg((pl.col("len").max() / pl.col("len").sum()).alias("share"))
    rows = share.filter(pl.col("share") > most)["row"]
    return pl.int_range(len(texts), dtype=pl.UInt32, eager=True).is_in(rows.implode())
