"""What is done with what was found: the same for rows that are learned from and for texts that are answered."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from tunesmith.core.errors import ModelError
from tunesmith.governance.privacy.config import Action, PrivacyConfig
from tunesmith.governance.privacy.detect import Detector
from tunesmith.governance.privacy.finding import Finding
from tunesmith.governance.privacy.pseudonyms import Pseudonyms
from tunesmith.texts.repair import fixed_unicode

TEXT = "text"
_INVISIBLE = r"[\u{00AD}\u{200B}-\u{200D}\u{2060}\u{FEFF}]"
_NOT_PLAIN = r"[^\x09\x0A\x0D\x20-\x7E]|&#?[0-9A-Za-z]{1,24};"
_WIDE = r"[\u{FF01}-\u{FF5E}\u{FE52}\u{FE6B}]"


@dataclass
class Treated:
    """A column of texts, and what was found in it."""

    texts: pl.Series
    """Redacted or pseudonymised where that was asked for; else as they were."""
    found: list[tuple[int, Finding, Action]] = field(default_factory=list)
    """Row, finding and what is done with it, in the order of the rows; places count in the text as people read it."""
    changed: set[int] = field(default_factory=set)
    """Rows whose text is another now."""
    sealed: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """Token → kind and sealed value."""


class Treatment:
    """Finds and treats personal data as a configuration says."""

    def __init__(self, config: PrivacyConfig, key: bytes | None = None) -> None:
        self.config, self.detector = config, Detector(config)
        if key is None and "pseudonymise" in (config.on_pii, *config.entities.values()):
            raise ModelError(
                "this model reads pseudonyms, which are made with the key of the project it was trained in",
                next="open it in that project's workspace",
            )
        self._names = Pseudonyms(key or b"")

    def column(self, texts: pl.Series, name: str | Sequence[str] = TEXT) -> Treated:
        """The texts of a column treated; what the column, or each text of it, is called says what its values are."""
        readable = as_read(texts)
        before = pl.Series([_before(name)] if isinstance(name, str) else list(map(_before, name)), dtype=pl.String)
        seen = readable if name == TEXT else before + readable
        treated = Treated(texts)
        replaced: dict[int, str] = {}
        for row, findings in self.detector.find(seen).items():
            num_before = len(before[0 if isinstance(name, str) else row])
            inside = [one for one in (_shifted(found, num_before) for found in findings) if one is not None]
            text: str = readable[row]
            for one in reversed(inside):
                action = self.config.action(one.entity)
                if action in ("redact", "pseudonymise"):
                    text = text[: one.start] + self._stand_in(one, readable[row], action, treated) + text[one.end :]
                    replaced[row] = text
            treated.found += [(row, one, self.config.action(one.entity)) for one in inside]
        if replaced:
            treated.changed = set(replaced)
            treated.texts = texts.clone().scatter(list(replaced), list(replaced.values()))
        return treated

    def texts(self, texts: Sequence[str]) -> list[str]:
        """Texts that are to be answered, treated as those that were learned from."""
        treated: list[str] = self.column(pl.Series(texts, dtype=pl.String)).texts.to_list()
        return treated

    def _stand_in(self, one: Finding, text: str, action: Action, treated: Treated) -> str:
        if action == "redact":
            return f"[{one.entity}]"
        value = text[one.start : one.end]
        token = self._names.token(one.entity, value)
        treated.sealed.setdefault(token, (one.entity, self._names.seal(token, value)))
        return token


def treatment_of(applied: Mapping[str, Any] | None, key: bytes | None) -> Treatment | None:
    """What was done to a model's training rows; ``applied`` is what the splits' facts and the model's manifest say
    under `privacy`, None where nothing was."""
    return None if applied is None else Treatment(PrivacyConfig.model_validate(applied), key)


def as_read(texts: pl.Series) -> pl.Series:
    """The texts as people, and the cleaning after this, read them: a value must not hide behind an invisible
    character, an HTML entity, broken encoding or full-width letters."""
    rows = texts.str.contains(_NOT_PLAIN).arg_true()
    if rows.is_empty():
        return texts
    read = fixed_unicode(texts.gather(rows)).str.replace_all(_INVISIBLE, "")
    wide = read.str.contains(_WIDE).arg_true()
    if len(wide):
        read = read.scatter(wide, [unicodedata.normalize("NFKC", text) for text in read.gather(wide)])
    return texts.clone().scatter(rows, read)


def _before(name: str) -> str:
    """The words that a name puts before its values."""
    return "" if name == TEXT else f"{name.replace('_', ' ')}: "


def _shifted(one: Finding, by: int) -> Finding | None:
    if one.end <= by:
        return None
    return Finding(max(0, one.start - by), one.end - by, one.entity, one.score, one.is_proven)
