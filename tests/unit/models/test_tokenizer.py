"""Texts to ids: what is cut is counted, and the special tokens stay."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import tiny

from tunesmith.core.errors import ModelError
from tunesmith.models.tokenizer import Tokenizer

TEXT = "please help my card is blocked today"  # 7 tokens and 2 special ones
FIRST_LAST = {"bert": (2, 3), "distilbert": (2, 3), "roberta": (0, 2)}


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("policy", ["truncate_left", "truncate_right"])
def test_the_cut_is_counted_and_keeps_the_special_tokens(family: tiny.Family, policy: str) -> None:
    whole = Tokenizer(tiny.encoder(family), tiny.MAX_TOKENS).encode([TEXT])[0]
    cut = Tokenizer(tiny.encoder(family), 6, policy).encode([TEXT])[0]
    assert whole.num_cut == 0
    assert (len(cut.ids), cut.num_cut) == (6, len(whole.ids) - 6)
    assert (cut.ids[0], cut.ids[-1]) == (whole.ids[0], whole.ids[-1]) == FIRST_LAST[family]
    kept = whole.ids[1:5] if policy == "truncate_right" else whole.ids[-5:-1]
    assert cut.ids[1:-1] == kept


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.text(alphabet="abc déß漢 \n", max_size=80), max_size=6),
    st.integers(3, tiny.MAX_TOKENS),
    st.sampled_from(["truncate_left", "truncate_right", "drop", "refuse"]),
)
def test_no_token_is_lost_uncounted(texts: list[str], max_tokens: int, policy: str) -> None:
    tokenizer = Tokenizer(tiny.encoder("roberta"), max_tokens, policy)
    lengths = tokenizer.lengths(texts)
    for length, one in zip(lengths, tokenizer.encode(texts), strict=True):
        assert len(one.ids) + one.num_cut == length
        assert len(one.ids) == min(length, max_tokens)


def test_a_limit_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(ModelError, match="leaves no room") as caught:
        Tokenizer(tiny.encoder("bert"), 2)
    assert "more than 2" in str(caught.value)
    assert len(Tokenizer(tiny.encoder("bert"), 3).encode([TEXT])[0].ids) == 3


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="tokenizer"):
        Tokenizer(tmp_path, 8)
    (tmp_path / "tokenizer.json").write_bytes(b"\xff\xfe not json")
    with pytest.raises(ModelError, match="tokenizer"):
        Tokenizer(tmp_path, 8)


def test_the_files_own_padding_and_truncation_are_switched_off(tmp_path: Path) -> None:
    """Many published tokenizer.json carry both: they would pad every row and cut without a count."""
    from tokenizers import Tokenizer as Fast

    fast = Fast.from_file(str(tiny.encoder("bert") / "tokenizer.json"))
    fast.enable_padding(length=20)
    fast.enable_truncation(4)
    fast.save(str(tmp_path / "tokenizer.json"))
    plain = Tokenizer(tiny.encoder("bert"), tiny.MAX_TOKENS).encode([TEXT, "card"])
    assert Tokenizer(tmp_path, tiny.MAX_TOKENS).encode([TEXT, "card"]) == plain
