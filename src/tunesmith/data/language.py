"""The language of each row's text: counted, written to a column, kept or not."""

from __future__ import annotations

import polars as pl

from tunesmith.core.errors import RecipeError
from tunesmith.data.changes import Changes
from tunesmith.data.noise_config import LanguageConfig
from tunesmith.data.sift import Sifted
from tunesmith.texts.languages import UNDETERMINED, languages, loaded

CODE = "_language"


def identified(frame: pl.DataFrame, config: LanguageConfig, changes: Changes) -> pl.DataFrame:
    """The frame with the language of each text, in its own column too where the recipe wants one.

    Raises: RecipeError for a language the model does not know, or a column that is there already.
    """
    known = loaded().labels
    for code in config.keep or ():
        if code not in known:
            raise RecipeError(
                f"`data.language.keep`: the language `{code}` is not known", seen=code, allowed=", ".join(sorted(known))
            )
    codes = languages(frame["text"], config.min_letters, config.min_confidence)
    if config.column is not None:
        if config.column in frame.columns:
            raise RecipeError(
                f"`data.language.column`: there is a column `{config.column}` already",
                seen=config.column,
                next="choose another name, or `null` for none",
            )
        frame = frame.with_columns(codes.alias(config.column))
    for code in codes.unique().sort():
        changes.counted("language", "text", code, frame["source_id"].filter(codes == code))
    return frame.with_columns(codes.alias(CODE))


def quarantine(sifted: Sifted, config: LanguageConfig | None) -> None:
    """Put texts of other languages than the wanted ones in quarantine."""
    if config is None:
        return
    if config.keep is not None:
        code = pl.col(CODE)
        sifted.take_out(
            "quarantined",
            ~code.is_in([*config.keep, UNDETERMINED]),
            f"language: not {' or '.join(config.keep)}",
            reason=pl.lit("language: ") + code,
        )
        if not config.keep_undetermined:
            sifted.take_out("quarantined", code == UNDETERMINED, "language: cannot be told")
    sifted.kept = sifted.kept.drop(CODE)
