"""What a recipe says about texts that are no language, or not the wanted one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from tunesmith.core.config import Config

Share = Annotated[float, Field(gt=0.0, le=1.0)]


class BoilerplateConfig(Config):
    """Lines that stand in many texts: signatures, disclaimers, menus. They are cut out, which is recorded; a text of
    nothing else goes to quarantine. Only texts of two or more lines are looked at."""

    column: str = "text"
    """The column that is looked at, as the source gives it: another one where the text is derived. Default: text."""
    min_share: Share = 0.02
    """Share of the texts with several lines, above 0 to 1, in which a line must stand. Default: 0.02, our choice."""
    min_rows: Annotated[int, Field(ge=2)] = 10
    """And in how many at least. Default: 10, our choice."""
    min_words: Annotated[int, Field(ge=1)] = 3
    """Words that a line must have: shorter ones ("Thank you") carry no more than they say. Default: 3."""


class NoiseConfig(Config):
    """Texts that cannot be learned from, put in quarantine with the reason. Each filter is off where it is null or
    false. Those on by default hit 1 of 52,329 texts of six real data sets, a bare link (docs/log.md)."""

    urls_only: bool = True
    """Texts of nothing but links, e-mail addresses and @names. Default: true."""
    repeated_character: Annotated[int, Field(ge=4)] | None = 10
    """The same character so often in a row, where such runs also are half of the text or more (`aaaaaaa…`, `-----…`).
    Default: 10."""
    letters: Share | None = None
    """Least share of letters among the characters that are not white space. 0.5 is usual for prose (Gopher, Rae et al.
    2021, asks for letters in 80 % of the words), but hits 34 of 8,082 questions with order numbers. Default: null,
    off."""
    repeated_words: Share | None = None
    """Largest share that the most frequent word may have in a text of ten words or more. 0.5 catches "buy buy buy";
    prose stays below 0.3. Default: null, off."""
    repeated_lines: Share | None = None
    """Largest share of the characters that may stand in lines that the text has already had, in texts of three lines or
    more. 0.3 as in Gopher (Rae et al. 2021). Default: null, off."""
    min_words: Annotated[int, Field(ge=1)] | None = None
    """Fewest words; texts without spaces count by characters. Default: null, off: one word can be an answer."""
    max_words: Annotated[int, Field(ge=1)] | None = None
    """Most words. Default: null, off: the length policy of training cuts, and counts what it cuts."""
    gibberish: Annotated[float, Field(ge=3.0)] | None = None
    """How many standard errors the mean probability of a text's pairs of letters may lie below that of all texts. It is
    learned from the rows themselves, so it knows no language and needs most rows to be sound; texts under 12 letters
    and data under 200 rows are not judged. 6 finds 96 % and more of random letters from 25 on and hits 6 of 52,329 real
    texts, links and other languages. Default: null, off."""
    boilerplate: BoilerplateConfig | None = None
    """Cut lines that stand in many texts. Default: null, off; `{}` with its defaults."""


class LanguageConfig(Config):
    """The language of each text, by py3langid (97 languages). Texts it cannot tell are `und`."""

    keep: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """ISO 639-1 codes of the languages that stay; others go to quarantine with the reason. null: all stay."""
    min_confidence: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    """Least probability of the likeliest language; below it a text is `und`. Default: 0.5."""
    min_letters: Annotated[int, Field(ge=1)] = 10
    """Letters from which on a text is judged; shorter ones are `und`. Chinese, Japanese and Korean ones count fourfold.
    Default: 10; with 0.5 above, 0.1 % of 10,003 short English questions are taken for another language, 2 % are
    `und`."""
    keep_undetermined: bool = True
    """Whether `und` texts stay where `keep` is given. Default: true: short answers are no foreign language."""
    column: str | None = "language"
    """The column that the code is written to; null: none. Default: language."""

    @field_validator("keep")
    @classmethod
    def _codes(cls, keep: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for code in keep or ():
            if not (2 <= len(code) <= 3 and code.isascii() and code.islower()):
                raise ValueError(f"`{code}` is no language code: write two small letters, as `en`, `fr`, `de`")
        return keep

    @field_validator("column")
    @classmethod
    def _free(cls, column: str | None) -> str | None:
        if column in ("text", "label", "subject", "split", "row_id", "source_id", "parents"):
            raise ValueError(f"the language cannot be written to `{column}`: choose another name")
        return column


class ContaminationConfig(Config):
    """Rows of train and validation that repeat a test row are removed, and counted by test set; test rows never are.
    Texts that are equal but for case and white space are always removed."""

    near: Annotated[float, Field(ge=0.5, le=1.0)] | None = 0.9
    """Jaccard similarity, 0.5 to 1, from which a text repeats a test text; compared as near duplicates are.
    null: only equal texts. Default: 0.9, as for near duplicates."""
    contained: Annotated[float, Field(gt=0.0, le=1.0)] | None = 0.8
    """Share of a test text's words that stand in one other text in runs of 13 (shorter texts: of their length) from
    which on it is contained. 0.8 is what Llama 2 calls dirty (Touvron et al. 2023, A.6); runs of 13 as for GPT-3 (Brown
    et al. 2020). null: off. Default: 0.8."""
    min_words: Annotated[int, Field(ge=4)] = 8
    """Words from which on a test text is looked for inside of longer ones: shorter phrases are common speech. Texts
    without spaces count by characters. Default: 8."""
