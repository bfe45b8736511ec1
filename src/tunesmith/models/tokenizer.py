"""Texts to token ids, by the tokenizer file that lies beside the weights. Loads no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.errors import ModelError


@dataclass(frozen=True)
class Tokens:
    """The ids of one text and what was cut off."""

    ids: list[int]
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

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """The number of tokens of each text before any cut."""
        return [max(1, len(one.ids)) for one in self._fast.encode_batch_fast(list(texts))]

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        """The ids of each text.

        The cut is made by the tokenizer itself, inside the special tokens, so [CLS] and [SEP] always stay.
        """
        whole = self._fast.encode_batch_fast(list(texts))
        too_long = [place for place, one in enumerate(whole) if len(one.ids) > self.max_tokens]
        result = [Tokens(one.ids or [self._blank]) for one in whole]
        if too_long:
            self._fast.enable_truncation(self.max_tokens, direction=self.side)
            try:
                cut = self._fast.encode_batch_fast([texts[place] for place in too_long])
            finally:
                self._fast.no_truncation()
            for place, one in zip(too_long, cut, strict=True):
                result[place] = Tokens(one.ids, len(whole[place].ids) - len(one.ids))
        return result


def _blank(config: Path) -> int:
    """The id of a text without any: the token that begins texts, or ends them, by what lies beside the tokenizer."""
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
    named = (settings.get(name) for name in ("bos_token_id", "eos_token_id")) if isinstance(settings, dict) else ()
    return next((one for one in named if isinstance(one, int) and one >= 0), 0)
