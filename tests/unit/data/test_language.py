"""The language of texts: what py3langid says of each alone, many at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.unit.data.test_prepare import dataset, messages, prepare

from tunesmith.core.errors import RecipeError
from tunesmith.data.noise_config import LanguageConfig
from tunesmith.texts import languages

TEXTS = {
    "Where is the new card that I ordered last week?": "en",
    "Bonjour, pourquoi mon virement n'est-il pas arrivé ?": "fr",
    "Wie kann ich meine neue Karte aktivieren?": "de",
    "我想知道我的新卡在哪里，请帮助我": "zh",
    "カードをなくしました。どうすればいいですか": "ja",
    "สวัสดีครับ ผมต้องการความช่วยเหลือ": "th",
    "WHERE IS THE NEW CARD THAT I ORDERED": "en",
}


def test_many_at_once_are_as_one_by_one() -> None:
    model = languages.loaded()
    texts = [*TEXTS, "", "ok", "123", "\ud800 broken", "é" * 300, "a" * 2000]
    codes, confidence = languages.classified(texts)
    alone = [model.classify(text) for text in texts]
    assert codes.tolist() == [code for code, _ in alone]
    assert confidence == pytest.approx([sure for _, sure in alone], abs=1e-5)


def test_short_and_unsure_texts_are_undetermined(tmp_path: Path) -> None:
    rows = messages(60)
    rows["text"] = [f"please tell me where the {text} is" for text in rows["text"]]
    rows["text"] += [*TEXTS, "ok", "4711"]
    rows["label"] += ["card"] * (len(TEXTS) + 2)
    source = dataset(tmp_path, "s", **rows)
    facts, _, tables = prepare(tmp_path / "a", {"s": source}, language={"keep": ["en", "fr"]})
    counts = {one["outcome"]: one["rows"] for one in facts["changes"] if one["step"] == "language"}
    assert counts == {"de": 1, "en": 62, "fr": 1, "ja": 1, "th": 1, "und": 2, "zh": 1}
    assert facts["quarantined"] == {"language: not en or fr": 4}
    assert set(tables["quarantine"]["reason"]) == {"language: de", "language: ja", "language: th", "language: zh"}
    assert set(tables["train"]["language"]) <= {"en", "fr", "und"}
    facts, _, _ = prepare(tmp_path / "b", {"s": source}, language={"keep": ["en"], "keep_undetermined": False})
    assert facts["quarantined"] == {"language: not en": 5, "language: cannot be told": 2}


def test_languages_that_cannot_be_asked_for(tmp_path: Path) -> None:
    source = {"s": dataset(tmp_path, "s", **messages(30), language=["x"] * 30)}
    with pytest.raises(RecipeError, match="the language `xx` is not known"):
        prepare(tmp_path / "a", source, language={"keep": ["xx"]})
    with pytest.raises(RecipeError, match="there is a column `language` already"):
        prepare(tmp_path / "b", source, language={})
    with pytest.raises(ValidationError, match="no language code"):
        LanguageConfig(keep=("English",))
