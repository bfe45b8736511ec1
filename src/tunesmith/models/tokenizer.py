"""Texts to token ids, by the tokenizer file that lies beside the weights. Loads no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.errors import ModelError
from tunesmith.models.long_texts import LONG_CHARS, Part, part_read


@dataclass(frozen=True)
class Tokens:
    """The ids of one text and what was cut off."""

    ids: list[int]
    num_cut: int = 0
    """Tokens that did not fit."""


@dataclass(frozen=True)
class Pieces:
    """The tokens that are read of one text, and where they stand in it."""

    ids: list[int]
    spans: list[tuple[int, int]]
    """First character of each, and behind its last; (0, 0) for what the tokenizer adds."""
    is_special: list[bool]
    """Whether the tokenizer added it, or it stands for a text without any."""
    is_unknown: list[bool]
    """Whether it stands for what the tokenizer does not know."""
    num_cut: int = 0
    """Tokens that did not fit."""


class Tokenizer:
    """Ids of texts, special tokens included, cut to ``max_tokens`` with the cut counted.

    Under the policy ``truncate_left`` the start of a text is cut, under any other its end. Where nothing else would be
    left, as of an empty text under a tokenizer that adds nothing, the model's first or last token stands for the text.
    """

    def __init__(self, folder: Path, max_tokens: int, policy: str = "truncate_right") -> None:
        from tokenizers import Tokenizer as Fast

        path = folder / "tokenizer.json"
        try:
            self._fast: Any = Fast.from_file(str(path))
        except Exception as error:
            raise ModelError("the model's tokenizer.json cannot be read", seen=f"{path.name}: {error}") from error
        self._fast.no_padding()
        self._fast.no_truncation()
        self.max_tokens = max_tokens
        self.side = "left" if policy == "truncate_left" else "right"
        self._blank = _blank(folder / "config.json")
        self._unknown = _unknown(self._fast)
        self._num_special: int = self._fast.num_special_tokens_to_add(is_pair=False)
        if max_tokens <= self._num_special:
            raise ModelError(
                "max_tokens leaves no room for text",
                seen=max_tokens,
                allowed=f"more than {self._num_special} (this tokenizer's special tokens)",
            )

    @property
    def vocabulary(self) -> int:
        """The number of ids."""
        return int(self._fast.get_vocab_size(with_added_tokens=True))

    def id_of(self, names: Sequence[str]) -> int | None:
        """The id of the first of these tokens that there is."""
        return next((found for name in names if (found := self._fast.token_to_id(name)) is not None), None)

    def name_of(self, token: int) -> str:
        """The token of an id."""
        return str(self._fast.id_to_token(token) or token)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """The number of tokens of each text before any cut."""
        parts = self.parts(texts)
        return [
            max(1, len(one.ids) + part.num_left_out)
            for part, one in zip(parts, self._fast.encode_batch_fast([part.text for part in parts]), strict=True)
        ]

    def parts(self, texts: Sequence[str]) -> list[Part]:
        """What is worked on of each text: all of it, or of one of megabytes what holds all that is read."""
        return [
            part_read(one, self.max_tokens, self.side, self._count) if len(one) > LONG_CHARS else Part(one)
            for one in texts
        ]

    def _count(self, texts: Sequence[str]) -> list[int]:
        return [len(one.ids) for one in self._fast.encode_batch_fast(list(texts), add_special_tokens=False)]

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        """The ids of each text.

        The cut is made inside the special tokens, so [CLS] and [SEP] always stay; and here rather than by switching the
        tokenizer's own on and off, which another thread would see.
        """
        parts = self.parts(texts)
        return [
            Tokens([one.ids[place] for place in kept] or [self._blank], len(one.ids) - len(kept) + part.num_left_out)
            for part, one in zip(parts, self._fast.encode_batch_fast([part.text for part in parts]), strict=True)
            for kept in [self._kept(one)]
        ]

    def pieces(self, texts: Sequence[str]) -> list[Pieces]:
        """The ids of each text as ``encode`` gives them, with the characters that each stands for."""
        parts = self.parts(texts)
        encoded = self._fast.encode_batch([part.text for part in parts])
        return [self._pieces(part, one) for part, one in zip(parts, encoded, strict=True)]

    def _pieces(self, part: Part, one: Any) -> Pieces:
        if not one.ids:
            return Pieces([self._blank], [(0, 0)], [True], [False], part.num_left_out)
        kept = self._kept(one)
        ids, spans, mask = one.ids, one.offsets, one.special_tokens_mask
        return Pieces(
            [ids[place] for place in kept],
            [_moved(spans[place], part.start) for place in kept],
            [bool(mask[place]) for place in kept],
            [ids[place] == self._unknown for place in kept],
            len(ids) - len(kept) + part.num_left_out,
        )

    def _kept(self, one: Any) -> Sequence[int]:
        """The places of an encoded text that are read."""
        if len(one) <= self.max_tokens:
            return range(len(one))
        mask = one.special_tokens_mask
        text = [place for place, is_special in enumerate(mask) if not is_special]
        room = self.max_tokens - self._num_special
        read = set(text[-room:] if self.side == "left" else text[:room])
        return [place for place, is_special in enumerate(mask) if is_special or place in read]


def _unknown(fast: Any) -> int | None:
    """The id that a tokenizer gives to what it does not know; None where there is nothing that it cannot spell."""
    is_told = hasattr(fast.model, "unk_token")
    names = [fast.model.unk_token] if is_told else ["<unk>", "[UNK]"]  # of a Unigram its number alone is kept
    return next((found for name in names if name and (found := fast.token_to_id(name)) is not None), None)


def _moved(span: tuple[int, int], by: int) -> tuple[int, int]:
    """A place in a part of a text as one in the text; what the tokenizer adds stands nowhere."""
    return (span[0] + by, span[1] + by) if by and span[1] else span


def _blank(config: Path) -> int:
    """The id of a text without any: the token that begins texts, or ends them, by what lies beside the tokenizer."""
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
    named = (settings.get(name) for name in ("bos_token_id", "eos_token_id")) if isinstance(settings, dict) else ()
    return next((one for one in named if isinstance(one, int) and one >= 0), 0)
